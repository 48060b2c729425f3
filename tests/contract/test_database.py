"""A write is all or nothing, no write is lost between processes, old databases open.

The file is SQLite in WAL mode with every commit synced.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract import database, errors

ADDER = """
import sys
from pathlib import Path
from runner.contract import database
opened = database.open_database(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    with opened.write() as connection:
        value = connection.exec_driver_sql("SELECT serial FROM state").scalar_one()
        connection.exec_driver_sql("UPDATE state SET serial = ?", (value + 1,))
opened.close()
"""


def serial(opened: database.Database) -> int:
    with opened.read() as connection:
        return connection.exec_driver_sql("SELECT serial FROM state").scalar_one()


def test_processes_that_read_then_write_lose_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path), "40"]) for _ in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    opened = database.open_database(tmp_path)
    assert serial(opened) == 120
    opened.close()


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path), "0"]) for _ in range(4)
    ]
    assert [starter.wait(60) for starter in starters] == [0, 0, 0, 0]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path)
    with pytest.raises(ZeroDivisionError), opened.write() as connection:  # noqa: PT012
        connection.exec_driver_sql("UPDATE state SET serial = 7")
        raise ZeroDivisionError
    assert serial(opened) == 0
    opened.close()


def test_a_writer_killed_before_its_commit_leaves_nothing_and_holds_nobody_up(
    tmp_path: Path,
) -> None:
    opened = database.open_database(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from runner.contract import database\n"
        "opened = database.open_database(Path(sys.argv[1]))\n"
        "with opened.write() as connection:\n"
        "    connection.exec_driver_sql('UPDATE state SET serial = 7')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert serial(opened) == 0
    with opened.write() as connection:
        connection.exec_driver_sql("UPDATE state SET serial = 8")
    assert serial(opened) == 8
    opened.close()


def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path)
    with opened.read() as reader:
        before = reader.exec_driver_sql("SELECT serial FROM state").scalar_one()
        with opened.write() as writer:
            writer.exec_driver_sql("UPDATE state SET serial = 9")
        after = reader.exec_driver_sql("SELECT serial FROM state").scalar_one()
    assert (before, after, serial(opened)) == (0, 0, 9)
    opened.close()


def test_commits_are_synced_and_the_log_is_a_wal(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path)
    with opened.connect() as connection:
        modes = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert modes == ["wal", 2, 1]
    opened.close()


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    opened = database.open_database(tmp_path)
    with opened.write() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 9999")
    opened.close()
    with pytest.raises(errors.DatabaseUnavailable, match="schema 9999"):
        database.open_database(tmp_path)


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
