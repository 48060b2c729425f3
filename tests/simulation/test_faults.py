"""The simulation notices when the runner is wrong: each fault breaks a promise in some world.

A fault is built into a copy of the program in a folder of its own; the worlds are then
played on that copy by another process. On a copy without a fault they all hold.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
SEEDS = 1_000


def played(copy: Path, seeds: int) -> subprocess.CompletedProcess[str]:
    """The first worlds on a copy of the program; they stop at the first broken promise."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(copy)}
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "simulation"), "0", str(seeds)],
        env=environment,
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the program."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "runner", tmp_path / "runner", ignore=without)
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found(copy: Path, fault: Fault) -> None:
    fault.build_in(copy)
    result = played(copy, SEEDS)
    assert result.returncode == 1, f"{SEEDS} worlds, and nobody noticed: {result.stdout}"
    assert "breaks a promise" in result.stderr, result.stderr[-2_000:]
    assert str(copy) in result.stdout, "the copy was not what was played"


def test_without_a_fault_none_is_found(copy: Path) -> None:
    result = played(copy, 40)
    assert result.returncode == 0, result.stderr[-2_000:]
