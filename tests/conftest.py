"""What every test may ask for: a PostgreSQL server, and a fresh database in it."""

import uuid
from collections.abc import Iterator

import postgresql_server
import pytest
from postgresql_server import Server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server of this test process. Who stops or pauses it starts one of its own."""
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with Server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """What `database.url` says: a test that asks for it runs once on each database."""
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def postgresql_url(postgresql: Server) -> Iterator[str]:
    """The address of an empty database that is this test's alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgresql.create(name)
    postgresql.drop(name)
