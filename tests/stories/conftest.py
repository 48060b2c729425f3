"""A home of its own for each story that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Iterator[Home]:
    """A state folder with an applied commit and nothing else, once on each database."""
    made = Home(tmp_path / "home", database_url)
    yield made
    made.close()
