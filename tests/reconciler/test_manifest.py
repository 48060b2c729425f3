"""A manifest becomes resources, or every problem in it with exact line and column; never both.

No content makes parsing raise, hang or crash, and no secret value leaves it in the clear.
"""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler import manifest
from reconciler.manifest import parser, positions
from reconciler.problem import Problem, Severity, has_errors
from reconciler.resource import Mention
from runner.contract.kinds import KINDS, Key, Secret, spec_of
from runner.contract.seal import Sealer

DATA = Path(__file__).parent.parent / "data"
UPSTREAM = sorted((DATA / "upstream").rglob("*.yaml"))
SEALER = Sealer(Fernet.generate_key())
HEAD = "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata:\n  name: a\n"
CANARY = "c4n4ry-Value-81f3"


def parse(text: str | bytes, path: str = "a.yaml") -> manifest.Parsed:
    content = text.encode() if isinstance(text, str) else text
    return manifest.parse(content, path, SEALER.seal)


def agent(spec: str) -> str:
    """An agent's manifest, its spec beginning in line 6."""
    return f"{HEAD}spec:\n{spec}"


def render(value: object) -> str:
    """A value as JSON text, which is YAML; characters that may not stand there are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    forbidden = "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]"
    return re.sub(forbidden, lambda found: f"\\u{ord(found.group()):04x}", text)


def test_the_manifest_of_the_announcement_is_accepted_as_printed() -> None:
    parsed = parse((DATA / "seed_agent.yaml").read_bytes())

    (resource,) = parsed.resources
    assert not has_errors(parsed.problems)
    assert resource.key == Key("default", "Agent", "compliance-checker")
    assert (resource.line, resource.column) == (1, 1)
    assert resource.lines == {
        "/spec/model": 6,
        "/spec/tools": 7,
        "/spec/tools/0": 8,
        "/spec/tools/0/permissions/0": 10,
        "/spec/tools/1": 11,
        "/spec/tools/1/permissions/0": 13,
        "/spec/governance": 14,
        "/spec/governance/requireApproval/0": 17,
    }
    assert resource.mentions == (
        Mention(Key("default", "Tool", "scan-documents"), 8, 7, required=False),
        Mention(Key("default", "Tool", "flag-issues"), 11, 7, required=False),
    )


def test_there_are_upstream_manifests_to_read() -> None:
    assert len(UPSTREAM) == 95


@pytest.mark.parametrize("file", UPSTREAM, ids=lambda file: str(file.relative_to(DATA)))
def test_a_manifest_of_the_public_dialect_loads_unchanged(file: Path) -> None:
    parsed = parse(file.read_bytes())

    assert len(parsed.resources) == 1
    assert not has_errors(parsed.problems)


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        (agent("  modle: x\n  model: y\n"), 6, 3, "unknown field `modle`", "`model`?"),
        (agent("  model: x\n  max_steps: 3\n"), 7, 3, "unknown field `max_steps`", "`limits`"),
        (agent("  model: x\n  zzz: 3\n"), 7, 3, "unknown field `zzz`", "fields here: model,"),
        (agent("  model: x\n") + "tools: []\n", 7, 1, "unknown field `tools`", "`spec`"),
        (agent("  model: 4\n"), 6, 10, "`model`: expected text, got a whole number", "quotes"),
        (
            agent("  model: x\n  limits:\n    maxSteps: 'ten'\n"),
            8,
            15,
            "`maxSteps`: expected a whole number, got text",
            "without quotes",
        ),
        (
            agent("  model: x\n  limits: {max_steps: 1, maxSteps: 2}\n"),
            7,
            26,
            "`maxSteps` is `max_steps` in another spelling",
            "given twice",
        ),
        (agent("  model: x\n  limits: {max_steps: 0}\n"), 7, 23, "must be at least 1", None),
        (
            agent("  model: x\n  tools:\n    - name: t\n    - 3\n"),
            9,
            7,
            "`tools[1]`: exp",
            None,
        ),
        (
            agent("  model: x\n  tools:\n    - name: t\n      permissions: [{read: x}, y]\n"),
            9,
            32,
            "`permissions[1]`: a permission is one pair",
            None,
        ),
        (
            agent("  model: x\n  tools:\n    - permissions: []\n"),
            8,
            7,
            "`tools[0]` needs `name`",
            None,
        ),
        (
            agent("  model: x\n  execution:\n    profile: dynamc\n"),
            8,
            14,
            "`profile`: not a value this field can have",
            "did you mean `dynamic`?",
        ),
        (
            agent("  model: x\n  governance: {auditLog: false}\n"),
            7,
            26,
            "`auditLog`: can only be true",
            None,
        ),
        (
            agent("  prompt: x\n"),
            6,
            3,
            "`spec`: needs exactly one of model and model_ref",
            None,
        ),
        (agent("  model: x\n  roles:\n"), 7, 9, "`roles`: expected a list, got nothing", "rem"),
        (agent("  model: x\n  model: y\n"), 7, 3, "`model` is given twice", "line 6, column 3"),
        (agent("  model: !!str x\n"), 6, 10, "tags are not used here", None),
        (agent("  model: &m x\n  prompt: *m\n"), 7, 11, "aliases are not used here", None),
        (agent("  model: x\n  <<: {prompt: y}\n"), 7, 3, "merge keys are not used here", None),
        (agent("  model: .nan\n"), 6, 10, "infinity and not-a-number", "quotes"),
        (agent("  model: x\n  tools: [a\n"), 7, 10, "this `[` is not closed", None),
        (agent("  model: 'x\n  tools: []\n"), 6, 10, "these quotes are not closed", None),
        (agent("  model: a: b\n"), 6, 11, "`: ` starts a value here", "quotes"),
        (agent("  model: x\n\ttools: []\n"), 7, 1, "a tab cannot indent", "use spaces"),
        (agent("  model: @x\n"), 6, 10, "text cannot start with this character", "quotes"),
        (agent("  ? [a]\n  : b\n"), 6, 5, "a key must be text", None),
        (HEAD.replace("Agent", "Agnet"), 2, 7, "unknown kind", "did you mean `Agent`?"),
        (
            HEAD.replace("Agent", "Session"),
            2,
            7,
            "there are no conversations over several tasks",
            "queue a Task for each turn; a Memory keeps what must last",
        ),
        (HEAD.replace("v1", "v2"), 1, 13, "`apiVersion` can only be orloj.dev/v1", None),
        (HEAD.replace("name: a", "name: -a"), 4, 9, "`name`: not a valid name", "letters"),
        ("---\n# c\nkind: Agent\n", 3, 1, "needs `apiVersion`, `metadata`, `spec`", None),
        ("- a\n", 1, 1, "a manifest is a mapping, this is a list", None),
        ("%YAML 1.1\n---\na: 1\n", 1, 1, "directives are not used here", None),
        ("a: é\nb: \x07\n", 2, 4, "control character U+0007", '"\\u0007"'),
        ("a: b\u2028c\n", 1, 5, "control character U+2028", None),
    ],
)
def test_a_mistake_is_found_where_it_stands(
    text: str, line: int, column: int, message: str, hint: str | None
) -> None:
    problems = [
        problem
        for problem in parse(text).problems
        if (problem.line, problem.column) == (line, column) and message in problem.message
    ]

    assert len(problems) == 1, parse(text).problems
    assert hint is None or (problems[0].hint and hint in problems[0].hint)


def test_all_problems_of_a_file_are_reported_at_once_and_in_order() -> None:
    text = agent("  modle: x\n  tools: 3\n") + "---\n" + agent("  model: 3\n") + "---\na: @"

    places = [(problem.line, problem.column) for problem in parse(text).problems]

    assert places == [(6, 3), (7, 10), (14, 10), (16, 4)]


def test_text_that_is_not_utf8_is_refused_where_it_stops_being_so() -> None:
    (problem,) = parse(b"a: b\nc: \xff\n").problems

    assert (problem.line, problem.column, problem.message) == (2, 4, "not UTF-8 text")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert len(parse("\ufeff" + agent("  model: x\n")).resources) == 1


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("012", "012"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ("yes", "yes"),
        ("0x1f", 31),
        ("0o17", 15),
        ("-7", -7),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    for events in (positions.fast_events, positions.pure_events):
        reading = positions.read(f"a: {written}\n".encode(), events)
        found = reading.documents[0].value["a"]
        assert (found, type(found)) == (value, type(value))


def test_line_pointers_use_the_canonical_spelling_of_every_field() -> None:
    spec = "  modelRef: m\n  governance:\n    require_approval:\n      - write: x\n"
    (resource,) = parse(agent(spec)).resources

    assert resource.lines == {
        "/spec/model_ref": 6,
        "/spec/governance": 7,
        "/spec/governance/requireApproval/0": 9,
    }
    assert resource.mentions == (Mention(Key("default", "ModelEndpoint", "m"), 6, 13, True),)


def test_a_memory_without_allow_is_a_warning() -> None:
    (problem,) = parse(agent("  model: x\n  memory: {ref: m}\n")).problems
    assert problem.severity is Severity.WARNING
    assert (problem.line, "without `allow`" in problem.message) == (7, True)


def test_a_contract_that_holds_to_nothing_is_a_mistake_with_its_place() -> None:
    (problem,) = parse(agent("  model: x\n  execution: {profile: contract}\n")).problems
    assert problem.severity is Severity.ERROR
    assert (problem.line, "needs tool_sequence" in problem.message) == (7, True)


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("Tool", "  endpoint: http://x\n  runtime: {isolationMode: sandboxed}\n", "isolation"),
        ("Tool", f"  description: x\n  endpoint: https://me:{CANARY}@x/\n", "a password"),
        (
            "ModelEndpoint",
            f"  default_model: m\n  base_url: https://u:{CANARY}@x/\n",
            "a password",
        ),
    ],
    ids=[
        "isolation",
        "tool",
        "url",
    ],
)
def test_what_a_task_a_tool_or_an_endpoint_promises_in_vain_is_a_warning(
    kind: str, spec: str, message: str
) -> None:
    parsed = parse(agent(spec).replace("kind: Agent", f"kind: {kind}"))

    (problem,) = parsed.problems
    assert problem.severity is Severity.WARNING
    assert problem.line == 7
    assert message in problem.message
    assert CANARY not in problem.message


def test_fields_at_their_defaults_are_no_warning() -> None:
    assert not parse(
        agent("  model: x\n  roles: []\n  execution: {profile: dynamic}\n")
    ).problems


def hostile() -> Iterator[tuple[str, bytes]]:
    yield "nested lists", b"[" * 100_000
    yield "nested mappings", b"{a: " * 60_000
    yield "nested items", b"- " * 120_000
    yield "nested keys", b"? " * 120_000
    yield "too large", b"a" * (positions.BYTES_MAX + 1)
    yield "many nodes", b"[" + b"a," * 100_000 + b"]"
    yield "many documents", b"---\na: 1\n" * 20_000
    yield "aliases", b"a: &a [x]\n" + b"b: [*a, *a]\n" * 10_000
    yield "merge keys", b"<<: {a: 1}\n" * 20_000
    yield "duplicates", b"a: 1\n" * 9_000
    yield "long key", b"a" * 200_000 + b": 1\n"
    yield "unknown fields", b"kind: Agent\n" + b"".join(b"f%d: 1\n" % i for i in range(9_000))
    yield (
        "unknown spec fields",
        (HEAD + "spec: {").encode() + b"".join(b"f%d: 1, " % i for i in range(9_000)) + b"}",
    )
    yield "bad documents", (HEAD + "spec: {zz: 1, yy: 2}\n---\n").encode() * 256
    yield "wrong items", agent("  model: x\n  tools: [" + "1," * 15_000 + "]\n").encode()
    yield "long number", b"a: " + b"9" * 200_000
    yield "quotes", b'"' * 200_001
    yield "percent", b"%" * 200_000
    yield "anchors", b"&a " * 60_000


@pytest.mark.parametrize("content", [pytest.param(c, id=name) for name, c in hostile()])
def test_hostile_text_is_refused_quickly(content: bytes) -> None:
    started = time.process_time()
    parsed = parse(content)

    assert time.process_time() - started < 2.0
    assert not parsed.resources
    assert has_errors(parsed.problems)
    assert len(parsed.problems) <= parser.PROBLEMS_MAX


@pytest.mark.parametrize(
    ("at_limit", "beyond", "message"),
    [
        ("[" * 64 + "]" * 64, "[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ("[" + "a," * 19_999 + "]", "[" + "a," * 20_000 + "]", "more than 20000 values"),
        ("--- {}\n" * 256, "--- {}\n" * 257, "more than 256 documents"),
        ("#" * 262_144, "#" * 262_145, "larger than 256 KiB"),
    ],
    ids=["depth", "nodes", "documents", "bytes"],
)
def test_each_limit_holds_exactly(at_limit: str, beyond: str, message: str) -> None:
    for events in (positions.fast_events, positions.pure_events):
        assert not positions.read(at_limit.encode(), events).mistakes
        (mistake,) = positions.read(beyond.encode(), events).mistakes
        assert message in mistake.message


def test_half_a_surrogate_pair_is_refused_by_both_readers() -> None:
    for events in (positions.fast_events, positions.pure_events):
        (mistake,) = positions.read(b'a: "\\ud800"', events).mistakes
        assert "character" in mistake.message


def test_a_hundred_thousand_brackets_are_refused_within_milliseconds() -> None:
    started = time.perf_counter()
    (problem,) = parse(b"[" * 100_000).problems

    assert time.perf_counter() - started < 0.1
    assert (problem.line, problem.column) == (1, positions.DEPTH_MAX + 1)


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore"))
)
@example(b"a: !<x")
@example(b"? - ? - :")
@example(b"kind: {}\napiVersion: []\nmetadata: 1\nspec: ~")
@example(b'a: "\\ud800"')
def test_no_bytes_make_parsing_raise(content: bytes) -> None:
    parsed = parse(content)

    for problem in parsed.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        str(problem).encode()


YAML_PIECES = st.sampled_from(
    ["a", "kind", "Agent", "spec", ": ", ":", "\n", "\n  ", "- ", "[", "]", "{", "}", ",", "'"]
    + [
        '"',
        "&a ",
        "*a",
        "!t ",
        "|",
        ">",
        "---\n",
        "...\n",
        "#",
        "%",
        "<<",
        "? ",
        "\t",
        "1",
        "~",
    ]
    + ["\\", "é", "\u2028", "@", "`", "metadata", "orloj.dev/v1", "apiVersion", "name", "\x00"]
)


@given(st.lists(YAML_PIECES, max_size=40).map("".join))
def test_no_yaml_like_text_makes_either_reader_raise(text: str) -> None:
    parse(text)
    for events in (positions.fast_events, positions.pure_events):
        reading = positions.read(text.encode(), events)
        assert reading.mistakes or all(d.complete for d in reading.documents)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef", min_size=1), JSON, min_size=1))
def test_reading_what_was_written_as_json_is_identity(value: dict[str, Any]) -> None:
    for events in (positions.fast_events, positions.pure_events):
        reading = positions.read(render(value).encode(), events)
        assert not reading.mistakes
        assert reading.documents[0].value == value


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
PERMISSIONS = st.builds(
    lambda verb, resource: {verb: resource}, st.sampled_from(["read", "write"]), NAMES
)
AGENTS = st.fixed_dictionaries(
    {"model": TEXTS},
    optional={
        "prompt": TEXTS,
        "description": TEXTS,
        "tools": st.lists(
            st.fixed_dictionaries({"name": NAMES, "permissions": st.lists(PERMISSIONS)}),
            min_size=1,
            max_size=3,
        ),
        "governance": st.fixed_dictionaries(
            {"requireApproval": st.lists(PERMISSIONS, min_size=1)}
        ),
    },
)


@given(NAMES, AGENTS)
def test_a_resource_says_what_its_manifest_said(name: str, spec: dict[str, Any]) -> None:
    written = {
        "apiVersion": "orloj.dev/v1",
        "kind": "Agent",
        "metadata": {"name": name},
        "spec": spec,
    }
    (resource,) = parse(render(written)).resources

    assert resource.key.name == name
    again = json.loads(resource.body)
    assert parse(render(written | again)).resources[0].body == resource.body
    assert spec_of("Agent", resource.body) == KINDS["Agent"].model_validate(spec)


def test_encoding_keeps_everything_but_the_path() -> None:
    parsed = parse(
        agent("  model: x\n  tools: [t]\n") + "---\n" + secret("  stringData: {a: b}")
    )
    again = manifest.decode(manifest.encode(parsed.resources), "other.yaml", "blob")

    assert len(again) == 2
    assert again == tuple(replace(r, path="other.yaml", blob="blob") for r in parsed.resources)


def test_the_parser_version_is_stable_within_a_version() -> None:
    assert manifest.parser_version() == manifest.parser_version()
    assert manifest.parser_version().startswith(f"{parser.MEANING}-")


def secret(spec: str, metadata: str = "{name: s}") -> str:
    """A secret's manifest, its spec beginning in line 5."""
    return f"apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {metadata}\nspec:\n{spec}\n"


