"""A signed log of its own for each test that asks for one, once on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import Log


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Log]:
    made = Log(tmp_path / "home", database_url)
    yield made
    made.home.close()
