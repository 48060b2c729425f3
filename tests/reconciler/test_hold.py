"""Under a legal hold nothing is erased, whoever asks and whatever a policy says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home
from privacy_world import CANARY, DAY_US, ended, erase, verdict

from reconciler.privacy import erasure, holds, retention
from reconciler.privacy.erasure import Erased
from reconciler.privacy.record import Scope
from runner.contract import errors

LATER = 400 * DAY_US
SHORT = {"keep": {"tasks": "1d", "disclosures": "1d"}}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def put(home: Home, scope: Scope, subject: str) -> holds.LegalHold:
    with home.database.write() as connection:
        return holds.put(
            connection, scope, subject, actor="person:ada", reason="case 7", now_us=1
        )


def sweep(home: Home) -> int:
    with home.database.write() as connection:
        return sum(
            one.tasks for one in retention.sweep(connection, "daemon", LATER, home.folder)
        )


@pytest.mark.parametrize("scope", list(Scope))
def test_what_is_held_is_erased_by_nobody_until_it_is_released(
    home: Home, scope: Scope
) -> None:
    home.record("RetentionPolicy", "short", SHORT)
    task = ended(home)
    subject = {"log": "", "namespace": "default", "agent": "clerk", "task": task}[scope.value]
    hold = put(home, scope, subject)
    with pytest.raises(errors.Refused, match=f"under the legal hold {hold.id}"):
        erase(home.database, task)
    assert sweep(home) == 0
    assert home.rows("SELECT count(*) FROM task WHERE output IS NULL") == [(0,)]
    with home.database.write() as connection:
        holds.release(connection, hold.id[:20], "person:ada", "over", 2)
    assert sweep(home) == 1
    assert verdict(home.database).holds


def test_a_hold_holds_only_what_it_names(home: Home) -> None:
    home.record("RetentionPolicy", "short", {"keep": {"tasks": "1d"}})
    held, free = ended(home), ended(home)
    put(home, Scope.TASK, held)
    assert sweep(home) == 1
    error = "SELECT error FROM task WHERE id = ?"
    assert [home.rows(error, task)[0][0] for task in (held, free)] == [CANARY, "(erased)"]


def test_a_name_is_held_with_the_whole_log(home: Home) -> None:
    ended(home)
    put(home, Scope.LOG, "")
    with (
        home.database.write() as connection,
        pytest.raises(errors.Refused, match="legal hold"),
    ):
        erasure.person(connection, CANARY, Erased(home.folder))


def test_the_same_hold_is_not_set_twice(home: Home) -> None:
    put(home, Scope.AGENT, "clerk")
    with pytest.raises(errors.Refused, match="under a hold already"):
        put(home, Scope.AGENT, "clerk")


def test_holds_are_entries_and_are_listed(home: Home) -> None:
    done = home.orloj("audit", "hold", "set", "--agent", "clerk", "--reason", "case 7")
    assert done.returncode == 0, done.stderr
    (hold,) = home.rows("SELECT id FROM legal_hold")
    assert "case 7" in home.orloj("audit", "hold", "list").stdout
    done = home.orloj("audit", "hold", "release", hold[0], "--reason", "over")
    assert done.returncode == 0, done.stderr
    assert [(one["type"], one["outcome"], one["reason"]) for one in home.entries()] == [
        ("hold.set", "agent", "case 7"),
        ("hold.released", "agent", "over"),
    ]


def test_a_hold_names_exactly_one_thing(home: Home) -> None:
    done = home.orloj("audit", "hold", "set", "--reason", "x")
    assert (done.returncode, home.entries()) == (1, [])
