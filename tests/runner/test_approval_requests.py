"""An approval lets exactly one call through, once, and only while it is what was approved.

The rows and the log are real, on both databases, and so is the dispatcher's ledger; the time
is what the test says, and the worker asks for whatever call the test wants to smuggle in.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from home import COMMIT, Home
from sqlalchemy import Connection

from runner import decisions
from runner.approval import decisions as approval_decisions
from runner.approval import rows as approval_rows
from runner.approval.decisions import Decided, Proof
from runner.approval.four_eyes import Author
from runner.approval.request import ApprovalRecord, ApprovalState
from runner.claim import Held, Parking, Slots
from runner.contract import audit, audit_check
from runner.contract.errors import LeaseLost, Refused
from runner.contract.kinds import Key
from runner.governance.verdict import Decision, Verdict
from runner.ledger import Ledger

NEEDS = {"write": "tickets"}
HOUR_US = 3_600_000_000
START_US = 1_800_000_000_000_000
ARGUMENTS = {"title": "b", "amount": 2.50}


class Stage:
    """One task of an agent whose calls need a person, and the ledger that decides on them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.now_us = START_US
        self.subject = self.declare()
        (self.task,) = home.submit(self.subject)
        self.connection: Connection = home.database.connect()
        self.ledger = Ledger(self.connection, "host", 3)
        with self.writing():
            self.ledger.started()
        self.held = self.claim()

    def declare(self, **approvals: Any) -> Key:
        home = self.home
        home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
        for name in ("tickets", "other"):
            tool = {"endpoint": "http://127.0.0.1:9", "requires": [NEEDS], "idempotent": True}
            home.record("Tool", name, tool)
        home.record("Namespace", "default", {"approvals": approvals})
        self.approver("ada")
        grants = [{"name": name, "permissions": [NEEDS]} for name in ("tickets", "other")]
        agent = {
            "model": "m",
            "tools": grants,
            "governance": {"requireApproval": [NEEDS]},
        }
        for name in ("clerk", "second"):
            home.record("Agent", name, agent, line=3)
        return home.record("AgentSystem", "office", {"agents": ["clerk", "second"]})

    def approver(self, name: str, **spec: Any) -> None:
        self.home.record("Approver", name, {"emails": [f"{name}@x"], "user": name, **spec})

    def writing(self) -> Any:
        stage = self

        class Writing:
            def __enter__(self) -> None:
                self.inner = stage.home.database.writing(stage.connection)
                self.inner.__enter__()

            def __exit__(self, *error: Any) -> None:
                if error[0] is None:
                    stage.ledger.flush(stage.now_us)
                else:
                    stage.ledger.forget()
                self.inner.__exit__(*error)

        return Writing()

    def claim(self) -> Held:
        """Claim the task, as a dispatcher does as soon as it may go on."""
        with self.writing():
            claims = self.ledger.claim(Slots([("w", 0, 1)]), "host", HOUR_US, self.now_us)
        assert claims, f"the task is {self.home.state(self.task)}"
        return claims[0][1]

    def ask(self, **changed: Any) -> Verdict | Parking:
        """What the guard says of the call; the task is parked when it must wait."""
        message = {
            "step": 1,
            "agent": "clerk",
            "tool": "tickets",
            **changed,
        }
        message["request"] = {"call": "c", "arguments": message.pop("arguments", ARGUMENTS)}
        with self.writing():
            answer = self.ledger.journal.begin_tool(self.held, message, self.now_us)
            if isinstance(answer, Parking):
                self.ledger.park(self.held, answer, self.now_us)
        return answer

    def again(self, **changed: Any) -> Verdict | Parking:
        """The same after the task was claimed again."""
        self.held = self.claim()
        return self.ask(**changed)

    def request(self) -> ApprovalRecord:
        with self.home.database.read() as connection:
            return approval_rows.of_task(connection, self.task)[-1]

    def proof(self, name: str = "ada", **more: Any) -> Proof:
        with self.home.database.read() as connection:
            declared = approval_rows.approvers(connection, "default")
        (approver,) = [one for one in declared if one.name == name]
        more = {"assurance": "login", "login": name, "authors": [], **more}
        return Proof(approver=approver, **more)

    def approve(self, proof: Proof | None = None) -> Decided:
        id, proof = self.request().id, proof or self.proof()
        with self.home.database.write() as connection:
            return approval_decisions.approve(
                connection, id, proof, reason=None, now_us=self.now_us
            )

    def deny(self) -> Decided:
        id, proof = self.request().id, self.proof()
        with self.home.database.write() as connection:
            return approval_decisions.deny(
                connection, id, proof, reason="too dear", now_us=self.now_us
            )

    def states(self) -> list[str]:
        rows = self.home.rows("SELECT state FROM approval ORDER BY id")
        return [row[0] for row in rows]

    def edit(self, statement: str, *values: Any) -> None:
        with self.home.database.write() as connection:
            connection.exec_driver_sql(statement, values)

    def types(self) -> list[str]:
        found = [entry["type"] for entry in self.home.entries(self.task)]
        return [kind for kind in found if kind.startswith("action.")]


