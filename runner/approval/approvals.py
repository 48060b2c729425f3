"""Approvals on the dispatcher's side: what was said of a call, and what is asked of people.

    nobody was asked ─────────────> request, park until it expires
    asked, nobody decided ────────> park again
    yes, and it fits this call ───> allow; `consume` in the transaction that begins it
    no, or nobody in time ────────> deny

Runs inside the dispatcher's write transaction. An approval is used once, and only by the
call that its bytes describe; one that the log does not know of is a denial.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from runner import queue
from runner.approval import outbox
from runner.approval import rows as approval_rows
from runner.approval.asking import Question
from runner.approval.request import (
    OPEN,
    ApprovalRecord,
    ApprovalRequest,
    ApprovalState,
    BoundCall,
    digest_of,
)
from runner.claim import Held, Parking
from runner.contract import audit, clock
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.errors import LeaseLost, Refused, ToolCode
from runner.contract.kinds.base import seconds
from runner.contract.task_state import TaskState
from runner.governance.verdict import Decision, Verdict

_UNDECIDED = "nobody decided in time"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the guard says of a call after people were asked, and the approval it rests on."""

    verdict: Verdict
    approval: str


class Approvals:
    """The requests of tasks on one held connection; `log` takes the entries about them."""

    def __init__(self, connection: Connection, log: Callable[[list[Entry]], None]) -> None:
        self._connection = connection
        self._log = log
        self._log_id = ""

    def look(self, held: Held, question: Question, now_us: int) -> Parking | Answer | None:
        """What was said of the call; None: nobody has been asked about it. LeaseLost.

        A request for another call at the same step is withdrawn: it fits nothing any more.
        """
        if not queue.keep(self._connection, held.task, held.fence):
            raise LeaseLost
        call = self._bound(question.call)
        try:
            record = approval_rows.of_step(self._connection, call.task, call.step)
            if record is None or record.state in (
                ApprovalState.CONSUMED,
                ApprovalState.WITHDRAWN,
            ):
                return None
            return self._said(held, question, record, now_us)
        except Refused as refused:  # Somebody edited the database: nothing of it counts.
            return Answer(_denied(question.verdict, str(refused), ToolCode.APPROVAL_DENIED), "")

    def request(self, held: Held, question: Question, now_us: int) -> Parking:
        """Ask people about the call, and wait for them."""
        rules, call = question.rules, self._bound(question.call)
        declared = approval_rows.approvers(self._connection, call.namespace)
        request = ApprovalRequest(
            id=clock.new_id(),
            call=call,
            arguments=question.arguments,
            reason=question.verdict.reason,
            rule=question.verdict.rule,
            grant=question.verdict.grant,
            places=question.places,
            approvers=tuple(one.name for one in declared),
            four_eyes=rules.four_eyes,
            assurance=rules.assurance,
            requested_at=now_us,
            expires_at=now_us + int(seconds(rules.ttl) * 1_000_000),
            nonce=secrets.token_hex(16),
        )
        raw = request.to_bytes()
        record = ApprovalRecord(
            id=request.id,
            task=call.task,
            step=call.step,
            state=ApprovalState.PENDING,
            raw=raw,
            digest=digest_of(raw),
            requested_at=now_us,
            expires_at=request.expires_at,
        )
        approval_rows.insert(self._connection, record)
        outbox.post(self._connection, request, outbox.REQUESTED, rules.notify, now_us)
        reason = None if declared else "no Approver is declared: nobody can decide"
        self._log([_entry(EntryType.APPROVAL_REQUESTED, held, record, reason=reason)])
        return _parking(record, call.tool)

    def consume(self, held: Held, approval: str, now_us: int) -> None:
        """Use an approval up, in the transaction that begins its call; LeaseLost."""
        was, used = ApprovalState.APPROVED, ApprovalState.CONSUMED
        if not approval_rows.close(self._connection, approval, was, used, now_us):
            raise LeaseLost
        record = approval_rows.get(self._connection, approval)
        reason = f"approved by {record.approver} ({record.assurance})"
        self._log([_entry(EntryType.APPROVAL_CONSUMED, held, record, reason=reason)])

    def _bound(self, call: BoundCall) -> BoundCall:
        """The call as it is bound to this log, which begins like no other."""
        self._log_id = self._log_id or audit.name(self._connection)
        return replace(call, log=self._log_id)

    def _said(
        self, held: Held, question: Question, record: ApprovalRecord, now_us: int
    ) -> Parking | Answer | None:
        request = record.request()
        if not approval_rows.logged(self._connection, EntryType.APPROVAL_REQUESTED, record):
            raise Refused(f"the log knows no request for approval {record.id} of these bytes")
        if request.call != self._bound(question.call):
            self._forget(held, record, "the task asks for another call now", now_us)
            return None
        if record.state in OPEN and now_us >= request.expires_at:
            self._close(held, record, ApprovalState.EXPIRED, now_us=now_us)
            return Answer(
                _denied(question.verdict, _UNDECIDED, ToolCode.APPROVAL_TIMEOUT), record.id
            )
        match record.state:
            case ApprovalState.PENDING:
                return _parking(record, request.call.tool)
            case ApprovalState.APPROVED:
                return self._approved(held, question, record, request, now_us=now_us)
            case ApprovalState.DENIED:
                reason = f"denied by {record.approver}: {record.reason}"
                code = ToolCode.APPROVAL_DENIED
                return Answer(_denied(question.verdict, reason, code), record.id)
            case ApprovalState.CHANGES:
                reason, code = f"{record.approver} wants changes", ToolCode.APPROVAL_DENIED
                return Answer(_denied(question.verdict, reason, code), record.id)
        late = _denied(question.verdict, _UNDECIDED, ToolCode.APPROVAL_TIMEOUT)
        return Answer(late, record.id)

    def _approved(
        self,
        held: Held,
        question: Question,
        record: ApprovalRecord,
        request: ApprovalRequest,
        *,
        now_us: int,
    ) -> Answer | None:
        if not approval_rows.logged(self._connection, EntryType.APPROVAL_GRANTED, record):
            raise Refused(f"the log does not know that approval {record.id} was given")
        if request.assurance == "signature" and record.assurance != "signature":
            raise Refused(f"approval {record.id} needs a signature and has none")
        declared = approval_rows.approvers(self._connection, request.call.namespace)
        if (record.approver, record.approver_hash) not in [(d.name, d.hash) for d in declared]:
            reason = f"{record.approver} is no longer an Approver as when it was given"
            self._forget(held, record, reason, now_us)
            return None
        verdict = replace(
            question.verdict,
            decision=Decision.ALLOW,
            reason=f"{request.reason}, and {record.approver} approved ({record.assurance})",
        )
        return Answer(verdict, record.id)

    def _forget(self, held: Held, record: ApprovalRecord, reason: str, now_us: int) -> None:
        if record.state in OPEN:
            state = ApprovalState.WITHDRAWN
            self._close(held, record, state, reason=reason, now_us=now_us)

    def _close(
        self,
        held: Held,
        record: ApprovalRecord,
        state: ApprovalState,
        *,
        reason: str | None = None,
        now_us: int,
    ) -> None:
        closed = approval_rows.close(self._connection, record.id, record.state, state, now_us)
        assert closed, "a request that is locked was changed by another"
        kind = EntryType.APPROVAL_WITHDRAWN
        if state is ApprovalState.EXPIRED:
            kind, reason = EntryType.APPROVAL_EXPIRED, f"it was {record.state.value}"
        self._log([_entry(kind, held, record, reason=reason)])