def test_a_secret_is_stored_as_a_digest_and_can_be_opened() -> None:
    encoded = base64.b64encode(CANARY.encode()).decode()
    parsed = parse(secret(f"  stringData: {{a: {CANARY}}}\n  data: {{b: {encoded}}}"))

    (resource,) = parsed.resources
    spec = spec_of("Secret", resource.body)
    assert isinstance(spec, Secret)
    assert spec.string_data["a"] == spec.data["b"] == SEALER.seal(CANARY)[0]
    assert [SEALER.open(ciphertext) for _, ciphertext in resource.sealed] == [CANARY, CANARY]
    (warning,) = parsed.problems
    assert (warning.severity, warning.line) == (Severity.WARNING, 5)
    assert "secret value stands in Git" in warning.message


@pytest.mark.parametrize(
    "text",
    [
        secret(f"  stringData: {{a: {CANARY}}}"),
        secret(f"  stringData:\n    a: {CANARY}\n    a: {CANARY}"),
        secret(f"  stringData: {CANARY}"),
        secret(f"  stringData: [{CANARY}]"),
        secret(f"  stringData:\n    a: [{CANARY}]"),
        secret(f"  stringData:\n    a: !x {CANARY}"),
        secret(f"  stringData:\n    a: &x {CANARY}\n    b: *x"),
        secret(f"  data:\n    a: {CANARY}"),
        secret(f"  password: {CANARY}"),
        secret(f"  stringData:\n    a: '{CANARY}"),
        secret(f"  stringData:\n    a: {CANARY}: x"),
        secret(f"  stringData:\n    a: |\n      {CANARY}\n     {CANARY}: ["),
        secret(
            f"  stringData: {{a: {CANARY}}}", f'{{name: s, annotations: {{x: "{CANARY}"}}}}'
        ),
        secret(f"  stringData: {{a: {CANARY}}}", f'{{name: s, labels: {{"x {CANARY}": y}}}}'),
        secret(f"  stringData: {{a: {CANARY}}}").replace("Secret", "Secert"),
        secret(f"  stringData: {{a: {CANARY}}}").replace("kind: Secret\n", ""),
        secret(f"  stringData: {{a: {CANARY}}}").replace("Secret", "Agent"),
        secret(f"  data: {{a: {CANARY}}}").replace("Secret", "Agent"),
        agent("  model: x\n") + secret(f"  stringData: {{a: {CANARY}}}"),
        secret(f"  stringData: {{a: {CANARY}}}").replace("apiVersion", f"x: [{CANARY}"),
        f"kind: Secret\n{CANARY}: [",
        f"{{kind: Secret, stringData: {{a: {CANARY}}}",
        f"- {CANARY}",
    ],
)
def test_a_secret_value_appears_nowhere(text: str) -> None:
    parsed = parse(text)

    assert CANARY in text
    assert parsed.problems
    assert CANARY not in repr(parsed)
    assert CANARY not in manifest.encode(parsed.resources)


