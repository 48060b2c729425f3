"""An agent whose model obeys an attacker gets nothing that its manifests do not grant.

The model is a server that asks for whatever the attempt says, the runner and its worker are
processes, the tools are a server that remembers who called. All attempts run in one home, at
once; each ends in a denial or in a bounded answer, and in an entry that says so, and the log
of it all holds.
"""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import completion
from postgresql_server import Server

from runner.contract.kinds import Key

pytestmark = pytest.mark.story

READ = {"read": "sales_db"}
ENDED = {"succeeded", "failed", "dead"}
LONG = "x" * 20_000


@dataclass(frozen=True)
class Attempt:
    """What the model asks for, and how it has to end.

    `calls` are pairs of a tool's name and its arguments; arguments that are a text go over
    the wire as they are. `denied` is what the entry's reason says of the last call; `ended`
    is what the task's error says instead, where the reply as a whole is refused.
    """

    name: str
    calls: tuple[tuple[str, Any], ...] = ()
    denied: str = ""
    ended: str = ""
    text: str | None = None
    system: str = ""
    """The system that is run, where one agent hands its work on."""

    def answer(self) -> Answer:
        """What the model says at first."""
        calls = [
            {"name": tool, "arguments": given if isinstance(given, str) else json.dumps(given)}
            for tool, given in self.calls
        ]
        return completion(self.text, calls or None)


def one(name: str, tool: str, arguments: Any, denied: str = "", **more: Any) -> Attempt:
    return Attempt(name, ((tool, arguments),), denied, **more)


NOT_GRANTED = "is not granted the tool"
DB = {"database": "sales_db"}

NAMES = [
    one(f"a tool by the name of {name}", tool, DB, NOT_GRANTED)
    for name, tool in {
        "one that is declared and not granted": "payroll",
        "one that nobody declared": "shell",
        "a granted one in capitals": "QUERY",
        "a granted one with a space": "query ",
        "a granted one with a zero-width space": "que\u200bry",
        "a granted one in full-width letters": "\uff51uery",
        "a granted one with a Cyrillic letter": "qu\u0435ry",
        "a granted one with a soft hyphen": "que\u00adry",
        "a granted one read from right to left": "\u202equery",
        "a granted one after its namespace": "default/query",
        "one of another namespace": "vault/query",
        "one of another namespace, as the protocol writes it": "vault__slash__query",
        "a path": "../query",
        "a pattern": "*",
        "a NUL and more": "query\x00payroll",
        "a method of the wire": "finish",
    }.items()
]

