"""A plan is applied as a whole or not at all, once, and every change stands in the log."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from home import opened

from reconciler import recorded
from reconciler.apply import apply
from reconciler.change import Plan, Target
from reconciler.plan import PlanRequest, plan
from reconciler.recorded import SourceState
from reconciler.resource import Mention, Resource
from runner.contract import audit, audit_check, errors, wake
from runner.contract.database import Database, open_database
from runner.contract.kinds import Key, digest

FIRST, SECOND = "a" * 40, "b" * 40
DIGEST = "hmac-sha256:" + "0" * 64


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    database = opened(tmp_path, database_url)
    yield database
    database.close()


def resource(kind: str, name: str, spec: dict[str, Any], **rest: Any) -> Resource:
    body = json.dumps({"spec": spec})
    fields = {"path": f"{name}.yaml", "line": 3, "column": 1, "lines": {"/spec": 6}} | rest
    key = Key("default", kind, name)
    return Resource(key, spec_hash=digest(body), body=body, blob="0" * 40, **fields)


AGENT = resource(
    "Agent",
    "triage",
    {"model": "gpt-4"},
    mentions=(Mention(Key("x", "Tool", "t"), 9, 5, True),),
)
SECRET = resource(
    "Secret", "key", {"stringData": {"value": DIGEST}}, sealed=((DIGEST, "ciphertext"),)
)
TASK = resource("Task", "daily", {"agent": "triage", "input": {"topic": "x"}})
TEMPLATE = resource("Task", "form", {"agent": "triage", "mode": "template"})


def state(previous: SourceState | None, commit: str) -> SourceState:
    new = SourceState(name="default", url="u", ref="main", path="", settings_digest="d")
    return replace(previous or new, applied_commit=commit)


def made(database: Database, resources: list[Resource], commit: str = FIRST) -> Plan:
    """The plan that makes the repository's resources exactly these."""
    with database.read() as connection:
        source = recorded.source(connection)
        target = Target(
            owner="git:default",
            source="default",
            commit=commit,
            previous_commit=source.applied_commit if source else None,
            serial=recorded.serial(connection),
            author="Dana <dana@example.com>",
        )
        have = {item.key: item for item in recorded.resources(connection)}
    desired = {item.key: item for item in resources}
    return plan(PlanRequest(target=target, desired=desired, recorded=have))


