"""What becomes of a tool call stands in the journal and the log: its code, and every try.

Real runner, workers and servers; only the model is a script.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from canaries import in_files
from home import Home
from local_server import Answer, LocalServer, Received

from runner import past

READ = {"read": "orders"}
GRANT = [{"name": "orders", "permissions": [READ]}]
SCHEMA = {
    "properties": {"amount": {"type": "integer"}},
    "required": ["amount"],
    "additionalProperties": False,
}
ONCE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
PASSWORD, TOKEN = "canary-client-0c4e", "canary-token-9d1b"


def called(home: Home, tool: dict[str, Any], arguments: Any, **agent: Any) -> str:
    """The task of an agent that calls its tool once and says what it was told."""
    calls = [{"calls": [{"tool": "orders", "arguments": arguments}]}, {"reply": "{result.1}"}]
    endpoint = {"provider": "mock", "default_model": "m", "script": {"clerk": calls}}
    home.record("ModelEndpoint", "default", endpoint)
    home.record("Tool", "orders", {"requires": [READ], **tool})
    clerk = home.record("Agent", "clerk", {"model": "m", "tools": GRANT, **agent})
    with home.runner(workers=1):
        (task,) = home.submit(clerk)
        home.wait([task], {"succeeded"})
    return task


def step(home: Home) -> tuple[str, Any]:
    ((phase, result),) = home.rows("SELECT phase, result FROM step WHERE kind = 'tool'")
    return phase, json.loads(result)


def entry(home: Home, task: str, type: str) -> dict[str, Any]:
    found = [one for one in home.entries(task) if one["type"] == type and one.get("tool")]
    (one,) = found
    return one


def test_arguments_that_do_not_fit_ask_nobody_and_reach_no_server(home: Home) -> None:
    asking = {"requireApproval": [READ]}
    with LocalServer(lambda _: Answer(200, b"done")).running() as server:
        tool = {"endpoint": server.url, "input_schema": SCHEMA}
        arguments = {"amount": 1, "canary-name": "canary-value"}
        task = called(home, tool, arguments, governance=asking)
    assert server.received == []
    assert home.rows("SELECT count(*) FROM approval") == [(0,)]
    said = 'invalid input at /: "canary-name" is not declared'
    assert step(home) == ("denied", {"denied": said, "code": "invalid_input"})
    assert home.rows("SELECT output FROM task") == [(f"Denied (invalid_input): {said}",)]
    decided = entry(home, task, "action.decided")
    assert (decided["decision"], decided["tool_code"]) == ("deny", "invalid_input")
    assert "/additionalProperties of its input_schema" in str(decided)
    assert "canary" not in json.dumps(home.entries(task))
    with home.database.read() as connection:  # Other rules could not have allowed it either.
        assert list(past.calls(connection, None, 0)) == []


def test_a_tool_that_was_not_given_is_denied_before_its_schema_tells_anything(
    home: Home,
) -> None:
    tool = {"endpoint": "http://127.0.0.1:1", "input_schema": SCHEMA}
    task = called(home, tool, {}, tools=[])
    phase, result = step(home)
    assert (phase, result["code"]) == ("denied", "permission_denied")
    assert "amount" not in json.dumps(result)
    (denied,) = [one for one in home.entries(task) if one.get("decision") == "deny"]
    assert denied["tool_code"] == "permission_denied"


@ONCE
def test_each_try_stands_in_the_journal_and_the_log(home: Home) -> None:
    answers = [Answer(429, b"slow down"), Answer(503, b"", {"Retry-After": "0"})]

    def answer(_: Received) -> Answer:
        return answers.pop(0) if answers else Answer(200, b"at last")

    with LocalServer(answer).running() as server:
        retry = {"max_attempts": 3, "backoff": "1ms"}
        task = called(home, {"endpoint": server.url, "runtime": {"retry": retry}}, {})
    assert {seen.headers["Idempotency-Key"] for seen in server.received} == {f"{task}:2"}
    phase, result = step(home)
    assert (phase, result["content"], len(server.received)) == ("done", "at last", 3)
    assert [one["code"] for one in result["tries"]] == ["execution_failed"] * 2
    assert "answered 429: slow down" in result["tries"][0]["error"]
    assert entry(home, task, "action.executed")["tries"] == 3
    logged = (home.folder / "runner.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in logged.splitlines()]
    again = [line for line in lines if line["action"] == "tool_retried"]
    assert [(one["task"], one["attempt"], one["code"]) for one in again] == [
        (task, 1, "execution_failed"),
        (task, 2, "execution_failed"),
    ]


@ONCE
def test_a_failure_has_its_code_in_the_journal_the_log_and_the_answer(home: Home) -> None:
    with LocalServer(lambda _: Answer(403, b"not you")).running() as server:
        task = called(home, {"endpoint": server.url}, {})
    phase, result = step(home)
    assert (phase, result["code"]) == ("failed", "auth_forbidden")
    assert entry(home, task, "action.failed")["tool_code"] == "auth_forbidden"
    assert "action.failed" in {one["type"] for one in home.entries(task)}
    ((told,),) = home.rows("SELECT output FROM task")
    assert told.startswith("Error (auth_forbidden): ")
    assert told.endswith("answered 403: not you")


@ONCE
def test_client_credentials_go_to_the_token_endpoint_and_stand_nowhere(
    home: Home, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "id").write_text("orloj", encoding="utf-8")
    (credentials / "password").write_text(PASSWORD, encoding="utf-8")
    (home.folder / "orloj.toml").write_text(f'[secrets]\nfolder = "{credentials}"\n')
    entries = {"client_id": "id", "client_secret": "password"}
    home.record("Secret", "keys", {"fromFile": entries})

    def echo(seen: Received) -> Answer:
        return Answer(200, json.dumps([seen.headers, PASSWORD, f"orloj:{PASSWORD}"]).encode())

    grant = json.dumps({"access_token": TOKEN, "expires_in": 60}).encode()
    with (
        LocalServer(echo).running() as server,
        LocalServer(lambda _: Answer(200, grant)).running() as tokens,
    ):
        auth = {
            "secretRef": "keys",
            "profile": "oauth2_client_credentials",
            "tokenURL": tokens.url,
        }
        called(home, {"endpoint": server.url, "auth": auth}, {})
    assert server.received[0].headers["Authorization"] == f"Bearer {TOKEN}"
    phase, result = step(home)
    assert (phase, result["content"].count("(secret)")) == ("done", 4)
    written = [path for path in home.folder.rglob("*") if path.is_file()]
    assert in_files(written, [PASSWORD, TOKEN]) == []