@given(
    st.sampled_from(["kind", "spec:", "stringData:", "a: ", "\n", "{", ":", "  ", "s"]),
    st.data(),
)
def test_a_secret_with_a_piece_torn_out_still_shows_no_value(piece: str, data: Any) -> None:
    whole = secret(f"  stringData:\n    a: {CANARY}\n    b: |\n      {CANARY}")
    at = data.draw(st.integers(0, len(whole)))
    torn = whole[:at] + piece + whole[at + len(piece) :]

    for problem in parse(torn).problems:
        assert CANARY not in repr(problem)


@pytest.mark.parametrize(
    ("line", "shown"),
    [("    a: 12345", "    a: (hidden)"), ('    "a": 12345', "    (hidden)")],
    ids=["plain key", "key in quotes"],
)
def test_of_a_line_of_a_secret_only_a_plain_key_is_shown(line: str, shown: str) -> None:
    (problem,) = parse(secret(f"  stringData:\n{line}")).problems

    assert problem.excerpt == shown


@pytest.mark.parametrize(
    "line",
    [
        f"  api_key: {CANARY}",
        f"  apiKey: {CANARY}",
        f"  authToken: {CANARY}",
        f'  "password" : {CANARY}',
        f"  options: {{Authorization: [{CANARY}]}}",
    ],
    ids=["api-key", "camel", "token", "quoted", "inside"],
)
def test_a_line_whose_key_promises_a_secret_is_masked_in_every_kind(line: str) -> None:
    problems = parse(agent(f"  model: x\n{line}\n")).problems

    assert problems
    assert not [problem for problem in problems if CANARY in repr(problem)]