@pytest.fixture
def stage(home: Home) -> Iterator[Stage]:
    made = Stage(home)
    yield made
    made.connection.close()
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


def decision(answer: Verdict | Parking) -> str:
    return "parked" if isinstance(answer, Parking) else answer.decision.value


def test_an_approved_call_is_allowed_once_and_the_next_execution_asks_anew(
    stage: Stage,
) -> None:
    assert decision(stage.ask()) == "parked"
    stage.approve()
    answer = stage.again()
    assert isinstance(answer, Verdict)
    assert answer.decision is Decision.ALLOW
    assert "ada approved (login)" in answer.reason
    # The worker dies in the middle of the call; its tool is idempotent, so it is made again.
    with stage.writing():
        stage.ledger.release(stage.held, "the worker ended", crashed=True, now_us=stage.now_us)
    assert decision(stage.again()) == "parked"
    assert stage.states() == ["consumed", "pending"]
    assert stage.types().count("action.consumed") == 1


def test_what_waits_parks_again_and_writes_no_second_request(stage: Stage) -> None:
    first = stage.ask()
    stage.edit("UPDATE task SET state = 'pending' WHERE id = ?", stage.task)
    again = stage.again()
    assert first == again
    assert isinstance(first, Parking)
    assert first.until_us == START_US + HOUR_US
    assert stage.states() == ["pending"]
    assert stage.types() == [
        "action.requested",
        "action.decided",
        "action.approval_requested",
    ]


SWAPPED = {
    "arguments": {"arguments": {**ARGUMENTS, "amount": 2.51}},
    "an argument more": {"arguments": {**ARGUMENTS, "to": "me"}},
    "tool": {"tool": "other"},
    "agent": {"agent": "second"},
}


@pytest.mark.parametrize("changed", SWAPPED.values(), ids=SWAPPED)
def test_an_approval_of_another_call_fits_nothing(stage: Stage, changed: Any) -> None:
    stage.ask()
    stage.approve()
    assert decision(stage.again(**changed)) == "parked"
    assert stage.states() == ["withdrawn", "pending"]
    stage.approve()
    assert decision(stage.again(**changed)) == "allow"


def test_equal_numbers_and_another_order_of_keys_are_the_same_arguments(stage: Stage) -> None:
    stage.ask(arguments={"a": 1, "b": 2})
    stage.approve()
    assert decision(stage.again(arguments={"b": 2.0, "a": 1.0})) == "allow"


def test_arguments_without_a_canonical_form_are_denied(stage: Stage) -> None:
    answer = stage.ask(arguments={"account": 2**60})
    assert decision(answer) == "deny"
    assert "no canonical form" in getattr(answer, "reason", "")
    assert stage.states() == []


def test_a_denial_wins_over_an_approval_and_tells_its_reason(stage: Stage) -> None:
    stage.ask()
    stage.approve()
    stage.deny()
    answer = stage.again()
    assert isinstance(answer, Verdict)
    assert (answer.decision, answer.reason) == (Decision.DENY, "denied by ada: too dear")
    ((phase, result),) = stage.home.rows("SELECT phase, result FROM step WHERE number = 1")
    assert (phase, json.loads(result)) == (
        "denied",
        {"denied": "denied by ada: too dear", "code": "approval_denied"},
    )
    with pytest.raises(Refused, match="is denied and cannot be approved"):
        stage.approve()


@pytest.mark.parametrize("approved", [False, True])
def test_after_its_time_a_request_is_a_denial_and_logged_once(
    stage: Stage, approved: bool
) -> None:
    stage.ask()
    if approved:
        stage.approve()
    stage.now_us += HOUR_US - 1
    if not approved:
        with stage.writing():
            assert not stage.ledger.claim(Slots([("w", 0, 1)]), "host", HOUR_US, stage.now_us)
    stage.now_us += 1  # The runner was down meanwhile; nobody wrote anything.
    answer = stage.again()
    assert isinstance(answer, Verdict)
    assert (answer.decision, answer.reason) == (Decision.DENY, "nobody decided in time")
    assert stage.states() == ["expired"]
    assert stage.types().count("action.expired") == 1
    with pytest.raises(Refused, match="is expired and cannot be approved"):
        stage.approve()


