"""What a person decides about a request for approval: yes or no. The one place that writes it.

    pending ──approve──> approved          pending, approved ──deny──> denied
    pending ──request changes──> changes_requested

Each runs inside the caller's write transaction, with the request's row locked and its log
entries written; after the commit the caller knocks at the runner. Who the person is was
proven before (`Proof`); that they are still an Approver, as they were then, is looked up
here. Whatever does not fit is Refused, with what to do, and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sqlalchemy import Connection

from runner.approval import four_eyes, outbox
from runner.approval import rows as approval_rows
from runner.approval.four_eyes import Author
from runner.approval.request import (
    OPEN,
    REVIEW,
    ApprovalRecord,
    ApprovalRequest,
    ApprovalState,
)
from runner.approval.rows import Declared
from runner.contract import audit, kinds
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.errors import Refused
from runner.contract.kinds.namespace import Approvals

REASON_MAX: Final = 2_000

NO_APPROVER: Final = """no Approver is declared in the namespace {namespace}, so nobody can \
decide. Add one to the repository:

apiVersion: orloj.dev/v1
kind: Approver
metadata:
  name: ada
  namespace: {namespace}
spec:
  emails: [ada@example.com]   # those that they commit under
  user: ada                   # their login on this host, or
  keys: ["ssh-ed25519 AAAA..."]   # their public SSH key"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Who decides, and how that is known. `login` is who runs the command.

    `authors` had a hand in the lines that govern the call; None: nobody looked, and four
    eyes cannot be counted.
    """

    approver: Declared
    assurance: Literal["login", "signature"]
    login: str
    signature: str | None = None
    authors: Sequence[Author] | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided. `loudly` is what must be said of it."""

    record: ApprovalRecord
    task_state: str
    loudly: str | None = None


def by_login(connection: Connection, request: ApprovalRequest, login: str) -> Declared:
    """The approver whose `user` runs the command; Refused."""
    declared = _declared(connection, request)
    found = [one for one in declared if one.spec.user == login]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(one.name for one in found)
        raise Refused(f"{names} have the user {login}: give each a login of their own")
    known = ", ".join(f"{one.name} ({one.spec.user or 'by signature'})" for one in declared)
    raise Refused(
        f"{login} is no approver of the namespace {request.call.namespace}; those are: {known}."
        " Somebody of them must decide, or sign: `orloj approve ID --sign KEY`"
    )


def signers(connection: Connection, request: ApprovalRequest) -> list[Declared]:
    """The approvers whose signature may count; Refused without any."""
    return _declared(connection, request)


def hindrance(request: ApprovalRequest, proof: Proof) -> str | None:
    """Why this person may not approve this request; None: they may."""
    if request.assurance == "signature" and proof.assurance != "signature":
        return (
            f"the namespace {request.call.namespace} takes signatures only:"
            f" `orloj approve {request.id} --sign KEY`"
        )
    if not request.four_eyes:
        return None
    by_hand = sorted({place.by for place in request.places if place.by is not None})
    if proof.authors is None:
        return "who wrote the rule cannot be found out"
    login = proof.login
    found = four_eyes.conflict(proof.approver.spec, login, proof.authors, by_hand)
    if found is None:
        return None
    return f"{proof.approver.name} is {found}: somebody else must approve (four eyes)"


def approve(
    connection: Connection, id: str, proof: Proof, *, reason: str | None, now_us: int
) -> Decided:
    """Say yes to a request; Refused."""
    _check_length(reason)
    record, request = _locked(connection, id, proof)
    if record.state is not ApprovalState.PENDING:
        raise _wrong_state(record, "approved")
    if now_us >= request.expires_at:
        raise Refused(
            f"request {id} has expired, and its call is denied;"
            f" `orloj task {record.task}` shows what became of the task"
        )
    if why := hindrance(request, proof):
        raise Refused(why)
    loudly = None
    if not request.four_eyes:
        loudly = "four eyes are OFF in this namespace: nobody looked who wrote the rule"
    return _decide(
        connection, record, request, ApprovalState.APPROVED, proof,
        reason=reason, loudly=loudly, now_us=now_us,
    )  # fmt: skip


def deny(connection: Connection, id: str, proof: Proof, *, reason: str, now_us: int) -> Decided:
    """Say no to a request, also to one that was approved and is not used; Refused."""
    _check_length(reason)
    record, request = _locked(connection, id, proof)
    if record.state not in OPEN:
        raise _wrong_state(record, "denied")
    return _decide(
        connection, record, request, ApprovalState.DENIED, proof,
        reason=reason, loudly=None, now_us=now_us,
    )  # fmt: skip


