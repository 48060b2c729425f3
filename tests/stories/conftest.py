"""A home of its own for each story that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A state folder with an applied commit and nothing else."""
    made = Home(tmp_path / "home")
    yield made
    made.close()
