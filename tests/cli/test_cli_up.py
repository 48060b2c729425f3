"""`orloj up` runs daemon and worker together and never leaves one of them behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from home import Home

from reconciler.cli.up import readable
from runner.contract import service


@contextmanager
def up(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A real `orloj up` whose daemon and runner hold their roles."""
    environment = {"PATH": os.environ["PATH"], "ORLOJ_RUNNER_WORKERS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "--home", str(home.folder), "up"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            home.until(lambda: both(home))
            yield process
        finally:
            process.kill()


def running(home: Home) -> list[bool]:
    return [service.is_running(home.folder / "run", role) for role in ("daemon", "runner")]


def both(home: Home) -> bool:
    return running(home) == [True, True]


def holder(home: Home, role: str) -> int:
    """The process that holds a role, by the number in its lock file."""
    return int((home.folder / "run" / f"{role}.lock").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])
def test_a_signal_stops_both_cleanly(home: Home, number: signal.Signals) -> None:
    with up(home) as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out
    assert running(home) == [False, False]
    assert "daemon │" in out
    assert "worker │" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(("role", "name"), [("daemon", "daemon"), ("runner", "worker")])
def test_when_one_dies_the_other_is_stopped_and_it_says_which(
    home: Home, role: str, name: str
) -> None:
    with up(home) as process:
        os.kill(holder(home, role), signal.SIGKILL)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"the {name} ended by itself with code -9" in out
    assert running(home) == [False, False]


def test_when_up_itself_is_killed_nothing_stays_behind(home: Home) -> None:
    with up(home) as process:
        process.kill()
        process.wait(timeout=30)
        home.until(lambda: running(home) == [False, False])


def test_a_second_runner_in_the_same_home_is_refused_by_name(home: Home, orloj) -> None:
    with home.runner(workers=1):
        home.until(lambda: service.is_running(home.folder / "run", "runner"))
        done = orloj("worker")
    assert done.code == 1
    assert "already running as process" in done.err


LINE = {
    "time": "2026-11-23T03:00:00.123456Z",
    "level": "info",
    "message": "Applied a commit.",
    "action": "pass_applied",
    "commit": "abc",
}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(LINE, "03:00:00.123 Applied a commit. (commit=abc)", id="info"),
        pytest.param(
            LINE | {"level": "warning", "message": "x\x1b[2J"},
            "03:00:00.123 WARNING x\\x1b[2J (commit=abc)",
            id="escapes-are-visible",
        ),
        pytest.param(
            LINE | {"exception": "Traceback:\n  boom"},
            "03:00:00.123 Applied a commit. (commit=abc)\n  Traceback:\n    boom",
            id="exception",
        ),
    ],
)
def test_a_log_line_is_shown_as_a_sentence(line: dict[str, str], shown: str) -> None:
    assert readable(json.dumps(line).encode()) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [(b"not json\n", "not json"), (b"[1]", "[1]"), (b"{}", "{}"), (b"\xff\x1b", "�\\x1b")],
    ids=["text", "list", "empty", "bytes"],
)
def test_a_line_that_is_no_log_line_is_shown_as_it_is(line: bytes, shown: str) -> None:
    assert readable(line) == shown


def test_the_home_is_handed_down(home: Home, tmp_path: Path) -> None:
    with up(home):
        assert not (tmp_path / "orloj.db").exists()
        assert holder(home, "daemon") != holder(home, "runner")
