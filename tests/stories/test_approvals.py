"""A call that needs a person is made after exactly one person's yes to exactly that call.

Real runner, real command line, a real server that counts: whatever is replayed, killed,
cancelled or late, it is called at most once for each approval, and never without one.
"""

import contextlib
import hmac
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner import decisions
from runner.approval import decisions as approval_decisions
from runner.approval import rows as approval_rows
from runner.approval.decisions import Proof
from runner.contract import audit_check, clock, settings, wake
from runner.contract.errors import Refused
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

    def approve(self, request: str) -> None:
        """As the door does it: one transaction, then the knocks."""
        home, login = self.home, settings.person()
        with home.database.write() as connection:
            asked = approval_rows.get(connection, request).request()
            approver = approval_decisions.by_login(connection, asked, login)
            proof = Proof(approver=approver, assurance="login", login=login)
            approval_decisions.approve(
                connection, request, proof, reason=None, now_us=clock.now_us()
            )
        home.database.knock(wake.RUNNER)
        wake.knock(home.folder / "run", wake.NOTIFIER)

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

    def types_of_log(self, kind: str) -> int:
        """How many entries of a type there are."""
        query = "SELECT count(*) FROM audit_entry WHERE type = ?"
        return int(self.home.rows(query, kind)[0][0])

    def log_holds(self) -> bool:
        with self.home.database.read() as connection:
            return audit_check.verify(connection).holds


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
        ("action.started", None),
        ("action.executed", None),
    ]
    assert [entry.get("approval") for entry in about[2:7]] == [request] * 5
    assert desk.log_holds()


def test_a_denial_is_the_answer_that_the_agent_reads(desk: Desk) -> None:
    home, agent = desk.home, desk.declare()
    with home.runner(workers=1):
        (task,) = home.submit(agent)
        request = desk.asked(task)
        told = home.orloj("deny", request, "--reason", "wrong month")
        assert told.returncode == 0, told.stderr
        home.wait([task], {"succeeded", "failed"})
    assert desk.calls == 0
    phase, result = desk.step(task)
    assert (phase, json.loads(result)) == (
        "denied",
        {"denied": "denied by ada: wrong month", "code": "approval_denied"},
    )
    assert desk.log_holds()


def test_a_runner_that_is_killed_while_a_task_waits_forgets_nothing(desk: Desk) -> None:
    home, agent = desk.home, desk.declare()
    with home.runner(workers=1) as runner:
        (task,) = home.submit(agent)
        request = desk.asked(task)
        runner.kill()
        runner.wait()
    desk.approve(request)
    with home.runner(workers=1):
        home.wait([task], {"succeeded", "failed"})
    assert (home.state(task), desk.calls) == ("succeeded", 1)
    assert desk.types(task).count("action.consumed") == 1


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_runner_that_is_killed_right_after_the_use_calls_no_second_time(
    desk: Desk, idempotent: bool
) -> None:
    home, agent = desk.home, desk.declare(idempotent=idempotent)
    desk.open = False
    with home.runner(workers=1) as runner:
        (task,) = home.submit(agent)
        request = desk.asked(task)
        desk.approve(request)
        home.until(lambda: desk.calls == 1)
        runner.kill()
        runner.wait()
    desk.open = True
    with home.runner(workers=1):
        if not idempotent:  # Whether it happened is for a person to say, as without approvals.
            home.wait([task], {"unknown_outcome"})
            assert desk.calls == 1
            return
        second = desk.asked(task)
        assert (second != request, desk.calls) == (True, 1)
        with pytest.raises(Refused, match="is consumed"):
            desk.approve(request)
        desk.approve(second)
        home.wait([task], {"succeeded", "failed"})
    assert (home.state(task), desk.calls) == ("succeeded", 2)


def test_of_people_who_decide_at_the_same_moment_one_approves_and_a_denial_wins(
    desk: Desk,
) -> None:
    home, agent = desk.home, desk.declare()
    with home.runner(workers=1):
        tasks = home.submit(agent, 2)
        requests = [desk.asked(task) for task in tasks]
    both, mixed = requests
    commands = [
        ("approve", both),
        ("approve", both),
        ("approve", mixed),
        ("deny", mixed, "--reason", "no"),
    ]
    with ThreadPoolExecutor(4) as people:
        told = list(people.map(lambda command: home.orloj(*command), commands))
    assert sorted(done.returncode for done in told[:2]) == [0, 1]
    assert told[3].returncode == 0, told[3].stderr
    states = dict(home.rows("SELECT id, state FROM approval"))
    assert states == {both: "approved", mixed: "denied"}
    granted = [e for e in home.entries() if e["type"] == "action.approval_granted"]
    assert [e["approval"] for e in granted].count(both) == 1