def test_the_line_of_an_ordinary_manifest_is_shown() -> None:
    problem = parse(agent("  modle: x\n")).problems[0]

    assert problem == Problem(
        "a.yaml",
        6,
        3,
        "unknown field `modle`",
        "did you mean `model`?",
        Severity.ERROR,
        "  modle: x",
    )


@pytest.mark.parametrize("price", ["10", "2.5", "'2.5'", "0", "1e1"])
def test_an_amount_is_read_as_it_is_written(price: str) -> None:
    text = f"""\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: a
spec:
  default_model: m
  prices:
    m: {{input: {price}, output: {price}}}
"""
    found = manifest.parse(text.encode(), "a.yaml", lambda *_: ("", ""))
    assert found.problems == ()
    (made,) = found.resources
    written = json.loads(made.body)["spec"]["prices"]["m"]["input"]
    assert Decimal(written) == Decimal(price.strip("'"))


@pytest.mark.parametrize("price", ["true", "cheap", ".nan", "-1", "[1]", "2000000"])
def test_what_is_no_amount_is_refused_where_it_stands(price: str) -> None:
    text = f"""\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: a
spec:
  default_model: m
  prices:
    m: {{input: {price}, output: 1}}
"""
    found = manifest.parse(text.encode(), "a.yaml", lambda *_: ("", ""))
    assert [(item.line, item.column) for item in found.problems] == [(8, 16)]
