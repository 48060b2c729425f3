"""What one form says, the other says as well, or it is named; there and back is the same.

Property: a native resource of which nothing is lost comes back from the public form with the
same canonical text, whatever its names, texts and numbers are.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import cli, convert, manifest
from reconciler.convert import Converted, Form
from reconciler.problem import has_errors
from runner.contract.kinds import Key

PUBLIC = Path(__file__).parent / "public/examples"
FAST = frozenset({Key("default", "ModelEndpoint", "fast")})
NATIVE = """\
# Who looks after the mail.
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: clerk  # one of two
spec:
  model: fast
  # Short answers.
  prompt: |
    Be brief.
  tools:
    - name: search  # the index
  limits:
    maxSteps: 4
"""


def seal(value: str) -> tuple[str, str]:
    return "hmac-sha256:" + hashlib.sha256(value.encode()).hexdigest(), "sealed"


def bodies(text: str) -> list[tuple[Key, str]]:
    parsed = manifest.parse(text.encode(), "x.yaml", seal)
    assert not has_errors(parsed.problems), parsed.problems
    return [(one.key, one.body) for one in parsed.resources]


def to(form: Form, text: str) -> Converted:
    return convert.converted(text.encode(), "x.yaml", form, FAST)


def test_a_native_agent_is_said_in_public_words_with_its_comments() -> None:
    public = (
        NATIVE.replace("model: fast", "model_ref: fast")
        .replace("- name: search", "- search")
        .replace("maxSteps", "max_steps")
    )
    done = to(Form.PUBLIC, NATIVE)
    assert done.losses == ()
    assert re.sub(" +#", "  #", done.text) == public
    assert to(Form.NATIVE, done.text).text == NATIVE.replace("maxSteps", "max_steps")


def test_what_the_public_form_cannot_say_is_named_where_it_stands() -> None:
    text = NATIVE + "  governance:\n    maxTokensPerMinute: 100\n"
    done = to(Form.PUBLIC, text)
    (loss,) = done.losses
    assert (loss.path, loss.line, loss.column) == ("x.yaml", 15, 3)
    assert "governance" in loss.message
    assert "governance" not in done.text


@pytest.mark.parametrize(
    ("kind", "spec", "place"),
    [
        ("Agent", "  model: unknown\n", (5, 3)),
        (
            "Agent",
            "  model: fast\n  tools:\n  - {name: t, permissions: [{read: x}]}\n",
            (7, 15),
        ),
        ("Tool", "  endpoint: http://x\n  requires: [{read: x}]\n", (6, 3)),
        ("Tool", "  type: command\n  command: [/bin/true]\n", (5, 3)),
        ("Task", "  agent: a\n  input: {x: y}\n", (5, 3)),
        ("Secret", "  fromEnv: {value: X}\n", (5, 3)),
        (
            "TaskSchedule",
            "  task_ref: t\n  schedule: 1 2 3 4 5\n  concurrencyPolicy: allow\n",
            (7, 3),
        ),
        ("Namespace", "  compat: strict\n", (2, 1)),
    ],
)
def test_each_thing_that_only_we_have_is_a_loss(
    kind: str, spec: str, place: tuple[int, int]
) -> None:
    head = f"apiVersion: orloj.dev/v1\nkind: {kind}\nmetadata: {{name: n}}\nspec:\n"
    losses = to(Form.PUBLIC, head + spec).losses
    assert place in {(loss.line, loss.column) for loss in losses}


def test_what_lost_too_much_to_be_a_resource_is_left_out() -> None:
    text = "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {name: n}\nspec:\n"
    done = to(Form.PUBLIC, text + "  fromEnv: {value: X}\n")
    assert done.text == ""
    assert any("left out" in loss.message for loss in done.losses)


@pytest.mark.parametrize(
    "path", sorted(PUBLIC.rglob("*.yaml")), ids=lambda path: str(path.relative_to(PUBLIC))
)
def test_every_public_example_survives_native_and_comes_back(path: Path) -> None:
    text = path.read_bytes()
    endpoints = frozenset(
        Key("default", "ModelEndpoint", name)
        for name in ("openai-default", "anthropic-default", "openai")
    )
    native = convert.converted(text, "x.yaml", Form.NATIVE, endpoints)
    assert (native.losses, native.mistakes) == ((), ())
    back = convert.converted(native.text.encode(), "x.yaml", Form.PUBLIC, endpoints)
    assert back.losses == ()
    assert bodies(back.text) == bodies(text.decode())


WORD = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")),
    max_size=40,
)
PAIR = st.builds(lambda verb, noun: {verb: noun}, st.sampled_from(["read", "tool"]), WORD)
DURATION = st.sampled_from(["1s", "250ms", "1h30m"])
AGENT = st.fixed_dictionaries(
    {"model": st.just("fast")},
    optional={
        "prompt": TEXT,
        "tools": st.lists(st.one_of(WORD, st.builds(lambda n: {"name": n}, WORD)), max_size=3),
        "roles": st.lists(WORD, max_size=2),
        "limits": st.fixed_dictionaries({"maxSteps": st.integers(1, 99), "timeout": DURATION}),
    },
)
ROLE = st.fixed_dictionaries(
    {"permissions": st.lists(st.one_of(PAIR, WORD), min_size=1, max_size=3)},
    optional={"description": TEXT},
)
RULE = st.fixed_dictionaries(
    {"toolRef": WORD},
    optional={"requiredPermissions": st.lists(PAIR, max_size=2), "matchMode": st.just("any")},
)
TASK = st.fixed_dictionaries(
    {"system": WORD},
    optional={
        "input": st.dictionaries(WORD, TEXT, max_size=3),
        "maxTurns": st.integers(0, 9),
        "messageRetry": st.fixed_dictionaries({"maxAttempts": st.integers(1, 9)}),
        "requirements": st.fixed_dictionaries({"region": WORD, "gpu": st.booleans()}),
    },
)
MANIFEST = st.one_of(
    st.tuples(st.just("Agent"), AGENT),
    st.tuples(st.just("AgentRole"), ROLE),
    st.tuples(st.just("ToolPermission"), RULE),
    st.tuples(st.just("Task"), TASK),
)


@settings(max_examples=150, deadline=None)
@given(MANIFEST, WORD, st.dictionaries(WORD, TEXT, max_size=2))
def test_there_and_back_is_the_same_resource(
    made: tuple[str, dict[str, Any]], name: str, labels: dict[str, str]
) -> None:
    kind, spec = made
    metadata = {"name": name, "labels": labels}
    # JSON is YAML, and needs no writer of ours.
    native = json.dumps(
        {"apiVersion": "orloj.dev/v1", "kind": kind, "metadata": metadata, "spec": spec},
        ensure_ascii=False,
    )
    public = to(Form.PUBLIC, native)
    assert public.losses == ()
    assert bodies(to(Form.NATIVE, public.text).text) == bodies(native)


def test_converting_twice_changes_nothing_more() -> None:
    once = to(Form.PUBLIC, NATIVE).text
    assert to(Form.PUBLIC, once).text == once


def test_what_servers_write_is_left_out() -> None:
    text = NATIVE.replace("  name: clerk", "  resourceVersion: '7'\n  name: clerk")
    done = to(Form.NATIVE, text + "status: {phase: Ready}\n")
    assert "resourceVersion" not in done.text
    assert "status" not in done.text


def test_a_mistake_is_named_and_nothing_is_converted() -> None:
    done = to(Form.PUBLIC, NATIVE.replace("model:", "modle:"))
    assert done.text == ""
    assert any("modle" in one.message for one in done.mistakes)


def orloj(*arguments: str) -> Result:
    return CliRunner().invoke(cli.group, ["convert", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.yaml").write_text(NATIVE, encoding="utf-8")
    (tmp_path / "model.yaml").write_text(
        "apiVersion: orloj.dev/v1\nkind: ModelEndpoint\nmetadata:\n  name: fast\nspec:\n"
        "  default_model: m\n",
        encoding="utf-8",
    )
    return tmp_path


def test_check_names_what_would_change_and_write_changes_it(folder: Path) -> None:
    done = orloj(str(folder), "--to", "public", "--check")
    assert (done.exit_code, done.stdout) == (2, f"{folder}/agent.yaml\n")
    assert orloj(str(folder), "--to", "public", "--write").exit_code == 0
    assert "model_ref: fast" in (folder / "agent.yaml").read_text()
    assert orloj(str(folder), "--to", "public", "--check").exit_code == 0


def test_nothing_is_written_where_something_would_be_lost(folder: Path) -> None:
    file = folder / "agent.yaml"
    file.write_text(NATIVE + "  governance: {maxConcurrent: 2}\n", encoding="utf-8")
    refused = orloj(str(folder), "--to", "public", "--write")
    assert refused.exit_code == 3
    assert f"{file}:15:3" in refused.stderr
    assert "governance" in file.read_text()
    assert orloj(str(folder), "--to", "public", "--write", "--drop").exit_code == 0
    assert "governance" not in file.read_text()
