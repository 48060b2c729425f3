"""What leaves the audit log by `orloj audit` is what stands in it; a broken log is named.

A file opened in a spreadsheet runs nothing that an agent wrote.
"""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from home import COMMIT, Home

from reconciler.proof.keeper import Keeper
from runner.contract import audit, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.clock import now_us

FORMULA = '=HYPERLINK("http://evil.example","click")'
DAY_US = 86_400_000_000


@pytest.fixture
def log(home: Home) -> Home:
    """Four entries: one two days old, three of now, one of them with a hostile reason."""
    facts = {"actor": "worker:1", "commit": COMMIT}
    decided = EntryType.ACTION_DECIDED
    entries = [
        Entry(type=decided, task="t1", agent="a", tool="x", decision="allow", **facts),
        Entry(
            type=decided,
            task="t1",
            agent="a",
            tool="y",
            decision="deny",
            reason=FORMULA,
            rule="agents/a.yaml:7",
            **facts,
        ),
        Entry(type=EntryType.TASK_FINISHED, task="t1", outcome="\x1b]0;owned\x07", **facts),
    ]
    with home.database.write() as connection:
        audit.append(
            connection, [Entry(type=EntryType.LOG_STARTED, **facts)], now_us() - 2 * DAY_US
        )
        audit.append(connection, entries, now_us())
    return home


def sequence(out: str) -> list[int]:
    return [entry["seq"] for entry in json.loads(out)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param([], [1, 2, 3, 4], id="all"),
        pytest.param(["--agent", "a"], [2, 3], id="agent"),
        pytest.param(["--type", "action."], [2, 3], id="type"),
        pytest.param(["--decision", "deny"], [3], id="decision"),
        pytest.param(["--since", "1h"], [2, 3, 4], id="since"),
        pytest.param(["--since", f"{10**17}d"], [1, 2, 3, 4], id="since-before-all-time"),
        pytest.param(["--until", "1d"], [1], id="until"),
        pytest.param(["--since", "2020-01-01", "--until", "2020-01-02T03:00"], [], id="dates"),
        pytest.param(["--limit", "2"], [3, 4], id="newest"),
    ],
)
def test_the_log_can_be_narrowed(
    log: Home, orloj, filters: list[str], found: list[int]
) -> None:
    assert sequence(orloj("audit", "log", "--json", *filters).out) == found


def test_the_log_shows_decision_rule_and_commit_and_steers_no_terminal(
    log: Home, orloj
) -> None:
    out = orloj("audit", "log").out
    assert "agents/a.yaml:7" in out
    assert "deny" in out
    assert COMMIT[:8] in out
    assert "\x1b" not in out


@pytest.mark.parametrize("time", ["yesterday", "2h30", "-1h", ""], ids=repr)
def test_a_time_that_is_none_is_refused(log: Home, orloj, time: str) -> None:
    done = orloj("audit", "log", f"--since={time}")
    assert done.code == 1
    assert "2026-11-23T03:00" in done.err


def test_a_log_that_holds_and_is_signed_ends_with_0_and_shows_its_head(
    log: Home, orloj
) -> None:
    unsigned = orloj("audit", "verify")
    assert (unsigned.code, "None of them is signed." in unsigned.out) == (2, True)
    Keeper(settings.load(log.folder, {}), log.database, now_us).step(at_once=True)
    done = orloj("audit", "verify")
    verdict = json.loads(orloj("audit", "verify", "--json").out)
    assert done.code == 0
    assert verdict["head"] in done.out
    assert (verdict["holds"], verdict["entries"], verdict["bad_seq"]) == (True, 4, None)


def test_a_broken_log_ends_with_1_and_names_the_first_bad_entry(log: Home, orloj) -> None:
    with log.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE audit_entry SET raw = CAST(replace(raw, 'deny', 'allow') AS BLOB)"
            " WHERE seq = 3"
        )
    done = orloj("audit", "verify")
    as_json = orloj("audit", "verify", "--json")
    assert (done.code, as_json.code) == (1, 1)
    assert "entry 3" in done.out
    assert json.loads(as_json.out)["bad_seq"] == 3


def test_jsonl_is_the_stored_bytes_one_entry_a_line(log: Home, orloj, tmp_path: Path) -> None:
    out = tmp_path / "audit.jsonl"
    stored = [row[0] for row in log.rows("SELECT raw FROM audit_entry ORDER BY seq")]
    done = orloj("audit", "export", "--out", out)
    assert done.code == 0
    assert out.read_bytes().splitlines() == stored
    said = orloj("audit", "export", "--format", "jsonl").out.encode().splitlines()
    assert said[:-1] == stored
    assert json.loads(said[-1])["type"] == "access.read"  # Of the first export.


def test_an_export_can_be_cut_to_a_time(log: Home, orloj) -> None:
    assert len(orloj("audit", "export", "--from", "1h").out.splitlines()) == 3
    assert len(orloj("audit", "export", "--to", "1d").out.splitlines()) == 1


def test_csv_reads_back_field_by_field_and_holds_no_formula(log: Home, orloj) -> None:
    rows = list(csv.DictReader(io.StringIO(orloj("audit", "export", "--format", "csv").out)))
    assert [row["seq"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[2]["reason"] == "'" + FORMULA
    assert (rows[2]["rule"], rows[2]["commit"]) == ("agents/a.yaml:7", COMMIT)
    for row in rows:
        assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in row.values())


def test_an_export_that_cannot_be_written_leaves_no_half_file(log: Home, orloj) -> None:
    out = log.folder / "no-such-folder" / "audit.jsonl"
    done = orloj("audit", "export", "--out", out)
    assert done.code == 1
    assert "cannot write" in done.err
    assert not out.parent.exists()


def test_a_pipe_that_closes_early_is_no_traceback(log: Home) -> None:
    with log.database.write() as connection:
        entry = Entry(type=EntryType.LOG_STARTED, actor="x" * 500, commit=COMMIT)
        audit.append(connection, [entry] * 2_000, now_us())
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "--home", log.folder, "audit", "export"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    ) as export:
        os.close(writing)
        os.read(reading, 100)
        os.close(reading)
        _, complaint = export.communicate(timeout=60)
    assert "Traceback" not in complaint
    assert "BrokenPipe" not in complaint
