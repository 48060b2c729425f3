"""A repository, a home and a reconciler whose clock is a number, for tests of the status."""

from pathlib import Path
from typing import Any

from repository import Repository

from reconciler import canary_watch, recorded
from reconciler.canary_watch import Tended
from reconciler.reconcile import INVENTORY_EVERY_US, Reconciler
from reconciler.recorded import SourceState
from runner import decisions
from runner.contract import audit, audit_check
from runner.contract.database import Database, open_database
from runner.contract.settings import Settings, Source

SECOND_US = 1_000_000


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


def task(name: str, subject: str = "a", mode: str = "run", **annotations: str) -> str:
    given = "".join(f'    orloj.dev/{key}: "{value}"\n' for key, value in annotations.items())
    noted = f"  annotations:\n{given}" if given else ""
    return (
        "apiVersion: orloj.dev/v1\nkind: Task\n"
        f"metadata:\n  name: {name}\n{noted}spec:\n  agent: {subject}\n  mode: {mode}\n"
    )


def evaluation(name: str = "exam", **annotations: str) -> str:
    return task(name, mode="template", canary="true", **annotations)


class World:
    """Pushes commits, looks at them, and says how tasks ended as a runner would."""

    def __init__(self, folder: Path, **source: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database: Database = open_database(self.home)
        self.now_us = 1_000 * INVENTORY_EVERY_US
        self.source = source
        self.reconciler = self.started()

    def started(self) -> Reconciler:
        """A reconciler as a new process has it."""
        fields = {"url": self.repository.url} | self.source
        self.settings = Settings(home=self.home, source=Source(**fields))
        self.reconciler = Reconciler(self.settings, self.database)
        return self.reconciler

    def push(self, files: dict[str, str | None], message: str = "Change", **more: Any) -> str:
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        commit = self.repository.commit(message)
        self.repository.push(**more)
        return commit

    def look(self, after_us: int = SECOND_US, **more: Any) -> Any:
        self.now_us += after_us
        return self.reconciler.run(self.now_us, **more)

    def tend(self, after_us: int = SECOND_US) -> Tended:
        self.now_us += after_us
        return canary_watch.tend(
            self.reconciler.place,
            self.reconciler.digest,
            decisions.cancel,
            runner_here=True,
            now_us=self.now_us,
        )

    def end(self, task: str, state: str, error: str | None = None) -> None:
        """The runner said how the newest task of this name ended."""
        with self.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE task SET state = ?, error = ?, finished_at = ? WHERE id ="
                " (SELECT max(id) FROM task WHERE task_name = ?)",
                (state, error, self.now_us, task),
            )

    def state(self) -> SourceState:
        with self.database.read() as connection:
            state = recorded.source(connection)
        assert state is not None
        return state

    def condition(self) -> tuple[str, str]:
        return self.state().condition, self.state().reason

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def tasks(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self.rows("SELECT task_name, state FROM task")]

    def log(self, type_prefix: str | None = None) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            assert audit_check.verify(connection).holds
            return [e.fields for e in audit.read(connection, type_prefix=type_prefix)]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]

    def results(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT result FROM history ORDER BY id")]
