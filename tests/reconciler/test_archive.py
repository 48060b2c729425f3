"""An archive holds entries as they were hashed, and any byte changed in it is found."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home
from privacy_world import DAY_US, ended, verdict

from reconciler.privacy import archive
from runner.contract import errors


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.close()


def written(home: Home, first: int, last: int, out: Path) -> archive.Archive:
    with home.database.read() as connection:
        return archive.write(connection, first, last, out)


def test_an_archive_has_the_root_of_the_log_and_goes_on_where_the_last_ended(
    home: Home, tmp_path: Path
) -> None:
    for _ in range(3):
        ended(home)
    size = verdict(home.database).entries
    first = written(home, 1, 7, tmp_path / "a")
    second = written(home, 8, size, tmp_path / "b")
    assert (first.first, first.last, second.last) == (1, 7, size)
    assert second.root == verdict(home.database).head
    with home.database.read() as connection:
        assert archive.matches(connection, first)
        assert archive.matches(connection, second)


def test_the_same_range_gives_the_same_bytes(home: Home, tmp_path: Path) -> None:
    ended(home)
    written(home, 1, 5, tmp_path / "a")
    written(home, 1, 5, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_changed_line_is_found(home: Home, tmp_path: Path) -> None:
    ended(home)
    file = tmp_path / "a"
    written(home, 2, 5, file)
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    for number, line in enumerate(lines):
        for changed in (b"", line.replace(b"1", b"2", 1) if b"1" in line else line[1:]):
            file.write_bytes(
                gzip.compress(b"".join([*lines[:number], changed, *lines[number + 1 :]]))
            )
            try:
                held = same(home, file)
            except errors.AuditBroken:
                continue
            assert not held, number


def same(home: Home, file: Path) -> bool:
    try:
        found = archive.read(file)
    except errors.AuditBroken:
        return False
    with home.database.read() as connection:
        return archive.matches(connection, found)


def test_a_file_cut_short_is_no_archive(home: Home, tmp_path: Path) -> None:
    ended(home)
    written(home, 1, 5, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.AuditBroken, match="no whole archive"):
        archive.read(tmp_path / "a")


def test_a_file_that_is_there_is_not_written_over(home: Home, tmp_path: Path) -> None:
    ended(home)
    (tmp_path / "a").write_text("mine")
    with pytest.raises(errors.Refused, match="is there already"):
        written(home, 1, 2, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"


def test_a_log_that_was_rewritten_is_not_that_of_the_archive(
    home: Home, tmp_path: Path
) -> None:
    ended(home)
    found = written(home, 1, 5, tmp_path / "a")
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_entry SET raw = leaf WHERE seq = 3")
    with home.database.read() as connection:
        assert not archive.matches(connection, found)


def test_the_command_writes_it_notes_it_and_begins_after_it_next_time(
    home: Home, tmp_path: Path
) -> None:
    ended(home, at_us=DAY_US)
    done = home.orloj("audit", "archive", "--before", "0s", "--out", str(tmp_path / "a"))
    assert done.returncode == 0, done.stderr
    entry = home.entries()[-1]
    assert (entry["type"], entry["outcome"]) == ("log.archived", "entries 1 to 6")
    checked = home.orloj("audit", "verify", "--archive", str(tmp_path / "a"))
    assert (checked.returncode, "as in the database" in checked.stdout) == (0, True)
    done = home.orloj("audit", "archive", "--before", "0s", "--out", str(tmp_path / "b"))
    assert archive.read(tmp_path / "b").first == 7
