"""A signed commit, a real run under it with a call that a person approved, and a signed log.

world = WhyWorld(tmp_path)
task = world.ran()            an agent that asked its model, then filed a ticket
world.orloj("why", f"{task}/2")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import signing
from home import Home
from local_server import Answer, LocalServer

from reconciler.proof.keeper import Keeper
from runner.contract import clock, settings
from runner.contract.kinds import Key

ARGUMENTS = {"title": "Überweisung", "amount": 12.5}
CLERK = Key("default", "Agent", "clerk")


def tool(url: str) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Tool\nmetadata:\n  name: tickets\nspec:\n"
        f"  type: http\n  endpoint: {url}\n  requires:\n    - write: tickets\n"
    )


def clerk(permission: str = "write: tickets") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata:\n  name: clerk\nspec:\n"
        "  model: m\n"
        "  tools:\n    - name: tickets\n      permissions:\n"
        f"        - {permission}\n"
        "  governance:\n    requireApproval:\n      - write: tickets\n"
    )


def endpoint() -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: ModelEndpoint\nmetadata:\n  name: default\nspec:\n"
        "  provider: mock\n  default_model: m\n  script:\n    clerk:\n"
        "      - calls:\n          - tool: tickets\n            arguments:\n"
        "              title: Überweisung\n              amount: 12.5\n"
        "      - reply: filed\n"
    )


def people(key: str) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Namespace\nmetadata:\n  name: default\nspec:\n"
        "  approvals:\n    assurance: signature\n"
        "---\napiVersion: orloj.dev/v1\nkind: Approver\nmetadata:\n  name: ada\nspec:\n"
        f"  emails: [ada@example.com]\n  keys:\n    - {key}\n"
    )


class WhyWorld:
    """A repository whose commits dana signs, and a home in which ada approves."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.server = LocalServer(lambda _: Answer(200, b"filed"))
        self.dana = signing.ssh(folder, "dana@example.com")
        self.ada = signing.ssh(folder, "ada@example.com")
        self.home = Home(folder / "home", url, applied=False)
        self.world = signing.World(folder)
        self.world.trusting(self.dana)
        self.commit = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server of the tool is there, and the commit is applied."""
        with self.server.running():
            signers = self.world.folder / "allowed_signers"
            (self.home.folder / "orloj.toml").write_text(
                f'[source]\nurl = "{self.world.repository.url}"\nverify = "range"\n'
                f'allowed_signers = "{signers}"\n'
            )
            self.commit = self.push(
                {
                    "tools/tickets.yaml": tool(self.server.url),
                    "agents/clerk.yaml": clerk(),
                    "models.yaml": endpoint(),
                    "people.yaml": people(self.ada.public),
                },
                "Let the clerk file tickets\n\nReviewed-by: Eve <eve@example.com>",
            )
            yield
        self.close()

    def push(self, files: dict[str, str | None], message: str) -> str:
        commit = self.world.push(files, self.dana, message)
        self.world.now_us = clock.now_us()
        result = self.world.look()
        assert result.outcome == "applied", result
        return commit

    def ran(self) -> str:
        """A task that filed its ticket after ada's yes."""
        home = self.home
        with home.runner(workers=1, slots=1):
            (task,) = home.submit(CLERK)
            home.wait([task], {"waiting_approval"})
            rows = home.rows("SELECT id FROM approval WHERE task_id = ?", task)
            told = home.orloj("approve", rows[0][0], "--sign", str(self.ada.home))
            assert told.returncode == 0, told.stderr
            home.wait([task], {"succeeded", "failed"})
        assert home.state(task) == "succeeded"
        self.sign()
        return task

    def sign(self) -> None:
        """A checkpoint over all there is."""
        loaded = settings.load(self.home.folder)
        assert Keeper(loaded, self.home.database, clock.now_us).step(at_once=True)

    def edit(self, statement: str, *values: Any) -> None:
        """As somebody with the database would."""
        with self.home.database.write() as connection:
            connection.exec_driver_sql(statement, values)

    def close(self) -> None:
        self.home.close()
        self.world.database.close()
