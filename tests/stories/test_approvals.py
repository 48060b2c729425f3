"""A call that needs a person is made after exactly one person's yes to exactly that call.

Real runner, real command line, a real server that counts: whatever is replayed, killed,
cancelled or late, it is called at most once for each approval, and never without one.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner.contract import audit, settings
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

NEEDS = {"write": "tickets"}
ARGUMENTS = {"title": "Überweisung", "amount": 12.5}


class Desk:
    """A home with an agent whose one call needs a person, and the server that it calls."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.open = True
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        while not self.open:
            if self.server.closing.wait(0.01):
                return Answer(503)
        return Answer(200, b"filed")

    def declare(self, *, idempotent: bool = False, **approvals: Any) -> Key:
        home, calls = self.home, [{"tool": "tickets", "arguments": ARGUMENTS}]
        script = {"clerk": [{"calls": calls}, {"reply": "{result.1}"}]}
        endpoint = {"provider": "mock", "default_model": "m", "script": script}
        home.record("ModelEndpoint", "default", endpoint)
        tool = {"type": "http", "endpoint": self.server.url, "requires": [NEEDS]}
        home.record("Tool", "tickets", {**tool, "idempotent": idempotent})
        rules = {"four_eyes": False, **approvals}
        home.record("Namespace", "default", {"approvals": rules})
        me = {"emails": ["me@example.com"], "user": settings.person()}
        home.record("Approver", "ada", me)
        grant = [{"name": "tickets", "permissions": [NEEDS]}]
        governance = {"requireApproval": [NEEDS]}
        agent = {"model": "m", "tools": grant, "governance": governance}
        return home.record("Agent", "clerk", agent)

    @property
    def calls(self) -> int:
        return len(self.server.received)

    def asked(self, task: str) -> str:
        """The request that a task waits for."""
        self.home.wait([task], {"waiting_approval"})
        (found,) = self.home.rows(
            "SELECT id FROM approval WHERE task_id = ? AND state = 'pending'", task
        )
        return str(found[0])

    def step(self, task: str) -> Any:
        """What came of the tool's step."""
        rows = self.home.rows(
            "SELECT phase, result FROM step WHERE task_id = ? AND kind = 'tool'", task
        )
        return rows and (rows[0][0], rows[0][1])

    def types(self, task: str) -> list[str]:
        return [entry["type"] for entry in self.home.entries(task)]

    def log_holds(self) -> bool:
        with self.home.database.read() as connection:
            return audit.verify(connection).holds


@pytest.fixture
def desk(home: Home) -> Iterator[Desk]:
    made = Desk(home)
    with made.server.running():
        yield made


def test_a_call_waits_for_a_person_holds_no_worker_and_is_made_after_their_yes(
    desk: Desk,
) -> None:
    home, agent = desk.home, desk.declare()
    with home.runner(workers=1, slots=1):
        (task,) = home.submit(agent)
        request = desk.asked(task)
        assert desk.calls == 0
        assert home.rows("SELECT holder, attempt FROM task WHERE id = ?", task) == [(None, 0)]
        told = home.orloj("approve", request[:-1], "--reason", "seen", "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["task_state"] == "pending"
        home.wait([task], {"succeeded", "failed"})
    assert (home.state(task), desk.calls) == ("succeeded", 1)
    assert json.loads(desk.server.received[0].body) == ARGUMENTS
    about = [entry for entry in home.entries(task) if entry.get("tool") == "tickets"]
    assert [(entry["type"], entry.get("decision")) for entry in about] == [
        ("action.requested", None),
        ("action.decided", "ask"),
        ("action.approval_requested", None),
        ("action.approval_granted", None),
        ("action.consumed", None),
        ("action.decided", "allow"),
        ("action.executed", None),
    ]
    assert [entry.get("approval") for entry in about[2:6]] == [request] * 4
    assert desk.log_holds()