def test_of_two_runners_one_uses_an_approval(desk: Desk, tmp_path: Path) -> None:
    home, agent = desk.home, desk.declare()
    with contextlib.ExitStack() as runners:
        runners.enter_context(home.runner(workers=1, slots=4))
        if home.url:  # A second host; a database in the home has one.
            other = Home(tmp_path / "other", home.url)
            runners.callback(other.close)
            runners.enter_context(other.runner(workers=1, slots=4))
        tasks = home.submit(agent, 6)
        requests = [desk.asked(task) for task in tasks]
        for one in requests:
            desk.approve(one)
        home.wait(tasks, {"succeeded", "failed"})
    assert desk.calls == 6
    used = [e["approval"] for e in home.entries() if e["type"] == "action.consumed"]
    assert sorted(used) == sorted(requests)
    assert desk.log_holds()


def test_what_expires_while_no_runner_is_there_is_denied_when_one_comes(desk: Desk) -> None:
    home, agent = desk.home, desk.declare(ttl="1s")
    with home.runner(workers=1) as runner:
        (task,) = home.submit(agent)
        request = desk.asked(task)
        runner.kill()
        runner.wait()
    (expires,) = home.rows("SELECT expires_at FROM approval")[0]
    home.until(lambda: clock.now_us() >= expires)
    with pytest.raises(Refused, match="has expired"):
        desk.approve(request)
    with home.runner(workers=1):
        home.wait([task], {"succeeded", "failed"})
    assert desk.calls == 0
    assert json.loads(desk.step(task)[1]) == {
        "denied": "nobody decided in time",
        "code": "approval_timeout",
    }
    assert desk.types(task).count("action.expired") == 1


def test_what_nobody_decides_goes_on_by_itself_when_its_time_is_over(desk: Desk) -> None:
    home, agent = desk.home, desk.declare(ttl="300ms")
    with home.runner(workers=1):
        (task,) = home.submit(agent)
        home.wait([task], {"succeeded", "failed"})
    assert (desk.calls, desk.step(task)[0]) == (0, "denied")


def test_a_task_that_is_cancelled_while_it_waits_is_not_called(desk: Desk) -> None:
    home, agent = desk.home, desk.declare()
    with home.runner(workers=1):
        (task,) = home.submit(agent)
        request = desk.asked(task)
        with home.database.write() as connection:
            decisions.cancel(connection, [task], actor="person:a", now_us=clock.now_us())
        with pytest.raises(Refused, match="is withdrawn and cannot be approved"):
            desk.approve(request)
    assert (home.state(task), desk.calls) == ("cancelled", 0)


class Hook:
    """A webhook that answers what the test says, and remembers what it was told."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        return Answer(self.answers.pop(0) if self.answers else 200)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.server.received]


def test_hooks_are_told_of_the_request_and_the_decision_and_of_no_argument(
    desk: Desk,
) -> None:
    home, plain, slack = desk.home, Hook(503), Hook()
    secret = "hook-secret-4711"
    (home.folder / "key").write_text(secret, encoding="utf-8")
    (home.folder / "orloj.toml").write_text(f'[secrets]\nfolder = "{home.folder}"\n')
    home.record("Secret", "hook", {"fromFile": {"value": "key"}})
    with plain.server.running(), slack.server.running():
        notify = [
            {"url": f"{plain.server.url}/secret-path", "auth": {"secretRef": "hook"}},
            {"url": slack.server.url, "format": "slack"},
        ]
        agent = desk.declare(notify=notify)
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            request = desk.asked(task)
            desk.approve(request)
            home.until(lambda: desk.types_of_log("notification.sent") == 4)
            home.wait([task], {"succeeded", "failed"})
    told = plain.told()
    assert {one["event"] for one in told} == {"approval.requested", "approval.decided"}
    assert len(told) == 3, "one was tried again"
    assert len(slack.told()) == 2
    everything = b"".join(r.body for r in plain.server.received + slack.server.received)
    assert "Überweisung".encode() not in everything
    assert request in slack.told()[0]["text"]
    for received in plain.server.received:
        assert received.headers["Authorization"] == f"Bearer {secret}"
        given = dict(part.split("=") for part in received.headers["Orloj-Signature"].split(","))
        message = given["t"].encode() + b"." + received.body
        assert given["v1"] == hmac.new(secret.encode(), message, "sha256").hexdigest()
    logged = json.dumps(home.entries()) + (home.folder / "runner.log").read_text()
    assert secret not in logged
    assert "secret-path" not in logged


def test_a_hook_that_hangs_or_refuses_holds_nothing_up(desk: Desk) -> None:
    home, refusing, silent = desk.home, Hook(410, 410), socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    with refusing.server.running(), silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}"
        agent = desk.declare(notify=[{"url": hanging}, {"url": refusing.server.url}])
        with home.runner(workers=1):
            (task,) = home.submit(agent)
            request = desk.asked(task)
            home.until(lambda: desk.types_of_log("notification.failed") == 1)
            desk.approve(request)
            home.wait([task], {"succeeded", "failed"})
            waiting = home.rows("SELECT state FROM notification WHERE state = 'waiting'")
    assert (home.state(task), desk.calls) == ("succeeded", 1)
    assert waiting, "the hook that hangs was waited for"
