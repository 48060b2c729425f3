"""What is erased is gone, down to the bytes of the file, and every proof still holds.

Erased is told apart from lost; nobody approves what they asked for.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home
from privacy_world import CANARY, ORDER, ended, erase, files, verdict

from reconciler.privacy import erasure, register
from reconciler.privacy.erasure import Erased
from runner.contract import audit, errors

GROUND = ("--basis", "GDPR 17(1)(b)", "--requested-by", "ada", "--yes")


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Iterator[Home]:
    made = Home(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def test_after_an_erasure_every_proof_holds_as_before(home: Home) -> None:
    task = ended(home)
    before = verdict(home.database)
    with home.database.read() as connection:
        raws = [stored.raw for stored in audit.read(connection)]
    erased = erase(home.database, task)
    after = verdict(home.database)
    assert (before.holds, after.holds, erased.tasks) == (True, True, 1)
    with home.database.read() as connection:
        stored = list(audit.read(connection))
    assert [one.raw for one in stored][: len(raws)] == raws
    assert "(erased)" in {one.fields.get("reason") for one in stored}


def test_nothing_of_an_erased_task_is_left_in_any_table(home: Home) -> None:
    erase(home.database, ended(home))
    with home.database.write() as connection:
        erased = Erased(Path("/nonexistent"))
        erasure.person(connection, CANARY, erased)
        erasure.done(connection, erased, ORDER, 2)
    tables = home.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        if home.database.shared
        else "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    for (table,) in tables:
        assert CANARY not in str(home.rows(f"SELECT * FROM {table}")), table
        assert CANARY.encode().hex() not in str(home.rows(f"SELECT * FROM {table}"))
    assert verdict(home.database).holds


def test_the_bytes_are_gone_from_the_file_and_its_wal(local: Home) -> None:
    task = ended(local)
    assert CANARY.encode() in files(local)
    done = local.orloj("audit", "erase", "--task", task, *GROUND, "--approved-by", "bob")
    assert done.returncode == 0, done.stderr
    done = local.orloj("audit", "erase", "--person", CANARY, *GROUND, "--approved-by", "bob")
    assert done.returncode == 0, done.stderr
    assert CANARY.encode() not in files(local)
    assert json.loads(local.orloj("audit", "verify", "--json").stdout)["holds"]


def test_a_value_that_vanished_without_an_erasure_is_lost(home: Home) -> None:
    kept, gone = ended(home), ended(home)
    erase(home.database, gone)
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "DELETE FROM disclosure WHERE seq IN (SELECT seq FROM audit_entry WHERE task = ?)",
            (kept,),
        )
    assert "lost: no erasure.done tells of it" in (verdict(home.database).problem or "")


def test_a_list_that_was_made_longer_vouches_for_nothing(home: Home) -> None:
    erase(home.database, ended(home))
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE erasure SET listed = '{\"input\":[1,2,3,4,5,6,7]}'")
    assert "lost" in (verdict(home.database).problem or "")
    with home.database.read() as connection:
        assert register.listed(connection)[0].listed is None


def test_a_single_field_is_erased_and_the_others_stay(home: Home) -> None:
    task = ended(home)
    (seq,) = [
        row[0]
        for row in home.rows(
            "SELECT seq FROM audit_entry WHERE task = ? AND type = 'action.failed'", task
        )
    ]
    count = home.rows("SELECT count(*) FROM disclosure")[0][0]
    with home.database.write() as connection:
        erased = Erased(Path("/nonexistent"))
        erasure.values(connection, [(seq, "result")], erased)
        erasure.done(connection, erased, ORDER, 2)
    assert erased.listed == {"result": [seq]}
    # The entry about it brings three values of its own: who asked, who agreed, and why.
    assert home.rows("SELECT count(*) FROM disclosure")[0][0] == count - 1 + 3
    assert verdict(home.database).holds


def test_a_task_that_is_not_over_is_not_erased(home: Home) -> None:
    task = ended(home)
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task SET state = 'pending'")
    with pytest.raises(errors.Refused, match="orloj cancel"):
        erase(home.database, task)


def test_a_person_who_owns_what_was_applied_by_hand_is_not_erased_yet(home: Home) -> None:
    home.record("Agent", "clerk", {"model": "m"})
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE resource SET owner = 'person:ada'")
        with pytest.raises(errors.Refused, match="ada owns 1 resources"):
            erasure.person(connection, "ada", Erased(Path("/nonexistent")))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--approved-by", "Ada"), "somebody else must approve"),
        (("--approved-by", "nobody"), "nobody is no Approver; those are: bob"),
    ],
)
def test_nobody_approves_for_themselves_or_without_the_right(
    local: Home, more: tuple[str, str], words: str
) -> None:
    local.record("Approver", "bob", {"emails": ["bob@x"], "user": "bob"})
    task = ended(local)
    done = local.orloj("audit", "erase", "--task", task, *GROUND, *more)
    assert done.returncode == 1
    assert words in done.stderr
    assert CANARY.encode() in files(local)


def test_no_answer_is_a_no(local: Home) -> None:
    task = ended(local)
    done = local.orloj("audit", "erase", "--task", task, "--basis", "x", "--approved-by", "bob")
    assert done.returncode == 1
    assert "Nothing was erased" in done.stderr


def test_the_register_says_who_asked_who_agreed_and_why(home: Home) -> None:
    erased = erase(home.database, ended(home))
    with home.database.read() as connection:
        (one,) = register.listed(connection)
    assert one.said == {
        "requested_by": "ada", "approved_by": "bob", "basis": "GDPR 17(1)(b)",
    }  # fmt: skip
    assert one.listed == {name: sorted(found) for name, found in erased.listed.items()}
    shown = home.orloj("audit", "erasures")
    assert "GDPR 17(1)(b)" in shown.stdout
