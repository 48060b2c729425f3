"""An export holds every entry of its period and what proves that, and is whole or not there."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import DAY_US, Bundle, Log

from runner.contract import clock


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Log]:
    made = Log(tmp_path / "home", database_url)
    yield made
    made.home.close()


@pytest.mark.parametrize(
    ("before", "within", "after"),
    [(0, 1, 0), (0, 5, 0), (3, 4, 2), (256, 300, 1), (1, 256, 400), (7, 0, 3)],
)
def test_the_signed_root_is_that_of_what_the_bundle_holds(
    log: Log, tmp_path: Path, before: int, within: int, after: int
) -> None:
    now_us = clock.now_us()
    for count, days in ((before, 3), (within, 2), (after, 1)):
        log.fill(count, now_us - days * DAY_US)
    log.sign()
    since, until = (clock.iso(now_us - days * DAY_US) for days in (2, 1))
    log.export(tmp_path / "a.tar", "--from", since, "--to", until)
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    assert bundle.root() == bundle.signed_root()
    about = bundle.description
    assert about["last"] - about["first"] + 1 == within
    times = [entry["time"] for entry in bundle.entries]
    inside = [about["since_us"] <= time < about["until_us"] for time in times]
    assert inside == [False] * min(before, 1) + [True] * within + [False]


def test_sha256sum_knows_every_file(log: Log, tmp_path: Path) -> None:
    log.fill(3)
    log.sign()
    fields = log.export(tmp_path / "a.tar")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    checked = subprocess.run(
        ["sha256sum", "--strict", "--check", "MANIFEST.sha256"],
        cwd=bundle.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    files = [file for file in bundle.folder.rglob("*") if file.is_file()]
    assert len(checked.stdout.splitlines()) == len(files) - 1
    tar = (tmp_path / "a.tar").read_bytes()
    assert hashlib.sha256(tar).hexdigest() == fields["sha256"]


def test_the_log_says_who_exported_what(log: Log, tmp_path: Path) -> None:
    log.fill(3)
    log.sign()
    fields = log.export(tmp_path / "a.tar")
    entry = log.home.entries()[-1]
    assert (entry["seq"], entry["type"]) == (fields["audit_entry"], "access.exported")
    assert entry["digest"] == f"sha256:{fields['sha256']}"
    assert entry["resource"] == f"{fields['from']}/{fields['to']}"
    assert entry["actor"].startswith("person:")
    assert entry["seq"] > fields["last"]


def test_what_nobody_signed_is_not_exported(log: Log, tmp_path: Path) -> None:
    log.fill(3)
    assert "nothing of the log was signed yet" in log.refused(tmp_path / "a.tar")
    log.sign()
    log.fill(3)
    (log.home.folder / "audit.key").rename(tmp_path / "elsewhere.key")
    said = log.refused(tmp_path / "a.tar", "--to", clock.iso(clock.now_us()))
    assert "is signed up to entry 3" in said
    assert "orloj up" in said


def test_without_the_key_the_export_ends_with_what_was_signed(log: Log, tmp_path: Path) -> None:
    now_us = clock.now_us()
    log.fill(3, now_us - DAY_US)
    log.fill(1, now_us - 1)
    log.sign()
    log.fill(3)
    (log.home.folder / "audit.key").rename(tmp_path / "elsewhere.key")
    fields = log.export(tmp_path / "a.tar")
    assert (fields["first"], fields["last"], fields["checkpoint"]) == (1, 3, 4)


def test_a_period_that_is_not_over_is_refused(log: Log, tmp_path: Path) -> None:
    log.fill(3)
    log.sign()
    assert "ends in the future" in log.refused(tmp_path / "a.tar", "--to", "2100-01-01")


def test_an_empty_log_is_refused(log: Log, tmp_path: Path) -> None:
    assert "signed" in log.refused(tmp_path / "a.tar")


@pytest.mark.parametrize("statement", [
    "UPDATE audit_entry SET raw = ? WHERE seq = 2",
    "DELETE FROM audit_entry WHERE raw <> ? AND seq = 2",
])  # fmt: skip
def test_a_log_that_is_not_the_signed_one_is_not_exported(
    log: Log, tmp_path: Path, statement: str
) -> None:
    log.fill(600)
    log.sign()
    with log.home.database.write() as connection:
        connection.exec_driver_sql(statement, (b'{"v":2}',))
    said = log.refused(tmp_path / "a.tar", "--to", clock.iso(clock.now_us()))
    assert "orloj audit verify" in said
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home"]
