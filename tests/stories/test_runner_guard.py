"""Nothing reaches a tool before the decision about it is durable, and no secret gets out.

The runner, its workers and the tool's server are processes and sockets of their own; the
server and the programs look, at the moment they are called, at what is in the database.
"""

import json
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from canaries import in_processes
from home import Home
from local_server import Answer, LocalServer, Received
from model_server import ModelServer, completion, said

from runner.contract import audit_check
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

NEEDS = {"read": "tickets"}


def declared(home: Home, endpoint: str, permissions: list[Any], **tool: Any) -> Key:
    """An agent whose scripted model calls one tool and then replies."""
    calls = [{"tool": "tickets", "arguments": {"q": "all"}}]
    home.record(
        "ModelEndpoint",
        "default",
        {
            "provider": "mock",
            "default_model": "m",
            "script": {"clerk": [{"calls": calls}, {"reply": "{result.1}"}]},
        },
    )
    home.record(
        "Tool",
        "tickets",
        {"type": "http", "endpoint": endpoint, "requires": [NEEDS], **tool},
    )
    grant = [{"name": "tickets", "permissions": permissions}]
    return home.record("Agent", "clerk", {"model": "m", "tools": grant})


def logged(home: Home, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in home.entries() if entry["type"] == kind]


def test_a_tool_that_is_called_finds_its_decision_in_the_database(home: Home) -> None:
    def looking(_: Received) -> Answer:
        found = [entry for entry in logged(home, "action.decided") if "tool" in entry]
        steps = home.rows("SELECT kind, phase FROM step WHERE kind = 'tool'")
        return said([found[-1]["decision"], found[-1]["tool"], [list(row) for row in steps]])

    with LocalServer(looking).running() as server:
        agent = declared(home, server.url, [NEEDS])
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded", "failed"})
    (output,) = home.rows("SELECT output FROM task WHERE id = ?", task)[0]
    assert json.loads(output) == ["allow", "tickets", [["tool", "begun"]]]


def test_a_denied_call_never_reaches_the_server(home: Home) -> None:
    with LocalServer(lambda _: Answer(200)).running() as server:
        agent = declared(home, server.url, [{"write": "tickets"}])
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded", "failed"})
    assert server.received == []
    assert [entry["decision"] for entry in logged(home, "action.decided")][1] == "deny"


NO_DECISION = {
    "sqlite": """
        CREATE TRIGGER full BEFORE INSERT ON audit_entry
        WHEN NEW.type = 'action.decided' AND NEW.tool IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'no'); END
    """,
    "postgresql": """
        ALTER TABLE audit_entry ADD CONSTRAINT refused
        CHECK (NOT (type = 'action.decided' AND tool IS NOT NULL))
    """,
}


def test_a_decision_that_can_never_be_written_fails_its_task_alone(home: Home) -> None:
    with LocalServer(lambda _: Answer(200)).running() as server:
        agent = declared(home, server.url, [NEEDS])
        other = home.record("Agent", "other", {"model": "m"})
        with home.database.write() as connection:
            connection.exec_driver_sql(NO_DECISION[connection.dialect.name])
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            others = home.submit(other, 3)
            home.wait([task], {"failed"})
            home.wait(others, {"succeeded"})
    assert server.received == []
    assert [entry for entry in home.entries(task) if "tool" in entry] == []
    ((error,),) = home.rows("SELECT error FROM task WHERE id = ?", task)
    assert error.startswith("its tool cannot be written down (")


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_on_a_full_disk_nothing_is_called_until_there_is_room(home: Home) -> None:
    with LocalServer(lambda _: Answer(200, b"told")).running() as server:
        agent = declared(home, server.url, [NEEDS])
        with home.runner(workers=1) as runner:
            home.until(lambda: logged(home, "log.started"))
            _, hard = resource.prlimit(runner.pid, resource.RLIMIT_FSIZE)
            # No file of the runner may grow beyond this: writing fails as on a full disk.
            resource.prlimit(runner.pid, resource.RLIMIT_FSIZE, (1, hard))
            (task,) = home.submit(agent)
            until = time.monotonic() + 2
            home.until(lambda: time.monotonic() > until)
            assert (server.received, home.state(task)) == ([], "pending")
            resource.prlimit(runner.pid, resource.RLIMIT_FSIZE, (hard, hard))
            home.wait([task], {"succeeded", "failed"})
    assert home.state(task) == "succeeded"
    assert len(server.received) == 1
    assert len(logged(home, "log.started")) == 1, "it ended, and was started again"
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


FILE = "canary-file-8841"


def test_secrets_of_files_are_in_no_file_log_argument_or_environment(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "key").write_text(FILE, encoding="utf-8")
    (home.folder / "orloj.toml").write_text(
        f'[secrets]\nfolder = "{folder}"\n', encoding="utf-8"
    )
    home.record("Secret", "key", {"fromFile": {"value": "key"}})
    seen: set[tuple[int, str, str]] = set()

    def echoing(request: Received) -> Answer:
        seen.update(in_processes([FILE]))
        return said({"you": request.headers, "hex": FILE.encode().hex(), "body": FILE * 3})

    asked = completion(None, [{"name": "tickets", "arguments": json.dumps({FILE: [FILE]})}])
    with (
        LocalServer(echoing).running() as server,
        ModelServer(asked, completion(f"it is {FILE}")).running() as model,
    ):
        auth = {"auth": {"secretRef": "key"}}
        agent = declared(home, server.url, [NEEDS], **auth)
        endpoint = {"provider": "openai-compatible", "base_url": model.url + "/v1"}
        home.record("ModelEndpoint", "default", {**endpoint, "default_model": "m", **auth})
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            home.wait([task], {"succeeded", "failed"})
            kept = [path for path in home.folder.rglob("*") if path.is_file()]
            found = [path.name for path in kept if FILE.encode() in path.read_bytes()]
    assert home.state(task) == "succeeded"
    assert server.received[0].headers["Authorization"] == f"Bearer {FILE}"
    assert json.loads(server.received[0].body) == {"(secret)": ["(secret)"]}
    assert (found, seen) == ([], set())
    assert home.database.shared or any(path.name.endswith("-wal") for path in kept)
