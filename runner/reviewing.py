"""Reviews: a person reads what an agent said before it goes on. Runs as `journal` does.

    nobody was asked ──> request, park        approved ──> the output goes on
    changes wanted   ──> the agent is told    denied, or nobody in time ──> the turn fails

A review is asked as an approval of the call `orloj.review`, which no agent can make: its
arguments are the output itself, so that what is approved, or signed, is what goes on.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from runner import queue
from runner.approval import asking
from runner.approval import rows as approval_rows
from runner.approval.approvals import Answer, Approvals
from runner.approval.request import REVIEW, ApprovalState
from runner.claim import Held, Parking, entry
from runner.contract.audit_entry import Entry, EntryType, canonical
from runner.contract.errors import LeaseLost, Refused
from runner.contract.kinds import Permission
from runner.contract.kinds.agent_system import ReviewCheckpoint
from runner.governance.verdict import Decision, Verdict
from runner.manifest_set import ManifestSet
from runner.pinning import Pins

Message = dict[str, Any]


class Reviews:
    """Asks people about outputs, on one held connection; `log` takes the entries."""

    def __init__(
        self,
        connection: Connection,
        pins: Pins,
        approvals: Approvals,
        log: Callable[[list[Entry]], None],
    ) -> None:
        self._connection = connection
        self._pins = pins
        self._approvals = approvals
        self._log = log

    def begin(self, held: Held, message: Message, now_us: int) -> Message | Parking:
        """What people said of an output: `decision` is allow, deny or changes, with a reason.

        Parking while nobody did. The message has the step, the agent, the pointer to the
        review in its system, the output, and which round of changes this is, from 1.
        """
        manifests = self._pins.load(held.manifests)
        agent = manifests.agent(message["agent"])
        checkpoint, verdict = _checkpoint(manifests, message)
        arguments = {
            "checkpoint": checkpoint.checkpoint_id,
            "cycle": message["cycle"],
            "changes_allowed": message["changes_allowed"]
            and checkpoint.allow_request_changes
            and message["cycle"] <= checkpoint.max_review_cycles,
            "output": message["output"],
        }
        call = {**message, "tool": REVIEW, "request": {"arguments": arguments}}
        try:
            question = asking.question(held, manifests, agent, call, verdict)
        except Refused as refused:
            return self._close(held, message, replace(verdict, reason=str(refused)), "", now_us)
        rules = question.rules.model_copy(update={"ttl": checkpoint.ttl})
        question = replace(question, rules=rules)
        said = self._approvals.look(held, question, now_us)
        if isinstance(said, Parking):
            return said
        if said is None:
            self._entry(
                EntryType.ACTION_REQUESTED, held, message, private=(("arguments", arguments),)
            )
            self._decided(held, message, verdict)
            return self._approvals.request(held, question, now_us)
        return self._answered(held, message, said, now_us)

    def _answered(self, held: Held, message: Message, said: Answer, now_us: int) -> Message:
        record = approval_rows.get(self._connection, said.approval) if said.approval else None
        if record is not None and record.state is ApprovalState.CHANGES:
            self._decided(held, message, said.verdict, said.approval)
            self._write(held, message, "done", {"told": record.reason or ""}, now_us)
            return {"decision": "changes", "reason": record.reason or ""}
        if said.verdict.decision is Decision.ALLOW:
            self._approvals.consume(held, said.approval, now_us)
            self._decided(held, message, said.verdict, said.approval)
            self._write(held, message, "done", {"approved": said.verdict.reason}, now_us)
            return {"decision": "allow", "reason": said.verdict.reason}
        return self._close(held, message, said.verdict, said.approval, now_us)

    def _close(
        self, held: Held, message: Message, verdict: Verdict, approval: str, now_us: int
    ) -> Message:
        denied = replace(verdict, decision=Decision.DENY)
        self._decided(held, message, denied, approval)
        self._write(held, message, "denied", {"denied": verdict.reason}, now_us)
        return {"decision": "deny", "reason": verdict.reason}

    def _write(
        self, held: Held, message: Message, phase: str, result: Message, now_us: int
    ) -> None:
        request = canonical({"review": message["review"], "cycle": message["cycle"]})
        row = (held.task, held.fence, message["step"], message["agent"], "review", REVIEW)
        visit = message.get("visit", 1)
        full = (*row, request, phase, canonical(result), visit)
        if not queue.begin_step(self._connection, full, now_us):
            raise LeaseLost

    def _decided(
        self, held: Held, message: Message, verdict: Verdict, approval: str = ""
    ) -> None:
        self._entry(
            EntryType.ACTION_DECIDED,
            held,
            message,
            decision=verdict.decision.value,
            rule=verdict.rule,
            reason=verdict.reason,
            permission=verdict.permission,
            approval=approval or None,
        )

    def _entry(self, kind: EntryType, held: Held, message: Message, **facts: Any) -> None:
        about = {"step": message["step"], "agent": message["agent"], "tool": REVIEW}
        self._log([entry(kind, held, **about, **facts)])


def _checkpoint(manifests: ManifestSet, message: Message) -> tuple[ReviewCheckpoint, Verdict]:
    """The review that a worker names, and that a person is to be asked; Refused."""
    system = manifests.system
    found = None if system is None else system.reviews.get(message["review"])
    if found is None:
        raise Refused(f"no review is declared at {message['review']}")
    rule = manifests.resources[manifests.subject].at(message["review"])
    reason = found.reason or f"{found.display_name or found.checkpoint_id}: a person reads it"
    needs = (Permission.of("review", found.checkpoint_id),)
    return found, Verdict(Decision.ASK, reason, rule, needs, rule)
