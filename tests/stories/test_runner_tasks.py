"""A task does what its manifests say at the commit it began on, and fails with a reason."""

import json
import threading
from typing import Any

import pytest
from home import COMMIT, Home
from local_server import Answer, LocalServer, Received

from runner.contract import clock, kinds
from runner.contract.kinds import Key, Metadata

pytestmark = pytest.mark.story

READ = {"read": "files"}


def mock(home: Home, **script: Any) -> None:
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": script},
    )


def record_elsewhere(home: Home, namespace: str, kind: str, name: str, spec: Any) -> None:
    body = kinds.canonical(
        Metadata(name=name, namespace=namespace), kinds.KINDS[kind].model_validate(spec)
    )
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO resource VALUES (?, ?, ?, 'git:default', ?, 'x.yaml', 1, NULL, ?, ?,"
            " '{}', 1, 0)",
            (namespace, kind, name, COMMIT, kinds.digest(body), body),
        )
        connection.exec_driver_sql("UPDATE state SET serial = serial + 1")


def test_agents_hand_their_work_on_and_each_has_its_own_steps(home: Home) -> None:
    mock(
        home,
        one=[{"reply": "1 of {input.n}"}],
        two=[{"reply": "2 after {previous}"}],
        three=[{"reply": "3 after {previous}"}],
    )
    for name in ("one", "two", "three"):
        home.record("Agent", name, {"model": "m"})
    system = home.record("AgentSystem", "chain", {"agents": ["one", "two", "three"]})
    with home.runner(workers=1):
        tasks = home.submit(system, input={"n": "9"})
        home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT output FROM task") == [("3 after 2 after 1 of 9",)]
    assert home.rows("SELECT number, agent FROM step ORDER BY number") == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


def test_agents_of_other_namespaces_are_told_apart_and_take_nobody_down(home: Home) -> None:
    mock(home, clerk=[{"reply": "near"}])
    home.record("Agent", "clerk", {"model": "m"})
    script = {"clerk": [{"reply": "far after {previous}"}]}
    spec = {"provider": "mock", "default_model": "m", "script": script}
    record_elsewhere(home, "other", "ModelEndpoint", "default", spec)
    record_elsewhere(home, "other", "Agent", "clerk", {"model": "m"})
    system = home.record("AgentSystem", "both", {"agents": ["clerk", "other/clerk"]})
    with home.runner(workers=1):
        tasks = home.submit(system)
        home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT output FROM task") == [("far after near",)]
    assert home.rows("SELECT agent FROM step ORDER BY number") == [("clerk",), ("other/clerk",)]


def test_a_push_in_the_middle_changes_nothing_for_a_task_that_began(home: Home) -> None:
    gate = threading.Event()

    def wait(_: Received) -> Answer:
        gate.wait(20)
        return Answer(200, b"through")

    with LocalServer(wait).running() as server:
        mock(home, clerk=[{"calls": [{"tool": "gate"}]}, {"reply": "old, {result.1}"}])
        tool = {"endpoint": server.url, "requires": [READ], "idempotent": True}
        home.record("Tool", "gate", tool)
        grant = [{"name": "gate", "permissions": [READ]}]
        agent = home.record("Agent", "clerk", {"model": "m", "tools": grant})
        with home.runner(workers=1):
            (before,) = home.submit(agent)
            home.until(lambda: server.received)
            mock(home, clerk=[{"calls": [{"tool": "gate"}]}, {"reply": "new, {result.1}"}])
            home.record("Agent", "clerk", {"model": "m"})
            gate.set()
            (after,) = home.submit(agent)
            home.wait([before, after], {"succeeded"})
    output = dict(home.rows("SELECT id, output FROM task"))
    assert output[before] == "old, through"
    assert output[after].startswith(
        "new, Denied (permission_denied): the agent is not granted the tool gate"
    )
    sets = {
        entry["task"]: entry["manifests"] for entry in home.entries() if "manifests" in entry
    }
    assert sets[before] != sets[after]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (
            {"agents": ["a"], "graph": {"a": {"next": "a"}}},
            "has a loop: only a Task with max_turns",
        ),
        ({"agents": ["a", "ghost"]}, "agent/default/ghost is not declared"),
    ],
    ids=["a loop", "a missing agent"],
)
def test_a_system_that_cannot_run_fails_with_the_reason(
    home: Home, order: dict[str, Any], reason: str
) -> None:
    mock(home)
    home.record("Agent", "a", {"model": "m"})
    system = home.record("AgentSystem", "s", order)
    with home.runner(workers=1):
        tasks = home.submit(system)
        home.wait(tasks, {"failed"})
    assert reason in home.rows("SELECT error FROM task")[0][0]


def test_tasks_whose_subject_is_gone_fail_and_hold_nobody_back(home: Home) -> None:
    mock(home)
    agent = home.record("Agent", "clerk", {"model": "m"})
    lost = home.submit(Key("default", "Agent", "ghost"), 100)
    good = home.submit(agent, 5)
    with home.runner(workers=1, slots=8):
        home.wait(good, {"succeeded"}, timeout_s=10)
        home.wait(lost, {"failed"})
    errors = {row[0] for row in home.rows("SELECT error FROM task WHERE state = 'failed'")}
    assert errors == {"agent/default/ghost is not declared any more"}