UNCLEAR = "plain form|neither a text|missing|longer than|with a space"
ARGUMENTS = [
    one(f"a permission from {name}", "query", given, denied)
    for name, given, denied in [
        ("another resource", {"database": "other_db"}, "not granted read:other_db"),
        ("the resource in capitals", {"database": "SALES_DB"}, "not granted read:SALES_DB"),
        ("a space before", {"database": " sales_db"}, UNCLEAR),
        ("a newline after", {"database": "sales_db\n"}, UNCLEAR),
        ("a compatible letter", {"database": "\uff53ales_db"}, UNCLEAR),
        ("a zero-width joiner", {"database": "sales\u200d_db"}, UNCLEAR),
        ("a NUL", {"database": "sales_db\x00other"}, "not granted|plain form"),
        ("half a surrogate pair", '{"database": "sales_db\\ud800"}', "not granted|plain form"),
        ("a star", {"database": "*"}, r"not granted read:\*"),
        ("a template", {"database": "{args.database}"}, "not granted"),
        ("a step out", {"database": "../sales_db"}, UNCLEAR),
        ("a step back", {"database": "sales_db/../other_db"}, UNCLEAR),
        ("a backslash", {"database": "sales_db\\..\\other_db"}, UNCLEAR),
        ("a list", {"database": ["sales_db"]}, UNCLEAR),
        ("an object", {"database": {"name": "sales_db"}}, UNCLEAR),
        ("a number", {"database": 7}, "not granted read:7"),
        ("a fraction", {"database": 1.5}, UNCLEAR),
        ("true", {"database": True}, UNCLEAR),
        ("null", {"database": None}, UNCLEAR),
        ("nothing", {}, UNCLEAR),
        ("another spelling of the name", {"Database": "sales_db"}, UNCLEAR),
        ("a very long text", {"database": LONG}, UNCLEAR),
    ]
]
PATHS = [
    one(f"a file by {name}", "files", {"path": path}, denied)
    for name, path, denied in [
        ("a path beside", "private/key", "not granted read:files/private/key"),
        ("a step out", "public/../private/key", UNCLEAR),
        ("an empty step", "public//../key", UNCLEAR),
        ("an absolute path", "/etc/passwd", UNCLEAR),
        ("a step on the spot", "public/./key", UNCLEAR),
        ("a division slash", "public\u2215..\u2215key", "not granted|plain form"),
    ]
]
RIGHTS = [
    one("a right that was given for another tool", "export", DB, "not granted read:sales_db"),
    one("a verb that was not given", "write", DB, "not granted write:sales_db"),
    one("a tool that declares no requirement", "bare", DB, "declares no permission"),
    one("a tool that a policy blocks", "blocked", DB, "blocks the tool"),
]
HAND_OFFS = [
    one("what who hands on may not do", "write", DB, "hands its work on", system="relay"),
    one("what another agent gains", "write", DB, "hands its work on", system="gains"),
]
MALFORMED = "no JSON object"
REPLIES = [
    Attempt(
        "thousands of calls in one reply",
        tuple(("query", DB) for _ in range(5_000)),
        ended="more than 64 calls at once",
    ),
    *(
        one(name, "query", given, ended=MALFORMED)
        for name, given in {
            "arguments a hundred thousand levels deep": "[" * 100_000 + "]" * 100_000,
            "an object a hundred levels deep": '{"a":' * 100 + "1" + "}" * 100,
            "a key given twice": '{"database":"sales_db","database":"other_db"}',
            "arguments that are no JSON": "sales_db",
            "arguments that are a list": '["sales_db"]',
        }.items()
    ),
    one("a number that JSON does not have", "query", '{"database": NaN}', ended="number"),
    one("a tool without a name", "", DB, ended="without a usable name"),
    one("a name of twenty thousand letters", LONG, DB, ended="without a usable name"),
    Attempt("a reply of two million letters", text="x" * 2_000_000, ended="longer than"),
    Attempt("a reply of eighteen million letters", text="x" * 18_000_000, ended="longer than"),
]
LIMITS = [
    one("more calls than a turn has steps", "query", DB, ended="max_steps"),
]
ATTEMPTS = [*NAMES, *ARGUMENTS, *PATHS, *RIGHTS, *HAND_OFFS, *REPLIES, *LIMITS]


@dataclass
class Played:
    """The home after all attempts, and what the servers saw."""

    home: Home
    tasks: dict[str, str]
    called: list[Received]

    def reached(self, attempt: Attempt) -> list[Received]:
        """The calls of an attempt that reached the tools."""
        key = self.tasks[attempt.name]
        return [
            one for one in self.called if one.headers["Idempotency-Key"].split(":")[0] == key
        ]

    def task(self, attempt: Attempt) -> tuple[str, str]:
        """Its state, and its error or its output."""
        (row,) = self.home.rows(
            "SELECT state, error, output FROM task WHERE id = ?", self.tasks[attempt.name]
        )
        return row[0], row[1] or row[2] or ""


def says(request: Received) -> Answer:
    """The model: it asks for what the attempt in its prompt says, then is done."""
    messages = json.loads(request.body)["messages"]
    attempt = BY_NAME.get(messages[0]["content"])
    if attempt is None:  # Whoever only hands on.
        return completion("go on")
    if any(message["role"] == "tool" for message in messages) and attempt not in LIMITS:
        return completion("done")
    return attempt.answer()


BY_NAME = {attempt.name: attempt for attempt in ATTEMPTS}
WRITE = {"write": "sales_db"}
FILES = {"read": "files/{args.path}"}
GRANTS = [
    {"name": "query", "permissions": [READ]},
    {"name": "files", "permissions": [{"read": "files/public/*"}]},
    {"name": "export"},
    {"name": "write", "permissions": [READ]},
    {"name": "bare", "permissions": [READ]},
    {"name": "blocked", "permissions": [READ]},
]


def declare(home: Home, model: str, tools: str) -> None:
    """What all attempts meet: a model that obeys, tools, and a policy."""
    endpoint = {"provider": "openai-compatible", "base_url": f"{model}/v1"}
    home.record("ModelEndpoint", "default", {**endpoint, "default_model": "m"})
    template = {"read": "{args.database}"}
    for name, requires in {
        "query": [template],
        "export": [template],
        "payroll": [READ],
        "blocked": [READ],
        "write": [{"write": "{args.database}"}],
        "files": [FILES],
        "bare": [],
    }.items():
        spec = {"type": "http", "endpoint": tools, "requires": requires}
        home.record("Tool", name, spec)
    home.record("Tool", "query", {"endpoint": tools, "requires": [READ]}, namespace="vault")
    blocks = {"blocked_tools": ["blocked"], "apply_mode": "global"}
    home.record("AgentPolicy", "rules", blocks)