def test_an_approval_after_its_time_is_refused_before_the_runner_has_seen_it(
    stage: Stage,
) -> None:
    stage.ask()
    stage.now_us += HOUR_US
    with pytest.raises(Refused, match="has expired"):
        stage.approve()
    assert stage.states() == ["pending"]


def test_a_second_approval_is_refused(stage: Stage) -> None:
    stage.ask()
    stage.approve()
    with pytest.raises(Refused, match="is approved and cannot be approved again"):
        stage.approve()
    stage.again()
    with pytest.raises(Refused, match="is consumed and cannot be denied"):
        stage.deny()


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_an_approver_who_is_none_any_more_has_approved_nothing(stage: Stage, how: str) -> None:
    stage.ask()
    stage.approve()
    if how == "removed":
        stage.edit("DELETE FROM resource WHERE kind = 'Approver'")
    else:
        stage.approver("ada", keys=["ssh-ed25519 AAAA"])
    assert decision(stage.again()) == "parked"
    assert stage.states() == ["withdrawn", "pending"]


def test_nobody_decides_where_no_approver_is_declared(stage: Stage) -> None:
    proof = stage.proof()
    stage.edit("DELETE FROM resource WHERE kind = 'Approver'")
    stage.ask()
    with pytest.raises(Refused, match="kind: Approver"):
        stage.approve(proof)
    with stage.home.database.read() as connection, pytest.raises(Refused, match="kind: Appr"):
        approval_decisions.by_login(connection, stage.request().request(), "ada")


def test_a_login_that_no_approver_has_is_refused_by_name(stage: Stage) -> None:
    stage.ask()
    with stage.home.database.read() as connection, pytest.raises(Refused) as refused:
        approval_decisions.by_login(connection, stage.request().request(), "eve")
    assert "eve is no approver of the namespace default; those are: ada (ada)" in str(
        refused.value
    )


def test_an_approver_of_another_namespace_is_none(stage: Stage) -> None:
    stage.ask()
    proof = stage.proof()
    stage.edit("UPDATE resource SET namespace = 'other' WHERE kind = 'Approver'")
    stage.approver("bob")
    with pytest.raises(Refused, match="ada was changed meanwhile"):
        stage.approve(proof)


HANDS = [("author", "Ada@X"), ("committer", "ADA@x"), ("co-author", "<ada@x>")]


@pytest.mark.parametrize(("role", "email"), HANDS)
def test_who_had_a_hand_in_the_rule_may_not_approve(
    stage: Stage, role: str, email: str
) -> None:
    stage.ask()
    authors = [
        Author("author", "eve@x", COMMIT, "a:1"),
        Author(role, email, "b" * 40, "agents/clerk.yaml:3"),
    ]
    with pytest.raises(Refused, match=f"ada is {role} of agents/clerk.yaml:3.*four eyes"):
        stage.approve(stage.proof(authors=authors))
    assert stage.states() == ["pending"]
    stage.deny()  # Saying no takes no four eyes.


def test_without_authorship_nothing_is_approved(stage: Stage) -> None:
    stage.ask()
    with pytest.raises(Refused, match="cannot be found out"):
        stage.approve(stage.proof(authors=None))


def test_what_was_applied_by_hand_counts_for_who_applied_it(home: Home) -> None:
    stage = Stage(home)
    stage.edit("UPDATE resource SET owner = 'person:ada' WHERE kind = 'Tool'")
    stage.edit("UPDATE state SET serial = serial + 1")
    stage.approver("bob")
    stage.approver("kay", user=None, keys=["ssh-ed25519 AAAA"])
    (stage.task,) = home.submit(stage.subject)
    stage.held = stage.claim()
    stage.ask()
    with pytest.raises(Refused, match="ada applied a governing manifest by hand"):
        stage.approve()
    with pytest.raises(Refused, match="ada applied a governing manifest by hand"):
        stage.approve(stage.proof("bob", login="ada"))
    with pytest.raises(Refused, match="without a `user`"):
        stage.approve(stage.proof("kay", assurance="signature", login="kay"))
    stage.approve(stage.proof("bob"))
    stage.connection.close()


def test_with_four_eyes_off_it_is_said_loudly(home: Home) -> None:
    stage = Stage(home)
    stage.declare(four_eyes=False)
    (stage.task,) = home.submit(stage.subject)
    stage.held = stage.claim()
    stage.ask()
    decided = stage.approve(stage.proof(authors=[Author("author", "ada@x", COMMIT, "a:1")]))
    assert decided.loudly is not None
    (entry,) = [e for e in home.entries(stage.task) if e["type"] == "action.approval_granted"]
    assert "four eyes are OFF" in entry["reason"]
    assert (entry["actor"], entry["digest"]) == ("approver:ada", decided.record.digest)
    stage.connection.close()


