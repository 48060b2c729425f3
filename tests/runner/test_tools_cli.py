"""A cli tool starts an allowed program with the words its manifest says, and its own values."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from manifest_sets import manifest_set, placed
from pydantic import ValidationError

from reconciler.governance import comparison, flow
from reconciler.governance.world import Declared, World
from reconciler.manifest.caution import cautions
from runner import cli_given, named_secrets, tools
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Key, Tool
from runner.contract.kinds.tool_program import Cli
from runner.manifest_set import PlacedTool
from runner.tools import Answered, Bounds, Call, cli_words
from runner.world import aspects

PYTHON = sys.executable
ECHO = "import sys, json; print(json.dumps(sys.argv[1:]))"
SECRET = "canary-9f2c"


def declared(cli: dict[str, Any], **spec: Any) -> Tool:
    return Tool.model_validate({"type": "cli", "cli": cli, **spec})


def call(
    folder: Path,
    cli: dict[str, Any],
    arguments: dict[str, Any] | None = None,
    *,
    commands: tuple[str, ...] = (PYTHON,),
    environment: dict[str, str] | None = None,
    **spec: Any,
) -> Answered:
    bounds = Bounds(folder / "files", commands, 10_000)
    made = Call("t:1", None, bounds, (SECRET,), environment=environment or {})
    tool = declared({"command": PYTHON, **cli}, **spec)
    return asyncio.run(tools.call(tool, arguments or {}, made))


def code(text: str, *more: str) -> list[str]:
    return ["-I", "-c", text, *more]


def words(args: list[str], arguments: dict[str, Any]) -> list[str]:
    return cli_words.words(Cli(command="x", args=args), arguments)[1:]


def test_a_program_runs_in_the_sandbox_by_the_name_that_the_host_allows(tmp_path: Path) -> None:
    args = code(ECHO, "get", "{{ .namespace }}", "{{.order.id}}", "-o={{ .format }}")
    arguments = {"namespace": "a b", "order": {"id": 7}, "format": "json"}
    for command in (PYTHON, Path(PYTHON).name):
        answered = call(tmp_path, {"command": command, "args": args}, arguments)
        assert json.loads(answered.text) == ["get", "a b", "7", "-o=json"]
        assert answered.isolation is not None
        assert answered.isolation.endswith("+seccomp")


def test_a_program_that_the_host_does_not_name_is_not_started(tmp_path: Path) -> None:
    for command, commands in (("/bin/sh", (PYTHON,)), ("kubectl", ()), (PYTHON, ())):
        with pytest.raises(ToolFailed, match=r"may not be started.*tools\.commands") as error:
            call(tmp_path, {"command": command}, commands=commands)
        assert error.value.code is ToolCode.RUNTIME_POLICY_INVALID
    with pytest.raises(ToolFailed, match="may mean /a/x or /b/x; write the whole path"):
        call(tmp_path, {"command": "x"}, commands=("/a/x", "/b/x"))


@pytest.mark.parametrize(
    "value", ["; touch x", "$(touch x)", "a b", "*", "\n", "é", "{{ .y }}"]
)
def test_a_template_makes_one_word_whatever_stands_in_it(value: str) -> None:
    assert words(["{{ .x }}", "n={{.x}}"], {"x": value, "y": "2"}) == [value, f"n={value}"]


@pytest.mark.parametrize(
    ("value", "word"), [(True, "true"), (1.5, "1.5"), (7, "7"), (False, "false"), (0, "0")]
)
def test_a_value_is_written_as_json_writes_it(value: Any, word: str) -> None:
    assert words(["{{ .x }}"], {"x": value}) == [word]


@pytest.mark.parametrize("value", ["-rf", "--output=/etc", "-"])
def test_an_argument_is_never_taken_for_an_option(value: str) -> None:
    for entry in ("{{ .x }}", "{{ .y }}{{ .x }}"):
        with pytest.raises(ToolFailed, match="may not begin with a dash") as error:
            words(["get", entry], {"x": value, "y": ""})
        assert error.value.code is ToolCode.INVALID_INPUT
    assert words(["--", "{{ .x }}"], {"x": value}) == ["--", value]
    assert words(["--x={{ .x }}"], {"x": value}) == [f"--x={value}"]


@pytest.mark.parametrize("arguments", [{}, {"x": ""}, {"x": None}, {"y": {"x": "1"}}])
def test_an_empty_entry_is_left_out_and_never_shifts_the_words(arguments: Any) -> None:
    assert words(["a", "{{ .x }}", "b"], arguments) == ["a", "b"]
    with pytest.raises(ToolFailed, match="would leave -n without its value"):
        words(["get", "-n", "{{ .x }}", "-o", "json"], arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"x": [1]}, "neither a text nor a number"),
        ({"x": {"a": 1}}, "neither a text nor a number"),
        ({"x": "a\x00b"}, "zero byte"),
        ({"x": "a" * 70_000}, "more than 65536 bytes"),
    ],
)
def test_what_fits_no_word_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ToolFailed, match=said):
        words(["{{ .x }}"], arguments)


@pytest.mark.parametrize(
    "entry",
    [
        "{{ if .x }}{{ .x }}{{ end }}",
        "{{- .x -}}",
        "{{ . }}",
        "{{ .x | printf }}",
        "{{ printf \"%s\" .x }}",
        "{{ $.x }}",
        "{{.a-b}}",
        "{{/* nothing */}}",
        "{{ .x ",
        "{{ .x.. }}",
    ],
)  # fmt: skip
def test_any_other_template_is_refused_at_its_place(entry: str) -> None:
    with pytest.raises(ValidationError, match="is not read here") as error:
        declared({"command": "x", "args": ["get", entry]})
    assert error.value.errors()[0]["loc"] == ("cli", "args", 1)


def test_the_program_has_its_own_variables_and_no_other(tmp_path: Path) -> None:
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    cli = {"args": code(show), "env": {"AWS_DEFAULT_REGION": "eu"}}
    cli["env_from"] = [{"name": "TOKEN", "secretRef": "gh"}]
    said = json.loads(call(tmp_path, cli, environment={"TOKEN": "t-1"}).text)
    said.pop("TMPDIR", None)
    assert said.pop("HOME") == str(tmp_path / "files")
    assert said.pop("PWD") == str(tmp_path / "files")
    assert said.pop("IDEMPOTENCY_KEY") == "t:1"
    assert said.pop("TOKEN") == "t-1"
    assert said.pop("AWS_DEFAULT_REGION") == "eu"
    assert said.keys() <= {"PATH", "LC_ALL", "LC_CTYPE"}


@pytest.mark.parametrize("wanted", [False, True])
def test_the_input_is_on_standard_input_where_it_is_asked_for(
    tmp_path: Path, wanted: bool
) -> None:
    cli = {"args": code("import sys; print(sys.stdin.read())"), "stdin_from_input": wanted}
    text = call(tmp_path, cli, {"q": 1}).text
    assert text == ('{"q": 1}\n' if wanted else "\n")


BOTH = "import sys; print('out'); print('err', file=sys.stderr)"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
        ("both", '{"stdout": "out\\n", "stderr": "err\\n"}'),
    ],
)
def test_the_answer_is_the_stream_that_is_named(tmp_path: Path, output: str, text: str) -> None:
    assert call(tmp_path, {"args": code(BOTH), "output": output}).text == text


def test_both_streams_are_json_however_long_they_are(tmp_path: Path) -> None:
    text = "import sys; print('a' * 50_000); print('canary-9f2c' * 9, file=sys.stderr)"
    said = json.loads(call(tmp_path, {"args": code(text), "output": "both"}).text)
    assert said["stdout"].startswith("aaa")
    assert SECRET not in said["stderr"]


def test_a_bad_end_is_told_with_its_code_and_without_secrets(tmp_path: Path) -> None:
    text = f"import sys; print('no {SECRET}', file=sys.stderr); sys.exit(4)"
    with pytest.raises(ToolFailed, match="ended with code 4: no ") as error:
        call(tmp_path, {"args": code(text)})
    assert SECRET not in str(error.value)


def test_a_program_starts_in_the_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "files" / "in" / "side").mkdir(parents=True)
    cli = {"args": code("import os; print(os.getcwd())"), "working_dir": "in/side"}
    assert call(tmp_path, cli).text == f"{tmp_path}/files/in/side\n"
    with pytest.raises(ToolFailed, match=r"cli\.working_dir"):
        call(tmp_path, {**cli, "working_dir": "elsewhere"})
    (tmp_path / "files" / "link").symlink_to("/")
    with pytest.raises(ToolFailed, match=r"cli\.working_dir"):
        call(tmp_path, {**cli, "working_dir": "link"})


def test_without_a_sandbox_it_starts_where_the_host_has_such_a_folder(tmp_path: Path) -> None:
    cli = {"args": code("import os; print(os.getcwd())"), "working_dir": "/usr"}
    bare = {"isolation_mode": "none"}
    answered = call(tmp_path, cli, runtime=bare)
    assert (answered.text, answered.isolation) == ("/usr\n", "none")
    with pytest.raises(ToolFailed, match=r"cli\.working_dir: /nowhere is no folder"):
        call(tmp_path, {**cli, "working_dir": "/nowhere"}, runtime=bare)


REACH = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), 2)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("network", [None, "none", "bridge", "host"])
def test_a_program_has_the_network_where_it_is_declared(
    tmp_path: Path, network: str | None
) -> None:
    """Who can reach this host is told that nobody listens there."""
    text = call(tmp_path, {"args": code(REACH), "network": network}).text
    assert ("refused" in text) is (network in ("bridge", "host")), text


@pytest.mark.parametrize(
    ("cli", "spec", "said"),
    [
        ({}, {"auth": {"secretRef": "s"}}, "auth is not for tools of type cli"),
        ({}, {"network": {"hosts": ["a.example"]}}, "network is not for cli"),
        ({}, {"command": ["x"]}, "command is for tools of type command"),
        ({}, {"endpoint": "http://x"}, "endpoint is for tools of type"),
        ({"network": "my-net"}, {}, "write none, or bridge or host"),
        ({"image": "a"}, {"runtime": {"isolation_mode": "none"}}, "take cli.image out"),
        ({"image": "a"}, {"runtime": {"isolation_mode": "sandboxed"}}, "take cli.image out"),
        ({}, {"runtime": {"isolation_mode": "container"}}, "needs cli.image"),
        ({}, {"runtime": {"isolation_mode": "wasm"}}, "not for cli"),
        ({"network": "none"}, {"runtime": {"isolation_mode": "none"}}, "network of its host"),
        ({"working_dir": "/srv"}, {}, "a folder inside tools.files"),
        ({"working_dir": "a/../.."}, {}, r"take `\.\.` out"),
        ({"image": "a", "working_dir": "srv"}, {}, "begins with /"),
        ({"image": "--privileged"}, {}, "pattern"),
        ({"env": {"LD_PRELOAD": "x"}}, {}, "steers the loader"),
        ({"env": {"a b": "x"}}, {}, "is no variable"),
        ({"env": {"A": "1"}, "env_from": [{"name": "A", "secretRef": "s"}]}, {}, "A twice"),
        ({"env_from": [{"name": "A", "secretRef": "s:x", "key": "y"}]}, {}, "say the same"),
        ({"command": "{{ .x }}"}, {}, "not for an argument to say"),
        ({"shell": True}, {}, "shell"),
    ],
)
def test_what_could_not_be_kept_is_refused_while_loading(
    cli: dict[str, Any], spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        declared({"command": "x", **cli}, **spec)


def test_a_cli_tool_needs_its_block_and_no_other_has_it() -> None:
    with pytest.raises(ValidationError, match="type cli needs cli"):
        Tool.model_validate({"type": "cli"})
    with pytest.raises(ValidationError, match="cli is for tools of type cli"):
        Tool.model_validate({"endpoint": "http://x", "cli": {"command": "x"}})


TOOL = {
    "type": "cli",
    "cli": {
        "command": "aws",
        "env_from": [
            {"name": "ID", "secretRef": "aws", "key": "id"},
            {"name": "KEY", "secretRef": "other/aws:key"},
            {"name": "PLAIN", "secretRef": "plain"},
        ],
    },
}


def test_its_secrets_are_named_and_those_of_others_only_where_they_serve() -> None:
    tool = placed("Tool", "aws", TOOL)
    own = placed("Secret", "aws", {"fromEnv": {"id": "A"}})
    plain = placed("Secret", "plain", {"fromEnv": {"value": "B"}})
    kept = placed("Secret", "aws", {"fromEnv": {"key": "C"}}, "other")
    shared = {"fromEnv": {"key": "C"}, "allowedNamespaces": ["default"]}
    served = placed("Secret", "aws", shared, "other")
    mine = [
        (Key("default", "Secret", "aws"), "id"),
        (Key("default", "Secret", "plain"), "value"),
    ]
    theirs = (Key("other", "Secret", "aws"), "key")
    assert named_secrets.entries(manifest_set(tool, own, plain, kept)) == mine
    assert named_secrets.entries(manifest_set(tool, own, plain, served)) == [*mine, theirs]
    targets = [one.target.name for one in Tool.model_validate(TOOL).references("default")]
    assert targets == ["aws", "aws", "plain"]


def test_a_secret_without_a_value_is_a_call_that_is_not_made() -> None:
    at = placed("Tool", "aws", TOOL)
    tool = PlacedTool(at.key, at.body, at.path, at.line, {})
    values = {"aws:id": "1", "other/aws:key": "2", "plain": "3"}
    given = cli_given.environment(
        tool, lambda auth, _: values.get(auth.secret_ref if auth else "")
    )
    assert given == {"ID": "1", "KEY": "2", "PLAIN": "3"}
    with pytest.raises(
        ToolFailed, match="the Secret aws for the variable ID has no value"
    ) as error:
        cli_given.environment(tool, lambda *_: None)
    assert error.value.code is ToolCode.SECRET_RESOLUTION_FAILED


def test_an_image_is_told_of_and_a_program_of_the_host_is_not() -> None:
    tool = declared({"command": "kubectl", "image": "bitnami/kubectl:1.30"})
    said = [words for _, words in cautions(tool)]
    assert [one for one in said if "tools.container" in one]
    assert [one for one in said if "@sha256:" in one]
    assert [one for one in said if "bridge" in one]
    assert list(cautions(declared({"command": "x"}))) == []


@pytest.mark.parametrize(
    ("tool", "outside"),
    [
        (declared({"command": "x"}), False),
        (declared({"command": "x", "image": "a"}), False),
        (declared({"command": "x", "image": "a", "network": "bridge"}), True),
        (declared({"command": "x", "network": "host"}), True),
        (declared({"command": "x"}, runtime={"isolation_mode": "none"}), True),
        (Tool.model_validate({"type": "wasm"}), False),
        (Tool.model_validate({"type": "wasm", "runtime": {"isolation_mode": "none"}}), False),
    ],
)
def test_a_plan_knows_which_program_can_send_something_out(tool: Tool, outside: bool) -> None:
    assert flow._reaches_outside(tool) is outside


def test_a_program_of_the_host_is_watched_and_one_of_an_image_is_not() -> None:
    key = Key("default", "Tool", "x")
    cli = {"command": "/usr/bin/python3", "args": ["/srv/a.py", "{{ .x }}"]}
    watched = [one.name for one in aspects.aspects(key, declared(cli))]
    assert watched == ["program /usr/bin/python3", "program /srv/a.py"]
    assert list(aspects.aspects(key, declared({**cli, "image": "a"}))) == []


def findings(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    def world(spec: dict[str, Any]) -> World:
        item = placed("Tool", "x", spec)
        return World({item.key: Declared(item.key, item.body, item.path, 1, {})})

    found = comparison.compare(world(old), world(new), {Key("default", "Tool", "x")})
    return [(finding.severity.value, finding.rule) for finding in found]


def cli(**more: Any) -> dict[str, Any]:
    return {"type": "cli", "cli": {"command": "gh", **more}}


KEPT = {"name": "A", "secretRef": "s"}


def module(**block: Any) -> dict[str, Any]:
    return {"type": "wasm", "wasm": block}


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        (cli(), cli(env_from=[KEPT]), "secret-given", "secret-withdrawn"),
        (cli(), cli(network="bridge"), "network-added", "network-removed"),
        (cli(), cli(env={"A": "1"}), "tool-variable", "tool-variable"),
        (module(), module(fuel=2 * 10**9), "limit-raised", "limit-lowered"),
        (module(), module(max_memory_bytes=2**27), "limit-raised", "limit-lowered"),
    ],
)  # fmt: skip
def test_a_plan_says_what_a_program_is_given_and_is_given_no_more(
    old: dict[str, Any], new: dict[str, Any], there: str, back: str
) -> None:
    assert ("widens", there) in findings(old, new)
    assert ("narrows", back) in findings(new, old)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (cli(), cli(args=["pr"])),
        (cli(), {"type": "cli", "cli": {"command": "sh"}}),
        (cli(image="a"), cli(image="b")),
        (module(), module(sha256="0" * 64)),
        (module(module="a.wasm"), module(module="b.wasm")),
    ],
)
def test_a_plan_says_when_something_else_is_started(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert findings(old, new) == [("widens", "tool-program")]
    assert findings(old, old) == []