def test_attempts_run_out_and_the_task_is_dead(home: Home) -> None:
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "ollama", "base_url": "http://127.0.0.1:1", "default_model": "m"},
    )
    agent = home.record("Agent", "clerk", {"model": "m"})
    with home.runner(workers=1):
        (task,) = home.submit(agent, retry={"maxAttempts": 3, "backoff": "1ms"})
        home.wait([task], {"dead"})
    assert home.rows("SELECT attempt, crashes, error FROM task") == [
        (3, 0, "the model endpoint cannot be reached")
    ]
    assert home.rows("SELECT outcome FROM attempt") == [("failed",)] * 3
    assert home.rows("SELECT number, phase FROM step") == [(1, "failed")]


def test_what_trying_again_cannot_mend_fails_at_once(home: Home) -> None:
    mock(home, clerk=[])
    agent = home.record("Agent", "clerk", {"model": "m"})
    with home.runner(workers=1):
        (task,) = home.submit(agent, retry={"maxAttempts": 9})
        home.wait([task], {"failed"})
    assert home.rows("SELECT attempt FROM task") == [(1,)]


def test_a_wait_of_millennia_is_a_wait_and_not_the_end_of_the_runner(home: Home) -> None:
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "ollama", "base_url": "http://127.0.0.1:1", "default_model": "m"},
    )
    agent = home.record("Agent", "clerk", {"model": "m"})
    absurd = "9" * 400 + "h"
    policy = {"maxAttempts": 2, "backoff": absurd, "maxBackoff": absurd, "jitter": "none"}
    with home.runner(workers=1) as runner:
        tasks = home.submit(agent, retry=policy)
        home.wait(tasks, {"backing_off"})
        assert runner.poll() is None


def test_a_journal_longer_than_a_line_of_the_wire_is_replayed(home: Home) -> None:
    calls = [{"tool": "t"}] * 64
    mock(home, clerk=[{"calls": calls}, {"reply": "read all of it"}])
    home.record("Tool", "t", {"type": "python", "function": "list_files", "requires": [READ]})
    grant = [{"name": "t", "permissions": [READ]}]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grant})
    (task,) = home.submit(agent)
    asked = {
        "text": None,
        "calls": [{"id": f"c{n}", "tool": "t", "arguments": {}} for n in range(64)],
        "model": "m",
    }
    answer = json.dumps({"content": "x" * 300_000})
    now_us = clock.now_us()
    rows = [(task, 1, "clerk", "model", "default", "{}", "done", json.dumps(asked))]
    rows += [
        (task, n + 2, "clerk", "tool", "t", json.dumps({"call": f"c{n}"}), "done", answer)
        for n in range(64)
    ]
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task SET fence = 1")
        connection.exec_driver_sql(
            "INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, ?, ?, 0)",
            [(*row, now_us, now_us) for row in rows],
        )
    with home.runner(workers=1):
        home.wait([task], {"succeeded"})
    assert home.rows("SELECT output, crashes FROM task") == [("read all of it", 0)]
    assert home.rows("SELECT count(*) FROM step WHERE fence = 2") == [(1,)]


def test_a_tool_with_a_bug_is_an_answer_and_is_logged_without_its_text(home: Home) -> None:
    (home.folder / "orloj.toml").write_text('[tools]\ncommands = ["/bin/true"]\n')
    mock(home, clerk=[{"calls": [{"tool": "t"}]}, {"reply": "{result.1}"}])
    spec = {"type": "command", "command": ["/bin/true", "canary\x00"], "requires": [READ]}
    home.record("Tool", "t", spec)
    grant = [{"name": "t", "permissions": [READ]}]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grant})
    with home.runner(workers=1):
        tasks = home.submit(agent)
        home.wait(tasks, {"succeeded"})
    assert home.rows("SELECT output FROM task") == [
        ("Error (execution_failed): internal error (ValueError)",)
    ]
    types = [entry["type"] for entry in home.entries(tasks[0])]
    assert "action.failed" in types
    log = (home.folder / "runner.log").read_text(encoding="utf-8")
    assert '"action": "tool_failed"' in log
    assert "canary" not in log


def test_every_action_of_a_task_is_in_the_log_with_its_commit_and_its_rule(home: Home) -> None:
    (home.folder / "files").mkdir()
    mock(home, clerk=[{"calls": [{"tool": "t"}, {"tool": "none"}]}, {"reply": "done"}])
    home.record("Tool", "t", {"type": "python", "function": "list_files", "requires": [READ]})
    grant = [{"name": "t", "permissions": [READ]}]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grant}, line=4)
    with home.runner(workers=1):
        (task,) = home.submit(agent)
        home.wait([task], {"succeeded"})
    entries = home.entries(task)
    assert [entry["type"] for entry in entries] == [
        "task.queued",
        "task.claimed",
        *("action.requested", "action.decided", "action.started", "action.executed"),
        *("action.requested", "action.decided", "action.started", "action.executed"),
        *("action.requested", "action.decided"),
        *("action.requested", "action.decided", "action.started", "action.executed"),
        "task.finished",
    ]
    assert {entry["commit"] for entry in entries} == {COMMIT}
    decided = [entry for entry in entries if entry["type"] == "action.decided"]
    assert [(entry.get("tool"), entry["decision"], entry["rule"]) for entry in decided] == [
        (None, "allow", "agents/clerk.yaml:4"),
        ("t", "allow", "agents/clerk.yaml:4"),
        ("none", "deny", "agents/clerk.yaml:4"),
        (None, "allow", "agents/clerk.yaml:4"),
    ]