def request_changes(
    connection: Connection, id: str, proof: Proof, *, reason: str, now_us: int
) -> Decided:
    """Have an agent change what it said, as the reason says; Refused for other requests."""
    _check_length(reason)
    record, request = _locked(connection, id, proof)
    if request.call.tool != REVIEW:
        raise Refused(f"request {id} is about a call: approve or deny it")
    if not request.arguments["changes_allowed"]:
        raise Refused(f"this review takes no more changes: approve or deny request {id}")
    if record.state is not ApprovalState.PENDING:
        raise _wrong_state(record, "sent back")
    return _decide(
        connection, record, request, ApprovalState.CHANGES, proof,
        reason=reason, loudly=None, now_us=now_us,
    )  # fmt: skip


def _check_length(reason: str | None) -> None:
    if reason is not None and len(reason) > REASON_MAX:
        raise Refused(f"a reason has at most {REASON_MAX} characters")


def _locked(
    connection: Connection, id: str, proof: Proof
) -> tuple[ApprovalRecord, ApprovalRequest]:
    """The request, kept from others, once it is known that this person may decide at all."""
    task = approval_rows.get(connection, id).task
    # The task first: whoever uses or withdraws a request locks in this order.
    connection.exec_driver_sql("SELECT 1 FROM task WHERE id = ? /* lock */", (task,))
    record = approval_rows.locked(connection, id)
    request = record.request()
    if not approval_rows.logged(connection, EntryType.APPROVAL_REQUESTED, record):
        raise Refused(
            f"the log knows no request for approval {id} of these bytes: somebody edited the"
            " database; run `orloj audit verify`"
        )
    now = {(one.name, one.hash) for one in _declared(connection, request)}
    if (proof.approver.name, proof.approver.hash) not in now:
        raise Refused(f"{proof.approver.name} was changed meanwhile: try again")
    return record, request


def _declared(connection: Connection, request: ApprovalRequest) -> list[Declared]:
    declared = approval_rows.approvers(connection, request.call.namespace)
    if not declared:
        raise Refused(NO_APPROVER.format(namespace=request.call.namespace))
    return declared


def _wrong_state(record: ApprovalRecord, verb: str) -> Refused:
    words = f"request {record.id} is {record.state.value} and cannot be {verb}"
    if record.state is ApprovalState.APPROVED:
        return Refused(
            f"{words} again; `orloj deny {record.id}` takes it back until it is used"
        )
    return Refused(f"{words}; `orloj approvals show {record.id}` tells why")


def _decide(
    connection: Connection,
    record: ApprovalRecord,
    request: ApprovalRequest,
    state: ApprovalState,
    proof: Proof,
    *,
    reason: str | None,
    loudly: str | None,
    now_us: int,
) -> Decided:
    decided = replace(
        record,
        state=state,
        approver=proof.approver.name,
        approver_hash=proof.approver.hash,
        assurance=proof.assurance,
        reason=reason,
        signature=proof.signature,
        decided_at=now_us,
    )
    written = approval_rows.decide(connection, decided, record.state)
    assert written, "a request that is locked was changed by another"
    _wake(connection, record.task, now_us)
    task_state = connection.exec_driver_sql(
        "SELECT state FROM task WHERE id = ?", (record.task,)
    ).scalar_one()
    hooks = _rules(connection, request.call.namespace).notify
    outbox.post(connection, request, outbox.DECIDED, hooks, now_us)
    how = f"{proof.assurance} of {proof.approver.name}, run by {proof.login}"
    said = "; ".join(part for part in (how, loudly, reason) if part)
    audit.append(connection, [_entry(decided, request, said)], now_us)
    return Decided(decided, str(task_state), loudly)


def _wake(connection: Connection, task: str, now_us: int) -> None:
    connection.exec_driver_sql(
        "UPDATE task SET state = 'pending', error = NULL, run_at = ?"
        " WHERE id = ? AND state = 'waiting_approval'",
        (now_us, task),
    )


def _rules(connection: Connection, namespace: str) -> Approvals:
    """The rules of a namespace as recorded now."""
    body = connection.exec_driver_sql(
        "SELECT body FROM resource WHERE kind = 'Namespace' AND namespace = ? AND name = ?",
        (namespace, namespace),
    ).scalar_one_or_none()
    if body is None:
        return Approvals()
    spec = kinds.spec_of("Namespace", str(body))
    assert isinstance(spec, kinds.Namespace)
    return spec.approvals


def _entry(record: ApprovalRecord, request: ApprovalRequest, reason: str) -> Entry:
    call = request.call
    facts: dict[str, Any] = {"task": call.task, "step": call.step, "agent": call.agent}
    yes = record.state is ApprovalState.APPROVED
    return Entry(
        type=EntryType.APPROVAL_GRANTED if yes else EntryType.APPROVAL_DENIED,
        actor=f"approver:{record.approver}",
        commit=call.commit,
        manifests=call.manifests,
        tool=call.tool,
        permission=" ".join(call.permissions) or None,
        rule=request.rule,
        approval=record.id,
        digest=record.digest,
        reason=reason,
        **facts,
    )
