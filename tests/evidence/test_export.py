"""An export holds every entry of its period and what proves that, and is whole or not there."""

import codecs
import csv
import hashlib
import hmac
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import DAY_US, FACTS, Bundle, Log

from runner.contract import clock
from runner.contract.audit_entry import Entry, EntryType

ONCE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])


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


@ONCE
def test_the_bundle_verifies_itself_with_nothing_of_ours(log: Log, tmp_path: Path) -> None:
    log.fill(600)
    log.call("t1", arguments={"name": "Grace"})
    log.sign()
    log.fill(3)
    log.sign()
    log.export(tmp_path / "a.tar", "--disclose", "arguments")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    (vkey,) = bundle.folder.glob("keys/*.vkey")
    shutil.copy(bundle.folder / "checkpoints/601.note", tmp_path / "mine")
    argv = ["--key", vkey.read_text().strip(), "--against", str(tmp_path / "mine")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", ".", *argv],
        cwd=bundle.folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT-CHECKED" not in done.stdout


@ONCE
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


@ONCE
def test_without_the_key_the_export_ends_with_what_was_signed(log: Log, tmp_path: Path) -> None:
    now_us = clock.now_us()
    log.fill(3, now_us - DAY_US)
    log.fill(1, now_us - 1)
    log.sign()
    log.fill(3)
    (log.home.folder / "audit.key").rename(tmp_path / "elsewhere.key")
    fields = log.export(tmp_path / "a.tar")
    assert (fields["first"], fields["last"], fields["checkpoint"]) == (1, 3, 4)


@ONCE
def test_a_period_that_is_not_over_is_refused(log: Log, tmp_path: Path) -> None:
    log.fill(3)
    log.sign()
    assert "ends in the future" in log.refused(tmp_path / "a.tar", "--to", "2100-01-01")


@ONCE
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


def test_no_private_value_is_shown_unless_it_is_asked_for(log: Log, tmp_path: Path) -> None:
    log.call("t1", arguments={"name": "Grace"}, result=1.5)
    log.call("t2", arguments={"name": "Ada"})
    log.sign()
    until = clock.iso(clock.now_us())
    for number, (asked, shown) in enumerate(
        [
            ([], []),
            (["--disclose", "arguments"], [(1, "arguments"), (2, "arguments")]),
            (["--disclose", "result"], [(1, "result")]),
            (["--disclose", "result", "--disclose", "arguments"],
             [(1, "arguments"), (1, "result"), (2, "arguments")]),
        ]
    ):  # fmt: skip
        tar, folder = tmp_path / f"{number}.tar", tmp_path / str(number)
        fields = log.export(tar, "--to", until, *asked)
        lines = disclosed(Bundle.unpack(tar, folder))
        assert [(line["seq"], line["field"]) for line in lines] == shown
        assert (fields["disclosed"], fields["erased"]) == (len(shown), 0)


def disclosed(bundle: Bundle) -> list[dict[str, str]]:
    """What is disclosed, each checked against what its entry commits to."""
    entries = {entry["seq"]: entry for entry in bundle.entries}
    lines = [json.loads(line) for line in bundle.text("disclosures.jsonl").splitlines()]
    for line in lines:
        assert sorted(line) == ["field", "salt", "seq", "value"]
        message = line["field"].encode() + b"\x00" + line["value"].encode()
        digest = hmac.new(bytes.fromhex(line["salt"]), message, hashlib.sha256).hexdigest()
        committed = entries[line["seq"]]["private"][line["field"]]
        assert committed == f"hmac-sha256:{digest}"
    return lines


@ONCE
def test_what_was_erased_is_said_to_be(log: Log, tmp_path: Path) -> None:
    log.call("t1", arguments={"name": "Grace"}, result=1)
    log.sign()
    with log.home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM disclosure WHERE field = 'arguments'")
    asked = ["--disclose", "arguments", "--disclose", "result"]
    fields = log.export(tmp_path / "a.tar", *asked)
    assert (fields["disclosed"], fields["erased"]) == (1, 1)
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    assert bundle.text("erased.jsonl") == '{"field":"arguments","seq":1}\n'
    assert bundle.root() == bundle.signed_root()


@ONCE
def test_a_value_that_was_exchanged_is_not_shown(log: Log, tmp_path: Path) -> None:
    log.call("t1", arguments={"name": "Grace"})
    log.sign()
    with log.home.database.write() as connection:
        connection.exec_driver_sql("UPDATE disclosure SET value = ?", ('{"name":"Eve"}',))
    said = log.refused(tmp_path / "a.tar", "--disclose", "arguments")
    assert "entry 1" in said
    assert "Eve" not in said


@ONCE
def test_a_table_for_spreadsheets_runs_nothing(log: Log, tmp_path: Path) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", 'a "b", c\nd']
    entries = [
        Entry(type=EntryType.ACTION_DECIDED, agent=reason, **FACTS) for reason in hostile
    ]
    log.add(*entries)
    log.sign()
    log.export(tmp_path / "a.tar")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    content = (bundle.folder / "csv/entries.csv").read_bytes()
    assert content.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [row["agent"] for row in rows] == [f"'{one}" for one in hostile[:-1]] + hostile[-1:]
    assert not {name for entry in bundle.entries for name in entry} - set(rows[0])
    assert content.count(b"\r\n") == len(rows) + 1


@ONCE
def test_a_full_disk_leaves_nothing_half(log: Log, tmp_path: Path) -> None:
    log.fill(3_000)
    log.sign()
    argv = [sys.executable, "-m", "reconciler", "--home", str(log.home.folder)]
    argv += ["audit", "export", "--to", clock.iso(clock.now_us())]
    done = subprocess.run(
        ["prlimit", "--fsize=200000", *argv, "--out", str(tmp_path / "a.tar")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"Error: cannot write {tmp_path}/a.tar: File too large\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home"]
    assert "access.exported" not in {entry["type"] for entry in log.home.entries()}


@ONCE
def test_an_export_that_is_stopped_leaves_nothing(log: Log, tmp_path: Path) -> None:
    log.fill(40_000)
    log.sign()
    argv = [sys.executable, "-m", "reconciler", "--home", str(log.home.folder), "audit"]
    argv += ["export", "--to", clock.iso(clock.now_us()), "--out", str(tmp_path / "a.tar")]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    while not list(tmp_path.glob(".a.tar.unfinished-*/audit-*/headers.jsonl")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.endswith(b"Stopped.\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home"]
    assert "access.exported" not in {entry["type"] for entry in log.home.entries()}
