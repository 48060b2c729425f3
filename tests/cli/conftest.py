"""The command line as a call: arguments in; exit code and both outputs back."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from home import Home

from reconciler import cli


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


Orloj = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def orloj(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Orloj:
    """Runs `orloj` in this process, in the home of the test, with output to a pipe."""
    monkeypatch.setenv("ORLOJ_HOME", str(tmp_path / "home"))
    for name in ("ORLOJ_SOURCE_URL", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["orloj", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, out, err)

    return call