def deploy(database: Database, planned: Plan) -> tuple[str, ...]:
    commit = planned.target.commit
    return apply(database, planned, 1_000, lambda old: state(old, commit)).tasks


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def log(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [entry.fields for entry in audit.read(connection)]


def test_what_was_applied_needs_no_plan(database: Database) -> None:
    deploy(database, made(database, [AGENT, SECRET, TASK]))
    again = made(database, [AGENT, SECRET, TASK])
    assert (again.changes, again.unchanged) == ((), 3)


def test_every_change_stands_in_the_log_with_its_commit_and_rule(database: Database) -> None:
    deploy(database, made(database, [AGENT, SECRET]))
    changed = resource("Agent", "triage", {"model": "gpt-5"})
    deploy(database, made(database, [changed], SECOND))
    found = [
        (entry["commit"], entry["type"], entry.get("resource"), entry.get("rule"))
        for entry in log(database)
    ]
    assert found == [
        (FIRST, "manifest.applied", None, None),
        (FIRST, "resource.created", "agent/default/triage", "triage.yaml:3"),
        (FIRST, "resource.created", "secret/default/key", "key.yaml:3"),
        (SECOND, "manifest.applied", None, None),
        (SECOND, "resource.updated", "agent/default/triage", "triage.yaml:3"),
        (SECOND, "resource.deleted", "secret/default/key", "key.yaml:3"),
    ]
    with database.read() as connection:
        assert audit_check.verify(connection).holds


def test_names_of_people_are_in_the_log_as_commitments_only(database: Database) -> None:
    deploy(database, made(database, [AGENT]))
    (raw,) = rows(database, "SELECT raw FROM audit_entry WHERE type = 'manifest.applied'")[0]
    assert b"dana" not in raw.lower()
    assert set(log(database)[0]["private"]) == {"author", "committer"}


def test_a_plan_is_applied_once(database: Database) -> None:
    planned = made(database, [AGENT])
    deploy(database, planned)
    with pytest.raises(errors.PlanStale, match="made for state #0, and the state is #1"):
        deploy(database, planned)
    assert len(log(database)) == 2


def test_a_plan_from_another_commit_than_the_one_applied_is_stale(database: Database) -> None:
    planned = made(database, [AGENT])
    elsewhere = replace(planned, target=replace(planned.target, previous_commit=SECOND))
    with pytest.raises(errors.PlanStale, match=f"starts from commit {SECOND}"):
        deploy(database, elsewhere)


def test_a_blocked_plan_is_not_applied(database: Database) -> None:
    blocked = replace(made(database, [AGENT]), blocked=("because",))
    with pytest.raises(errors.PlanBlocked, match="because"):
        deploy(database, blocked)
    assert log(database) == []


def test_a_task_to_run_is_queued_when_it_is_new_or_changed(database: Database) -> None:
    assert len(deploy(database, made(database, [AGENT, TASK, TEMPLATE]))) == 1
    moved = replace(TASK, path="elsewhere.yaml")
    assert deploy(database, made(database, [AGENT, moved, TEMPLATE], SECOND)) == ()
    changed = resource("Task", "daily", {"agent": "triage", "input": {"topic": "y"}})
    assert len(deploy(database, made(database, [AGENT, changed, TEMPLATE], FIRST))) == 1
    assert rows(database, "SELECT task_name, subject_name, input, actor FROM task") == [
        ("daily", "triage", '{"topic": "x"}', "git:default"),
        ("daily", "triage", '{"topic": "y"}', "git:default"),
    ]


def test_queued_tasks_wake_the_runner(database: Database) -> None:
    with wake.listen(database.home / "run", wake.RUNNER) as receiver:
        deploy(database, made(database, [TASK]))
        assert receiver.recv(1) == b"\x00"


def test_only_a_change_of_the_resource_itself_grows_its_generation(database: Database) -> None:
    deploy(database, made(database, [AGENT]))
    deploy(database, made(database, [replace(AGENT, path="moved.yaml")], SECOND))
    deploy(database, made(database, [replace(AGENT, path="moved.yaml", line=8)], FIRST))
    query = "SELECT generation, path, line FROM resource"
    assert rows(database, query) == [(1, "moved.yaml", 8)]
    deploy(database, made(database, [resource("Agent", "triage", {"model": "x"})], SECOND))
    assert rows(database, query) == [(2, "triage.yaml", 3)]


def test_references_and_sealed_values_follow_their_resource(database: Database) -> None:
    deploy(database, made(database, [AGENT, SECRET]))
    with database.read() as connection:
        target = AGENT.mentions[0].target
        found = recorded.dependents(connection, "git:default", [target])
        assert found == [(AGENT.key, "triage.yaml", 9, target)]
    assert rows(database, "SELECT digest, ciphertext FROM sealed_secret") == [
        (DIGEST, "ciphertext")
    ]
    deploy(database, made(database, [SECRET], SECOND))
    assert rows(database, "SELECT * FROM reference") == []


CHILD = dedent(
    """
    import os, signal, sys
    from pathlib import Path
    sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    import test_apply
    from runner.contract.database import open_database

    database = open_database(Path(sys.argv[2]))
    planned = test_apply.made(database, test_apply.AFTER, test_apply.SECOND)
    left = int(sys.argv[3])

    def die(*_):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", die)
    event.listen(Engine, "commit", die)
    test_apply.deploy(database, planned)
    die()
    """
)
BEFORE = [AGENT, SECRET, TEMPLATE]
AFTER = [
    resource("Agent", "triage", {"model": "gpt-5"}, mentions=AGENT.mentions),
    replace(TEMPLATE, line=9),
    resource("Secret", "other", {"stringData": {"value": DIGEST}}, sealed=(("d2", "c2"),)),
    TASK,
]
EVERYTHING = (
    "SELECT 'resource', namespace || kind || name || spec_hash || line FROM resource"
    " UNION ALL SELECT 'reference', from_name || to_name FROM reference"
    " UNION ALL SELECT 'sealed', digest FROM sealed_secret"
    " UNION ALL SELECT 'revision', commit_sha FROM revision"
    " UNION ALL SELECT 'source', applied_commit FROM source"
    " UNION ALL SELECT 'serial', serial FROM state"
    " UNION ALL SELECT 'task', task_name FROM task"
    " UNION ALL SELECT 'audit', type || seq FROM audit_entry"
    " ORDER BY 1, 2"
)


@pytest.mark.story
def test_a_kill_between_any_two_writes_leaves_all_of_a_commit_or_none(tmp_path: Path) -> None:
    nothing, everything = _expected(tmp_path)
    outcomes = []
    for point in range(1, 60):
        home = tmp_path / f"killed-{point}"
        database = open_database(home)
        deploy(database, made(database, BEFORE))
        arguments = [str(Path(__file__).parent), str(home), str(point)]
        child = subprocess.run([sys.executable, "-c", CHILD, *arguments], timeout=60)
        found = rows(database, EVERYTHING)
        assert found in (nothing, everything), f"half a commit after statement {point}"
        outcomes.append(found == everything)
        if found == nothing:
            deploy(database, made(database, AFTER, SECOND))
        assert rows(database, EVERYTHING) == everything
        with database.read() as connection:
            assert audit_check.verify(connection).holds
        database.close()
        if child.returncode == 0:
            break
        assert child.returncode == -9
    assert child.returncode == 0, "the child was killed at every point that was tried"
    # Killed before its commit: nothing. Killed after it, or not at all: everything.
    assert outcomes == [False] * (len(outcomes) - 2) + [True, True]
    assert len(outcomes) > 15


def _expected(tmp_path: Path) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    database = open_database(tmp_path / "undisturbed")
    deploy(database, made(database, BEFORE))
    nothing = rows(database, EVERYTHING)
    deploy(database, made(database, AFTER, SECOND))
    everything = rows(database, EVERYTHING)
    database.close()
    return nothing, everything