def agent(home: Home, number: int, attempt: Attempt) -> Key:
    """The subject of an attempt: an agent alone, or behind one that hands its work on."""
    grants = GRANTS
    if attempt.system:  # It may do by itself what the chain may not.
        grants = [{"name": "write", "permissions": [WRITE]}]
    spec = {"model": "m", "prompt": attempt.name, "tools": grants, "limits": {"max_steps": 3}}
    key = home.record("Agent", f"agent-{number}", spec)
    if not attempt.system:
        return key
    home.record("Agent", "front", {"model": "m", "prompt": "hand on", "tools": []})
    order = ["front", key.name]
    gains = [{"agent": "front", "permissions": [WRITE]}] if attempt.system == "gains" else []
    graph = {"front": {"next": key.name}}
    system = {"agents": order, "graph": graph, "gains": gains}
    return home.record("AgentSystem", f"system-{number}", system)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """All attempts, played at once on each database."""
    url = ""
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        url = server.create(f"test_{uuid.uuid4().hex[:12]}")
    home = Home(tmp_path_factory.mktemp("hostile") / "home", url)
    tools = LocalServer(lambda _: Answer(200, b"rows"))
    with tools.running(), LocalServer(says).running() as model:
        declare(home, model.url, tools.url)
        subjects = [agent(home, number, one) for number, one in enumerate(ATTEMPTS)]
        with home.runner(workers=2, slots=32):
            tasks = [home.submit(subject)[0] for subject in subjects]
            home.wait(tasks, ENDED, timeout_s=100)
    names = [attempt.name for attempt in ATTEMPTS]
    yield Played(home, dict(zip(names, tasks, strict=True)), tools.received)
    home.close()


DENIED = [attempt for attempt in ATTEMPTS if attempt.denied]


@pytest.mark.parametrize("attempt", DENIED, ids=lambda attempt: attempt.name)
def test_it_is_denied_in_the_log_and_never_reaches_the_tool(
    played: Played, attempt: Attempt
) -> None:
    entries = played.home.entries(played.tasks[attempt.name])
    decided = [one for one in entries if one["type"] == "action.decided" and "tool" in one]
    requested = [one for one in entries if one["type"] == "action.requested" and "tool" in one]
    assert [one["decision"] for one in decided] == ["deny"]
    assert re.search(attempt.denied, decided[0]["reason"]), decided[0]["reason"]
    assert ":" in decided[0]["rule"], "no manifest line is named"
    assert len(requested) == 1
    assert played.reached(attempt) == []
    assert not [one for one in entries if one["type"] == "action.executed" and "tool" in one]
    assert played.task(attempt) == ("succeeded", "done")


@pytest.mark.parametrize("attempt", REPLIES, ids=lambda attempt: attempt.name)
def test_a_reply_that_cannot_be_worked_with_ends_its_task_and_calls_nothing(
    played: Played, attempt: Attempt
) -> None:
    state, error = played.task(attempt)
    entries = played.home.entries(played.tasks[attempt.name])
    assert state == "failed"
    assert attempt.ended in error
    assert len(error) < 1_000
    assert [one["type"] for one in entries if "model" in one][-1] == "action.failed"
    assert not [one for one in entries if "tool" in one]
    assert played.reached(attempt) == []


@pytest.mark.parametrize("attempt", LIMITS, ids=lambda attempt: attempt.name)
def test_an_agent_that_never_ends_is_ended(played: Played, attempt: Attempt) -> None:
    state, error = played.task(attempt)
    assert (state, attempt.ended in error) == ("failed", True)
    assert len(played.reached(attempt)) == 3


def test_nothing_but_what_is_granted_ever_reached_a_tool(played: Played) -> None:
    assert [json.loads(one.body) for one in played.called] == [DB] * 3
    assert {one.headers["Idempotency-Key"].split(":")[0] for one in played.called} == {
        played.tasks[LIMITS[0].name]
    }


def test_the_log_of_all_attempts_holds(played: Played) -> None:
    verified = played.home.orloj("audit", "verify", "--json")
    assert json.loads(verified.stdout)["holds"], verified.stdout
    assert json.loads(verified.stdout)["entries"] > 4 * len(ATTEMPTS)
