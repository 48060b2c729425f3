"""A home moves to another database whole, or not at all; the log proves that it is whole."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from conftest import Orloj
from home import COMMIT, Home

from runner.contract import audit, service
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.kinds import Key
from runner.contract.tables import SourceRow

TABLES = list(SourceRow.metadata.tables)


@pytest.fixture
def written(home: Home) -> Home:
    """A home with rows in every table that no runner writes, and tasks that wait for one."""
    home.record(
        "ModelEndpoint",
        "default",
        {
            "provider": "mock",
            "default_model": "m",
            "script": {"clerk": [{"calls": [{"tool": "note"}]}, {"reply": "dön'e ✓ %s ?"}]},
        },
    )
    note = {"type": "python", "function": "append_record", "config": {"file": "n.jsonl"}}
    home.record("Tool", "note", {**note, "requires": [{"write": "notes"}]})
    grant = [{"name": "note", "permissions": [{"write": "notes"}]}]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grant})
    home.submit(agent, 25)
    with home.database.write() as connection:
        for statement in (
            "INSERT INTO reference VALUES ('a', 'b', 'c', 'd', 'e', 'f', 3, ?)",
            "INSERT INTO revision VALUES (7, 's', 'c', NULL, ?, 'p', 1, 'a', 'c', 's', 1, 2, 3,"
            " 4)",
        ):
            connection.exec_driver_sql(statement, (True,))
        connection.exec_driver_sql("INSERT INTO blob_cache VALUES (41, 'b', '1', '[]')")
    return home


@pytest.fixture
def worked(written: Home) -> Home:
    """The same after a runner has done some of the tasks and stopped."""
    with written.runner(workers=1, slots=4):
        done = "SELECT count(*) >= 10 FROM task WHERE state = 'succeeded'"
        written.until(lambda: written.rows(done)[0][0])
    written.submit(Key("default", "Agent", "clerk"), 3)
    return written


def rows(home: Home) -> dict[str, list[str]]:
    """Every row of every table but the log, as text."""
    return {
        name: sorted(
            str([int(value) if isinstance(value, bool) else value for value in row])
            for row in home.rows(f"SELECT * FROM {name}")
        )
        for name in TABLES
        if name != "audit_entry"
    }


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            for name in TABLES
        }


def test_everything_arrives_and_work_goes_on_there(
    worked: Home, orloj: Orloj, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = json.loads(orloj("audit", "verify", "--json").out)
    done = orloj("state", "copy", "--to", postgresql_url, "--json")
    assert done.code == 0, done.err
    said, before = json.loads(done.out), rows(worked)
    assert said["rows"] == {name: len(found) for name, found in before.items()} | {
        "audit_entry": head["entries"] + 1  # That it was copied stands in both.
    }
    assert (said["entries"], said["head"], said["holds"]) == (
        head["entries"],
        head["head"],
        True,
    )
    monkeypatch.setenv("ORLOJ_DATABASE_URL", postgresql_url)
    verdict = json.loads(orloj("audit", "verify", "--json").out)
    assert (verdict["holds"], verdict["entries"]) == (True, head["entries"] + 1)
    with closing(Home(worked.folder, postgresql_url)) as moved:
        assert rows(moved) == before
        entry = moved.entries()[-1]
        assert (entry["type"], entry["digest"]) == ("state.copied", f"sha256:{head['head']}")
        with moved.database.write() as connection:
            added = "INSERT INTO blob_cache (blob, parser_version, documents) VALUES (?, ?, ?)"
            connection.exec_driver_sql(added, ("next", "1", "[]"))
        assert moved.rows("SELECT max(number) FROM blob_cache") == [(42,)]
        waiting = [row[0] for row in moved.rows("SELECT id FROM task WHERE state = 'pending'")]
        with moved.runner(workers=1):
            moved.wait(waiting, {"succeeded"})
    assert json.loads(orloj("audit", "verify", "--json").out)["holds"]


def test_the_old_log_says_where_the_state_went(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 0, done.err
    entry = written.entries()[-1]
    assert entry["type"] == "state.copied"
    assert entry["commit"] == COMMIT
    password = postgresql_url.split(":")[2].split("@")[0]
    assert "***@127.0.0.1" in entry["reason"]
    assert password not in entry["reason"] + done.out + done.err
    assert 'url = "postgresql://orloj:***@' in done.err
    assert json.loads(orloj("audit", "verify", "--json").out)["holds"]


def test_the_way_back_is_open(
    worked: Home, orloj: Orloj, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert orloj("state", "copy", "--to", postgresql_url).code == 0
    before = rows(worked)
    worked.close()
    for file in worked.folder.glob("orloj.db*"):
        file.unlink()
    monkeypatch.setenv("ORLOJ_DATABASE_URL", postgresql_url)
    done = orloj("state", "copy", "--to", "sqlite")
    assert done.code == 0, done.err
    monkeypatch.delenv("ORLOJ_DATABASE_URL")
    assert json.loads(orloj("audit", "verify", "--json").out)["holds"]
    with closing(Home(worked.folder)) as back:
        after = rows(back)
    said = set(after.pop("disclosure")) - set(before.pop("disclosure"))
    assert after == before
    assert len(said) == 1  # Between which databases the second copy went.


@pytest.mark.parametrize("role", ["daemon", "runner"])
def test_a_home_that_is_at_work_is_not_copied(
    written: Home, orloj: Orloj, postgresql_url: str, role: str
) -> None:
    with service.only_one(written.folder / "run", role):
        done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 1
    assert f"the {role} of this home is already running as process {os.getpid()}" in done.err
    assert nothing_in(postgresql_url)


def test_hosts_that_share_the_old_database_must_let_go_first(
    written: Home, orloj: Orloj, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert orloj("state", "copy", "--to", postgresql_url).code == 0
    monkeypatch.setenv("ORLOJ_DATABASE_URL", postgresql_url)
    with psycopg.connect(postgresql_url, application_name="orloj"):
        done = orloj("state", "copy", "--to", "sqlite")
    assert done.code == 1
    assert "other sessions of Orloj (1) are open" in done.err


def test_a_database_that_holds_something_is_not_written_to(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    assert orloj("state", "copy", "--to", postgresql_url).code == 0
    before = counts(postgresql_url)
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 1
    assert "is not empty: " in done.err
    assert counts(postgresql_url) == before


def test_a_log_that_does_not_verify_is_not_carried_on(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    with written.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_entry SET task = 'other' WHERE seq = 5")
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 1
    assert "does not verify: entry 5: the copy of its task" in done.err
    assert nothing_in(postgresql_url)


def test_a_lease_that_nobody_will_end_is_not_copied(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    with written.database.write() as connection:
        connection.exec_driver_sql("UPDATE task SET state = 'leased'")
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 1
    assert "25 tasks are still leased by a runner that was killed" in done.err
    assert nothing_in(postgresql_url)


def test_what_the_other_database_cannot_keep_stops_the_copy(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    with written.database.write() as connection:
        connection.exec_driver_sql("UPDATE source SET message = ?", ("a\x00b",))
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 1
    assert "a row of source cannot be kept there: " in done.err
    assert nothing_in(postgresql_url)


@pytest.mark.parametrize("to", ["sqlite", "mysql://host/name", "not a url"])
def test_a_target_that_makes_no_sense_is_refused(written: Home, orloj: Orloj, to: str) -> None:
    done = orloj("state", "copy", "--to", to)
    assert done.code == 1
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1


def test_a_copy_that_is_killed_leaves_nothing_and_can_be_made_again(
    written: Home, orloj: Orloj, postgresql_url: str
) -> None:
    with written.database.write() as connection:
        audit.append(
            connection,
            [Entry(type=EntryType.LOG_STARTED, actor="t", commit=COMMIT)] * 10_000,
            1,
        )
    Home(written.folder, postgresql_url).close()  # It makes the tables.
    program = [sys.executable, "-m", "reconciler", "state", "copy", "--to", postgresql_url]
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with psycopg.connect(postgresql_url) as holder:
        holder.execute("TRUNCATE source")
        holder.execute("UPDATE state SET serial = 0")
        holder.commit()
        # The table that is filled last: until then it may be read, and not be written.
        holder.execute(f"LOCK TABLE {list_of_tables()[-1]} IN SHARE MODE")
        environment = {"PATH": os.environ["PATH"], "ORLOJ_HOME": str(written.folder)}
        copying = subprocess.Popen(program, env=environment)
        while holder.execute(waits).fetchall() == [(0,)]:
            assert copying.poll() is None
            holder.execute("SELECT pg_stat_clear_snapshot()")
        copying.send_signal(signal.SIGKILL)
        copying.wait()
    written.until(lambda: nothing_in(postgresql_url))
    assert orloj("state", "copy", "--to", postgresql_url).code == 0


def list_of_tables() -> list[str]:
    return [table.name for table in SourceRow.metadata.sorted_tables]


def nothing_in(url: str) -> bool:
    found = counts(url)
    return found.pop("state") == 1 and not any(found.values())


def test_a_big_home_is_copied_in_parts_and_says_how_far_it_is(
    written: Home, orloj: Orloj, postgresql_url: str, tmp_path: Path
) -> None:
    with written.database.write() as connection:
        audit.append(
            connection,
            [Entry(type=EntryType.LOG_STARTED, actor="t", commit=COMMIT)] * 60_000,
            1,
        )
    done = orloj("state", "copy", "--to", postgresql_url)
    assert done.code == 0, done.err
    assert " rows …\n" in done.err
