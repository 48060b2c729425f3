"""A write is all or nothing, no write is lost between processes, old databases open.

So it is on SQLite and on PostgreSQL. The SQLite file is in WAL mode, every commit synced.
"""

import random
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import home
import pytest
from postgresql_server import Server
from sqlalchemy.exc import OperationalError

from runner.contract import database, errors, wake
from runner.contract.database import Database, dialect

OPEN = """
import os, sys
from pathlib import Path
from runner.contract import database
opened = database.open_database(Path(sys.argv[1]), sys.argv[2])
"""
ADD = """
for _ in range(int(sys.argv[3])):
    with opened.write() as connection:
        value = connection.exec_driver_sql("SELECT serial FROM state /* lock */").scalar_one()
        connection.exec_driver_sql("UPDATE state SET serial = ?", (value + 1,))
opened.close()
"""
DIE = """
with opened.write() as connection:
    connection.exec_driver_sql("UPDATE state SET serial = 7")
    os.kill(os.getpid(), 9)
"""
SERIAL = "SELECT serial FROM state"


@pytest.fixture
def opened(tmp_path: Path, database_url: str) -> Iterator[Database]:
    made = home.opened(tmp_path, database_url)
    yield made
    made.close()


def serial(opened: Database) -> int:
    with opened.read() as connection:
        return connection.exec_driver_sql(SERIAL).scalar_one()


