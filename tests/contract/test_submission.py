"""A task and the entry that says who queued it are there together, or neither is."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path

import home
import pytest

from reconciler.git import tree
from runner.contract import audit, submission
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.kinds.task import Requirements
from runner.contract.submission import Submission

AGENT = Key("default", "Agent", "triage")
COMMIT = "d" * 40


@pytest.fixture
def opened(tmp_path: Path, database_url: str) -> Iterator[Database]:
    made = home.opened(tmp_path, database_url)
    yield made
    made.close()


def test_tasks_are_queued_in_order_with_an_entry_each(opened: Database) -> None:
    wanted = [
        Submission(AGENT, "person:ada", {"n": "1"}, priority="high"),
        Submission(AGENT, "git:default", {"n": "2"}, task_name="nightly"),
    ]
    with opened.write() as connection:
        ids = submission.submit(connection, wanted, COMMIT, 5)
    with opened.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, state, priority, input, actor, task_name, run_at FROM task ORDER BY id"
        ).all()
        entries = [entry.fields for entry in audit.read(connection)]
    assert {row[0]: tuple(row[1:]) for row in rows} == {
        ids[0]: ("pending", 1, '{"n": "1"}', "person:ada", None, 5),
        ids[1]: ("pending", 2, '{"n": "2"}', "git:default", "nightly", 5),
    }
    assert [(entry["task"], entry["actor"]) for entry in entries] == [
        (ids[0], "person:ada"),
        (ids[1], "git:default"),
    ]
    assert all(entry["commit"] == COMMIT for entry in entries)


def test_inputs_may_be_personal_and_stand_in_the_log_as_commitments_only(
    opened: Database,
) -> None:
    with opened.write() as connection:
        submission.submit(
            connection, [Submission(AGENT, "person:ada", {"name": "Grace Hopper"})], COMMIT, 5
        )
    with opened.read() as connection:
        (entry,) = audit.read(connection)
    assert b"Grace" not in entry.raw
    assert json.loads(entry.raw)["private"].keys() == {"input"}


def test_a_transaction_that_fails_queues_nothing_and_logs_nothing(opened: Database) -> None:
    with pytest.raises(ZeroDivisionError), opened.write() as connection:  # noqa: PT012
        submission.submit(connection, [Submission(AGENT, "person:ada")], COMMIT, 5)
        raise ZeroDivisionError
    with opened.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM task").scalar_one() == 0
        assert list(audit.read(connection)) == []


def test_a_priority_nobody_knows_is_our_own_mistake(opened: Database) -> None:
    with pytest.raises(KeyError), opened.write() as connection:
        submission.submit(connection, [Submission(AGENT, "p", priority="soon")], COMMIT, 5)


def test_nothing_to_queue_is_nothing_logged(opened: Database) -> None:
    with opened.write() as connection:
        assert submission.submit(connection, [], COMMIT, 5) == []
        assert audit.end(connection)[0] == 0


def test_the_longest_names_and_requirements_fit_every_index(opened: Database) -> None:
    """An index of PostgreSQL refuses a row of 2 700 bytes, and with it the whole apply."""
    chance = random.Random(1)  # Random, or it would be kept compressed.

    def text(first: int, last: int) -> str:
        return "".join(chr(chance.randint(first, last)) for _ in range(128))

    def name() -> str:
        return "".join(chance.choices(string.ascii_letters + string.digits, k=128))

    wanted = Requirements(region=text(0x1F300, 0x1FAFF), model=text(0x4E00, 0x9FFF))
    task = Submission(
        Key(name(), "AgentSystem", name()), "p", requirements=wanted.model_dump(mode="json")
    )
    with opened.write() as connection:
        submission.submit(connection, [task], COMMIT, 5)
        insert = (
            "INSERT INTO resource VALUES (?, 'Agent', ?, ?, ?, ?, 1, NULL, '', '', '', 1, 1)"
        )
        path = "".join(chance.choices(string.ascii_letters, k=tree.PATH_BYTES_MAX))
        connection.exec_driver_sql(insert, (name(), name(), "git:default", COMMIT, path))