def withdraw(
    connection: Connection, tasks: Sequence[str], actor: str, now_us: int
) -> list[Entry]:
    """Close the open requests of tasks that are over; the entries about it."""
    entries: list[Entry] = []
    for id, state, task, step in approval_rows.open_of(connection, tasks):
        was, now = ApprovalState(state), ApprovalState.WITHDRAWN
        approval_rows.close(connection, id, was, now, now_us)
        entries.append(
            Entry(
                type=EntryType.APPROVAL_WITHDRAWN,
                actor=actor,
                commit=approval_rows.commit_of(connection, task) or NO_COMMIT,
                task=task,
                step=step,
                approval=id,
                reason="its task is over",
            )
        )
    return entries


def _parking(record: ApprovalRecord, tool: str) -> Parking:
    reason = (
        f"the call of {tool} (step {record.step}) waits for a person:"
        f" `orloj approvals show {record.id}`"
    )
    return Parking(TaskState.WAITING_APPROVAL, record.expires_at, reason)


def _denied(verdict: Verdict, reason: str, code: ToolCode) -> Verdict:
    return replace(verdict, decision=Decision.DENY, reason=reason, code=code)


def _entry(kind: EntryType, held: Held, record: ApprovalRecord, reason: str | None) -> Entry:
    call = record.request().call
    return Entry(
        type=kind,
        actor=f"worker:{held.worker}",
        commit=held.commit,
        task=held.task,
        attempt=held.fence,
        manifests=held.manifests,
        step=record.step,
        agent=call.agent,
        tool=call.tool,
        approval=record.id,
        digest=record.digest,
        reason=reason,
    )