def started(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", OPEN + program, *map(str, arguments)])


def test_processes_that_read_then_write_lose_nothing(
    tmp_path: Path, database_url: str, opened: Database
) -> None:
    writers = [started(ADD, tmp_path, database_url, 40) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert serial(opened) == 120


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    starters = [started(ADD, tmp_path, "", 0) for _ in range(4)]
    assert [starter.wait(60) for starter in starters] == [0, 0, 0, 0]


def test_people_who_migrate_a_server_together_migrate_it_once(
    tmp_path: Path, postgresql_url: str
) -> None:
    handles = [database.connect(tmp_path, postgresql_url) for _ in range(4)]
    threads = [threading.Thread(target=database.migrate, args=(one,)) for one in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with handles[0].read() as connection:
        versions = connection.exec_driver_sql("SELECT version FROM schema_version").all()
    assert sorted(row[0] for row in versions) == list(range(1, len(database.migrations()) + 1))
    for one in handles:
        one.close()


def test_a_write_that_fails_leaves_nothing(opened: Database) -> None:
    with pytest.raises(ZeroDivisionError), opened.write() as connection:  # noqa: PT012
        connection.exec_driver_sql("UPDATE state SET serial = 7")
        raise ZeroDivisionError
    assert serial(opened) == 0


def test_a_writer_killed_before_its_commit_leaves_nothing_and_holds_nobody_up(
    tmp_path: Path, database_url: str, opened: Database
) -> None:
    assert started(DIE, tmp_path, database_url).wait(60) == -9
    assert serial(opened) == 0
    with opened.write() as connection:
        connection.exec_driver_sql("UPDATE state SET serial = 8")
    assert serial(opened) == 8


def test_a_reader_sees_one_moment_while_others_write(opened: Database) -> None:
    with opened.read() as reader:
        before = reader.exec_driver_sql(SERIAL).scalar_one()
        with opened.write() as writer:
            writer.exec_driver_sql("UPDATE state SET serial = 9")
        after = reader.exec_driver_sql(SERIAL).scalar_one()
    assert (before, after, serial(opened)) == (0, 0, 9)


def test_a_held_connection_sees_what_others_wrote_since(opened: Database) -> None:
    with opened.connect() as held:
        with opened.reading(held):
            assert held.exec_driver_sql(SERIAL).scalar_one() == 0
        with opened.write() as writer:
            writer.exec_driver_sql("UPDATE state SET serial = 9")
        with opened.reading(held):
            assert held.exec_driver_sql(SERIAL).scalar_one() == 9


def test_text_is_ordered_by_code_point(opened: Database) -> None:
    names = ["a-b", "ab", "a/b", "B", "é", "z"]
    with opened.write() as connection:
        for name in names:
            connection.exec_driver_sql("INSERT INTO manifest_set VALUES (?, '')", (name,))
        found = connection.exec_driver_sql("SELECT digest FROM manifest_set ORDER BY digest")
        assert [row[0] for row in found] == sorted(names)


def test_a_percent_sign_in_a_statement_stands_for_itself(opened: Database) -> None:
    with opened.read() as connection:
        found = connection.exec_driver_sql("SELECT 1 WHERE 'abc' LIKE 'a%' AND 'x' = ?", ("x",))
        assert found.scalar_one() == 1


def test_a_wrong_statement_is_our_mistake_and_not_the_worlds(opened: Database) -> None:
    with pytest.raises(Exception, match="nothing") as failed, opened.write() as connection:
        connection.exec_driver_sql("SELECT * FROM nothing WHERE secret = ?", ("s3cr3t",))
    assert not isinstance(failed.value, errors.OrlojError)
    assert "s3cr3t" not in str(failed.value)


def test_the_clock_of_leases_goes_on(opened: Database) -> None:
    with opened.connect() as connection:
        first, second = (opened.lease_now_us(connection) for _ in range(2))
        connection.rollback()
    assert 0 < second - first < 10_000_000


def test_a_knock_reaches_who_listens(tmp_path: Path, opened: Database) -> None:
    with opened.listen(wake.RUNNER) as receiver:
        opened.knock(wake.RUNNER)
        assert select.select([receiver], [], [], 10)[0]


def test_a_knock_reaches_other_hosts_of_a_server(tmp_path: Path, postgresql_url: str) -> None:
    here = home.opened(tmp_path / "here", postgresql_url)
    there = home.opened(tmp_path / "there", postgresql_url)
    with there.listen(wake.RUNNER) as receiver:
        assert select.select([receiver], [], [], 10)[0], "it looks once when it begins"
        wake.drain(receiver)
        assert not here.knock(wake.RUNNER), "nobody in this home listens"
        assert select.select([receiver], [], [], 10)[0]
        wake.drain(receiver)
        assert there.knock(wake.RUNNER), "by datagram, and not by the server as well"
        here.knock(wake.RUNNER)
        heard = [
            receiver.recv(16) for _ in range(2) if select.select([receiver], [], [], 10)[0]
        ]
        assert (len(heard), select.select([receiver], [], [], 0.2)[0]) == (2, [])
    here.close()
    there.close()


def test_one_daemon_leads_until_its_session_ends(tmp_path: Path, postgresql: Server) -> None:
    url = postgresql.create("leaders")
    first = home.opened(tmp_path / "first", url)
    second = home.opened(tmp_path / "second", url)
    leading = first.lead()
    assert leading is not None
    assert leading.held()
    assert second.lead() is None
    with second.read() as connection:
        assert second.led(connection)
    with second.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid <> pg_backend_pid()"
        )
    assert not leading.held()
    following = second.lead()
    assert following is not None
    assert first.lead() is None
    following.close()
    leading.close()
    third = first.lead()
    assert third is not None
    third.close()
    first.close()
    second.close()
    postgresql.drop("leaders")


def test_a_server_that_is_away_is_said_to_be_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://orloj:s3cr3t@127.0.0.1:1/orloj"
    with pytest.raises(errors.DatabaseUnavailable, match=r"127\.0\.0\.1") as failed:
        database.open_database(tmp_path, url)
    assert "s3cr3t" not in str(failed.value)


@pytest.mark.parametrize("url", ["mysql://u:s3cr3t@h/d", "s3cr3t", "sqlite:///x"])
def test_another_url_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(errors.SettingsInvalid, match=r"database\.url") as failed:
        database.open_database(tmp_path, url)
    assert "s3cr3t" not in str(failed.value)


def test_a_server_is_migrated_by_somebody_who_means_to(
    tmp_path: Path, postgresql_url: str
) -> None:
    with pytest.raises(errors.DatabaseUnavailable, match="run `orloj migrate` once"):
        database.open_database(tmp_path, postgresql_url)
    handle = database.connect(tmp_path, postgresql_url)
    newest = len(database.migrations())
    assert database.migrate(handle) == (0, newest)
    assert database.migrate(handle) == (newest, newest)
    handle.close()
    database.open_database(tmp_path, postgresql_url).close()


def test_commits_are_synced_and_the_log_is_a_wal(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path)
    with opened.connect() as connection:
        modes = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert modes == ["wal", 2, 1]
    opened.close()


def test_a_database_of_a_newer_program_is_refused(opened: Database, tmp_path: Path) -> None:
    with opened.write() as connection:
        opened.migrate_to(connection, 9999, [])
    with pytest.raises(errors.DatabaseUnavailable, match="schema 9999"):
        database.migrate(opened)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / database.FILE_NAME).write_bytes(b"not a database, however long it is" * 100)
    with pytest.raises(errors.DatabaseUnavailable, match=r"orloj\.db"):
        database.open_database(tmp_path)


def test_a_home_below_a_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.DatabaseUnavailable, match="cannot open"):
        database.open_database(tmp_path / "file" / "home")


def test_nobody_else_may_read_any_file_of_it(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path / "home")
    with opened.write() as connection:
        connection.exec_driver_sql("UPDATE state SET serial = 1")
        files = {
            file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "home").iterdir()
        }
    opened.close()
    assert {"orloj.db", "orloj.db-wal", "orloj.db-shm"} <= files.keys()
    assert set(files.values()) == {0o600}


def test_a_statement_says_what_it_locks_and_only_postgresql_hears_it() -> None:
    statement = "SELECT id FROM task WHERE id = ? /* skip locked */"
    assert dialect.for_postgresql(statement) == (
        "SELECT id FROM task WHERE id = %s FOR UPDATE SKIP LOCKED"
    )


def test_a_value_too_large_for_an_index_is_our_mistake(opened: Database) -> None:
    if not opened.shared:
        return  # SQLite takes it.
    name = random.Random(1).randbytes(10_000).hex()  # Else it would be compressed.
    with pytest.raises(OperationalError), opened.write() as connection:
        connection.exec_driver_sql("INSERT INTO manifest_set VALUES (?, '')", (name,))
