"""A repository, a home and a reconciler whose clock is a number, for tests of what a push does.

world = World(tmp_path)
world.push({"a.yaml": agent("a")})
world.look()
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from home import opened
from repository import Repository

from reconciler import override, recorded
from reconciler.override import Override, OverrideKind
from reconciler.reconcile import INVENTORY_EVERY_US, Reconciler
from reconciler.recorded import SourceState
from reconciler.report import PassResult
from runner.contract import audit, audit_check
from runner.contract.settings import Settings, Source

SECOND_US = 1_000_000


def manifest(
    kind: str, name: str, spec: str, *, namespace: str = "default", **annotations: str
) -> str:
    """A manifest; `protect="true"` and the like are its annotations, written as given."""
    lines = [
        "apiVersion: orloj.dev/v1",
        f"kind: {kind}",
        "metadata:",
        f"  name: {name}",
        f"  namespace: {namespace}",
    ]
    if annotations:
        lines.append("  annotations:")
        lines += [
            f"    orloj.dev/{key.replace('_', '-')}: {value}"
            for key, value in annotations.items()
        ]
    return "\n".join([*lines, f"spec: {spec}"]) + "\n"


def agent(name: str, prompt: str = "Be brief.", tools: str = "", **more: str) -> str:
    """An agent with its prompt and the names of its tools."""
    named = f", tools: [{tools}]" if tools else ""
    return manifest("Agent", name, f"{{model: gpt-4, prompt: {prompt}{named}}}", **more)


def agents(count: int, start: int = 0) -> dict[str, str | None]:
    """Files of so many agents."""
    return {f"a{n:03}.yaml": agent(f"a{n:03}") for n in range(start, start + count)}


class World:
    """What a push meets. `started` makes a reconciler as a new process has it."""

    def __init__(self, folder: Path, url: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.url = url
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database = opened(self.home, url)
        self.now_us = 1_000 * INVENTORY_EVERY_US
        self.settings: dict[str, Any] = {}
        self.reconciler = self.started()

    def started(self, **source: Any) -> Reconciler:
        self.settings |= source
        settings = Settings(
            home=self.home, source=Source(**({"url": self.repository.url} | self.settings))
        )
        return Reconciler(settings, self.database)

    def push(self, files: dict[str, str | None], **more: Any) -> str:
        """Write files, remove those that are None, commit and push; the commit."""
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        commit = self.repository.commit("Change")
        self.repository.push(**more)
        return commit

    def look(self, after_us: int = SECOND_US, **more: Any) -> PassResult:
        self.now_us += after_us
        return self.reconciler.run(self.now_us, **more)

    def allow(self, commit: str, *keys: str, reason: str = "It is old.") -> None:
        """Let resources go by name in a commit, as `orloj reconcile --allow-destroy` does."""
        given = [Override(OverrideKind.DESTROY, "person:ada", reason, key) for key in keys]
        with self.database.write() as connection:
            override.give(connection, "default", commit, given, self.now_us)

    def state(self) -> SourceState:
        with self.database.read() as connection:
            state = recorded.source(connection)
        assert state is not None
        return state

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def log(self, type_prefix: str | None = None) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            assert audit_check.verify(connection).holds
            return [e.fields for e in audit.read(connection, type_prefix=type_prefix)]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]


@contextlib.contextmanager
def made(folder: Path, url: str = "") -> Iterator[World]:
    """A world that is closed at the end."""
    world = World(folder, url)
    yield world
    world.database.close()
