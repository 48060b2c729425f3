"""The systemd units are valid, and leave no more open than they need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ("orloj-reconciler.service", "orloj-runner.service")
EXPOSURE_MAX = 1.1
INSTALLED = "/opt/orloj/.venv/bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units, with the programs of this environment where the installed ones would be."""
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text(encoding="utf-8")
        assert INSTALLED in text
        (tmp_path / name).write_text(text.replace(INSTALLED, f"{sys.prefix}/bin"))
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(folder: Path, name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(folder / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_the_exposure_stays_under_its_bar(folder: Path, name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(folder / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE_MAX


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_tells_when_it_is_ready_and_is_stopped_in_its_own_time(name: str) -> None:
    text = (ROOT / "systemd" / name).read_text(encoding="utf-8")
    for line in (
        "Type=notify",
        "WatchdogSec=60",
        "KillMode=mixed",
        "LimitCORE=0",
        "StateDirectory=orloj",
    ):
        assert f"\n{line}\n" in text


def test_the_runner_may_put_its_tools_into_a_sandbox() -> None:
    text = (ROOT / "systemd" / "orloj-runner.service").read_text(encoding="utf-8")
    allowed = " ".join(
        line.partition("=")[2]
        for line in text.splitlines()
        if line.startswith("SystemCallFilter=") and "~" not in line
    ).split()
    assert {
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
        "seccomp",
    } <= set(allowed)