def test_where_signatures_are_wanted_a_login_is_not_enough(home: Home) -> None:
    stage = Stage(home)
    stage.declare(assurance="signature")
    (stage.task,) = home.submit(stage.subject)
    stage.held = stage.claim()
    stage.ask()
    with pytest.raises(Refused, match="signatures only"):
        stage.approve()
    stage.approve(stage.proof(assurance="signature", signature="s"))
    stage.edit("UPDATE approval SET assurance = 'login'")
    assert decision(stage.again()) == "deny"
    stage.connection.close()


def forged(stage: Stage) -> None:
    """Other arguments in the row, with a digest that fits them."""
    record = stage.request()
    request = replace(record.request(), arguments={"amount": 9})
    raw = request.to_bytes()
    digest = approval_decisions.approval_rows.digest_of(raw)
    stage.edit("UPDATE approval SET request = ?, digest = ?", raw, digest)


TAMPERED = {
    "one byte": lambda stage: stage.edit(
        "UPDATE approval SET request = ?", stage.request().raw.replace(b"2.5", b"2.6")
    ),
    "no bytes": lambda stage: stage.edit("UPDATE approval SET request = ?", b""),
    "bytes and digest": forged,
    "a longer life": lambda stage: stage.edit("UPDATE approval SET expires_at = ?", 2**52),
    "an unknown state": lambda stage: stage.edit("UPDATE approval SET state = 'granted'"),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("approved", [False, True])
def test_a_row_that_somebody_edited_is_a_denial(
    stage: Stage, tamper: Any, approved: bool
) -> None:
    stage.ask()
    if approved:
        stage.approve()
        tamper(stage)
        assert decision(stage.again()) == "deny"
        return
    proof, id = stage.proof(), stage.request().id
    tamper(stage)
    with stage.home.database.write() as connection, pytest.raises(Refused, match="edited"):
        approval_decisions.approve(connection, id, proof, reason=None, now_us=stage.now_us)


def test_an_approval_that_the_log_does_not_know_is_a_denial(stage: Stage) -> None:
    stage.ask()
    hash = stage.proof().approver.hash
    stage.edit(
        "UPDATE approval SET state = 'approved', approver = 'ada', approver_hash = ?,"
        " assurance = 'login'",
        hash,
    )
    stage.edit("UPDATE task SET state = 'pending'")
    answer = stage.again()
    assert isinstance(answer, Verdict)
    assert answer.decision is Decision.DENY
    assert "the log does not know" in answer.reason


def test_a_request_of_another_log_fits_nothing(stage: Stage) -> None:
    stage.ask()
    request = stage.request().request()
    with stage.home.database.read() as connection:
        assert request.call.log == audit.name(connection) != ""


def test_a_task_that_was_cancelled_takes_its_request_with_it(stage: Stage) -> None:
    stage.ask()
    with stage.home.database.write() as connection:
        decisions.cancel(connection, [stage.task], actor="person:eve", now_us=stage.now_us)
    assert stage.states() == ["withdrawn"]
    assert stage.types()[-1] == "action.approval_withdrawn"
    with pytest.raises(Refused, match="is withdrawn"):
        stage.approve()
    # Queued again, it must be asked for again.
    with stage.home.database.write() as connection:
        decisions.retry(connection, [stage.task], actor="person:eve", now_us=stage.now_us)
    assert decision(stage.again()) == "parked"
    assert stage.states() == ["withdrawn", "pending"]


def test_a_task_that_ends_without_its_call_takes_the_request_with_it(stage: Stage) -> None:
    stage.ask()
    stage.approve()
    stage.held = stage.claim()
    ending = {"outcome": "failed", "output": None, "error": "out of time"}
    with stage.writing():
        stage.ledger.finish_all([(stage.held, ending)], stage.now_us)
    assert stage.states() == ["withdrawn"]


def test_a_late_worker_uses_nothing_up(stage: Stage) -> None:
    stage.ask()
    stage.approve()
    late = stage.held = stage.claim()
    with stage.writing():
        stage.ledger.release(late, "silent", crashed=True, now_us=stage.now_us)
    in_time = stage.claim()
    with pytest.raises(LeaseLost):
        stage.ask()
    assert stage.states() == [ApprovalState.APPROVED]
    stage.held = in_time
    assert decision(stage.ask()) == "allow"
    stage.held = late
    with pytest.raises(LeaseLost):
        stage.ask()
    assert stage.states() == [ApprovalState.CONSUMED]
