"""A daemon that is killed at any moment of fetch, plan or apply leaves one commit, whole.

What runs here is a short drill for every change; 500 kills are a command, see
docs/contributing.md. A drill that finds nothing in a broken program is worth nothing: the
transaction of an apply is cut in two in a copy, and the drill must say so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.story, pytest.mark.timeout(300)]

PROJECT = Path(__file__).parents[2]
WHOLE = "        resource_rows.write(connection, planned, now_us)\n"
IN_TWO = WHOLE + "        connection.commit()\n        __import__('time').sleep(0.1)\n"


def drilled(program: Path, kills: int, url: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROJECT / "tests" / "reconcile_drill.py", f"--kills={kills}"]
        + [f"--url={url}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{program}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
    )


def test_a_daemon_killed_at_any_moment_leaves_one_commit_whole(database_url: str) -> None:
    done = drilled(PROJECT, 25, database_url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_apply_in_two_transactions_is_found(tmp_path: Path) -> None:
    for package in ("runner", "reconciler"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=ignored)
    apply = tmp_path / "reconciler" / "apply.py"
    text = apply.read_text(encoding="utf-8")
    assert WHOLE in text
    apply.write_text(text.replace(WHOLE, IN_TWO), encoding="utf-8")
    done = drilled(tmp_path, 60)
    assert done.returncode == 1
    # What is half there, or was begun and never queued, depends on where the kill struck.
    said = ("is recorded", "of another commit", "were asked for")
    assert any(words in done.stdout for words in said), done.stdout
