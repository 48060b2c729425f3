"""A database in memory for one world after another, each as a home with manifests leaves it.

The home is made once, on disk and by the program's own means; its bytes are then copied into
memory for every world, which takes a hundredth of the time. The statements of the queue run
on it through the same SQLAlchemy and the same driver. What its triggers refuse is in
`promises`.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import promises
from home import Home
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

AGENTS = ("clerk", "porter", "scribe")
TOOLS = {"once": False, "again": True, "forbidden": False}
"""Whether each is declared idempotent. No agent is granted the last one."""


class Kept(sqlite3.Connection):
    """A connection whose database lives on when somebody gives it up."""

    def close(self) -> None:
        """End what was under way, and nothing else."""
        self.rollback()


class Stage:
    """The one connection on which every world of this process plays."""

    def __init__(self) -> None:
        self._template = _template()
        self.raw = sqlite3.connect(
            ":memory:", factory=Kept, isolation_level=None, check_same_thread=False
        )
        self.engine = create_engine("sqlite://", creator=lambda: self.raw, poolclass=NullPool)
        self.connection = self.engine.connect()
        self._folder = tempfile.TemporaryDirectory(prefix="simulation-")
        self.home = Path(self._folder.name)

    def clear(self) -> None:
        """Forget the last world."""
        self.connection.rollback()
        self._template.backup(self.raw)

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """What a query finds, past SQLAlchemy: a world looks at itself after every event."""
        return self.raw.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction, as the database of a home gives it."""
        self.connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.commit()
        except BaseException:
            self.connection.rollback()
            raise


@cache
def stage() -> Stage:
    """The stage of this process."""
    return Stage()


def _template() -> sqlite3.Connection:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        _declare(home)
        held = home.database.connect()
        driver = held.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        template = sqlite3.connect(":memory:", check_same_thread=False)
        # Statement by statement: the file's pages say that it has a write-ahead log.
        template.executescript("\n".join(driver.iterdump()))
        held.close()
        home.close()
    template.executescript(promises.TRIGGERS)
    return template


def _declare(home: Home) -> None:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    use = {"use": "it"}
    for name, idempotent in TOOLS.items():
        spec = {"endpoint": "http://x", "requires": [use], "idempotent": idempotent}
        home.record("Tool", name, spec)
    grants = [{"name": name, "permissions": [use]} for name in ("once", "again")]
    for name in AGENTS:
        home.record("Agent", name, {"model": "m", "tools": grants})
