"""What the dispatcher makes durable for its workers: claims, steps, decisions, endings.

Every method runs inside one write transaction of the dispatcher and collects the audit
entries of what it did; `flush` appends them as the last statement of the transaction, so
that no fact is durable without its entry. Each names the fence of the claim; LeaseLost
means that the task belongs to somebody else now, and nothing was written.
"""

import json
import random
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from runner import governance, pinning, queue, retry
from runner.agent import Step
from runner.contract import audit, kinds
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType, canonical
from runner.contract.errors import LeaseLost, OrlojError
from runner.contract.kinds import Key
from runner.contract.task_state import TaskState
from runner.governance import Decision, Verdict
from runner.manifest_set import ManifestSet, from_text
from runner.queue import Claim, Ending

SETS_MAX: Final = 256  # Manifest sets kept in memory; the rest is read again.

_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Held:
    """A task in a worker's hands."""

    task: str
    worker: str
    fence: int
    attempt: int
    crashes: int
    retry: dict[str, Any]
    commit: str
    manifests: str


class Ledger:
    """The dispatcher's statements on one held connection."""

    def __init__(self, connection: Connection, host: str, crashes_max: int) -> None:
        self._connection = connection
        self._host = host
        self._crashes_max = crashes_max
        self._entries: list[Entry] = []
        self._sets: OrderedDict[str, ManifestSet] = OrderedDict()
        self._resolved: dict[Key, tuple[int, str, str]] = {}

    def flush(self, now_us: int) -> None:
        """Append what happened to the audit log; the last statement of a transaction."""
        entries, self._entries = self._entries, []
        audit.append(self._connection, entries, now_us)

    def forget(self) -> None:
        """Drop the entries of a transaction that did not come about."""
        self._entries.clear()

    def started(self) -> None:
        """Log that a dispatcher begins to write."""
        self._entries.append(
            Entry(
                type=EntryType.LOG_STARTED, actor=f"dispatcher:{self._host}", commit=NO_COMMIT
            )
        )

    def claim(self, free: list[str], boot: str, until_us: int, now_us: int) -> list[Claim]:
        """Lease as many tasks as there are free slots; `free` names a worker per slot."""
        queue.promote(self._connection, now_us)
        claims: list[Claim] = []
        for task in queue.claimable(self._connection, len(free)):
            try:
                digest, commit = self._pin(task)
                assert self.manifests(digest).order
            except OrlojError as error:
                self._refuse(task, str(error), now_us)
                continue
            claims.append(
                Claim(
                    task=task,
                    worker=free[len(claims)],
                    fence=task.fence + 1,
                    attempt=task.attempt + 1,
                    commit=commit,
                    manifest_set=digest,
                )
            )
        if claims:
            queue.claim(self._connection, claims, boot, until_us, now_us)
        self._entries += [
            self._entry(EntryType.TASK_CLAIMED, hold(item), actor=f"worker:{item.worker}")
            for item in claims
        ]
        return claims

    def manifests(self, digest: str) -> ManifestSet:
        """A manifest set by its digest."""
        if digest not in self._sets:
            self._sets[digest] = from_text(queue.load_set(self._connection, digest))
            while len(self._sets) > SETS_MAX:
                self._sets.popitem(last=False)
        self._sets.move_to_end(digest)
        return self._sets[digest]

    def journal(self, task: str) -> list[Step]:
        """The steps of a task so far."""
        return [
            Step(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]), _json(row[6]))
            for row in queue.steps(self._connection, task)
        ]

    def begin_model(self, held: Held, message: dict[str, Any], now_us: int) -> None:
        """Write down that an agent asks its model, before it does."""
        agent = self.manifests(held.manifests).agent(message["agent"])
        pointer = "/spec/model_ref" if agent.spec.model_ref is not None else "/spec/model"
        self._begin(held, message, "model", message["endpoint"], "begun", None, now_us)
        facts: dict[str, Any] = {
            "step": message["step"],
            "agent": message["agent"],
            "model": message["model"],
        }
        self._entries += [
            self._entry(EntryType.ACTION_REQUESTED, held, **facts),
            self._entry(
                EntryType.ACTION_DECIDED,
                held,
                **facts,
                decision=Decision.ALLOW.value,
                rule=agent.at(pointer),
                reason="the agent's own model",
            ),
        ]

    def begin_tool(self, held: Held, message: dict[str, Any], now_us: int) -> Verdict:
        """Decide on a tool call and write request and decision down, before it is made."""
        manifests = self.manifests(held.manifests)
        agent = manifests.agent(message["agent"])
        tool = manifests.tool(agent, message["tool"])
        verdict = governance.decide(agent, message["tool"], tool)
        denied = verdict.decision is not Decision.ALLOW
        result = canonical({"denied": verdict.reason}) if denied else None
        phase = "denied" if denied else "begun"
        self._begin(held, message, "tool", message["tool"], phase, result, now_us)
        facts: dict[str, Any] = {
            "step": message["step"],
            "agent": message["agent"],
            "tool": message["tool"],
            "permission": verdict.permission,
        }
        arguments = (("arguments", message["request"]["arguments"]),)
        self._entries += [
            self._entry(EntryType.ACTION_REQUESTED, held, **facts, private=arguments),
            self._entry(
                EntryType.ACTION_DECIDED,
                held,
                **facts,
                decision=verdict.decision.value,
                rule=verdict.rule,
                reason=verdict.reason,
            ),
        ]
        return verdict

    def result(self, held: Held, message: dict[str, Any], now_us: int) -> None:
        """Write down how a step ended."""
        failed = message["outcome"] == "failed"
        row = (held.task, held.fence, message["step"], "failed" if failed else "done") + (
            canonical(message["result"]),
            message["tokens_in"],
            message["tokens_out"],
        )
        if not queue.end_step(self._connection, row, now_us):
            raise LeaseLost
        self._entries.append(
            self._entry(
                EntryType.ACTION_FAILED if failed else EntryType.ACTION_EXECUTED,
                held,
                step=message["step"],
                agent=message["agent"],
                tool=message.get("tool"),
                model=message.get("model"),
                outcome=message["outcome"],
                tokens_in=message["tokens_in"],
                tokens_out=message["tokens_out"],
                duration_us=message["duration_us"],
                private=(("result", message["result"]),),
            )
        )

    def finish(self, held: Held, message: dict[str, Any], now_us: int) -> str:
        """End a task as its worker says; the state it goes to."""
        ending = _ending(held, message, now_us)
        if not queue.end(self._connection, held.task, held.fence, ending, now_us):
            raise LeaseLost
        self._entries.append(
            self._entry(
                EntryType.TASK_FINISHED if ending.finished else EntryType.TASK_RELEASED,
                held,
                actor=f"worker:{held.worker}",
                outcome=ending.state,
                private=(("error", ending.error),) if ending.error else (),
            )
        )
        return ending.state

    def release(self, held: Held, reason: str, *, crashed: bool, now_us: int) -> str:
        """Take a task back from a worker that cannot go on with it; the state it goes to.

        A tool call that began and was not seen to end is repeated only if its tool is
        declared idempotent; otherwise a person decides.
        """
        interrupted = self._interrupted(held)
        crashes = held.crashes + 1 if crashed else held.crashes
        if interrupted is not None:
            reason = (
                f"{reason} during the call of {interrupted.name} (step {interrupted.number}), "
                "which is not declared idempotent: whether it happened is unknown"
            )
            state = TaskState.UNKNOWN_OUTCOME
        elif crashes >= self._crashes_max:
            state = TaskState.DEAD
        else:
            state = TaskState.PENDING
        ending = Ending(
            state=state.value,
            error=None if state is TaskState.PENDING else reason,
            attempt=held.attempt - 1,
            crashes=crashes,
            finished=state is TaskState.DEAD,
            outcome="crashed" if crashed else "released",
        )
        if not queue.end(self._connection, held.task, held.fence, ending, now_us):
            raise LeaseLost
        facts: dict[str, Any] = {"actor": f"dispatcher:{self._host}", "reason": reason}
        if interrupted is not None:
            self._entries.append(
                self._entry(
                    EntryType.ACTION_UNKNOWN,
                    held,
                    **facts,
                    step=interrupted.number,
                    agent=interrupted.agent,
                    tool=interrupted.name,
                    outcome="unknown",
                )
            )
        kind = EntryType.TASK_FINISHED if ending.finished else EntryType.TASK_RELEASED
        self._entries.append(self._entry(kind, held, **facts, outcome=state.value))
        return state.value

    def leased(self, worker: str | None = None) -> list[Held]:
        """What the database says that workers hold, all or one."""
        return [
            Held(row[0], row[4], row[1], row[2], row[3], {}, row[5], row[6])
            for row in queue.leased(self._connection, worker)
        ]

    def _pin(self, task: queue.Claimable) -> tuple[str, str]:
        if task.manifest_set is not None and task.commit is not None:
            return task.manifest_set, task.commit
        serial = queue.serial(self._connection)
        known = self._resolved.get(task.subject)
        if known is not None and known[0] == serial:
            return known[1], known[2]
        resolved, commit = pinning.resolve(self._connection, task.subject)
        text = resolved.to_text()
        digest = kinds.digest(text)
        queue.save_set(self._connection, digest, text)
        self._sets[digest] = resolved
        self._resolved[task.subject] = (serial, digest, commit)
        return digest, commit

    def _refuse(self, task: queue.Claimable, error: str, now_us: int) -> None:
        queue.refuse(self._connection, task.id, error, now_us)
        self._entries.append(
            Entry(
                type=EntryType.TASK_FINISHED,
                actor=f"dispatcher:{self._host}",
                commit=task.commit or NO_COMMIT,
                task=task.id,
                outcome=TaskState.FAILED.value,
                private=(("error", error),),
            )
        )

    def _begin(
        self,
        held: Held,
        message: dict[str, Any],
        kind: str,
        name: str,
        phase: str,
        result: str | None,
        now_us: int,
    ) -> None:
        row = (held.task, held.fence, message["step"], message["agent"], kind, name) + (
            canonical(message["request"]),
            phase,
            result,
        )
        if not queue.begin_step(self._connection, row, now_us):
            raise LeaseLost

    def _interrupted(self, held: Held) -> Step | None:
        manifests = self.manifests(held.manifests)
        for step in self.journal(held.task):
            if step.kind == "tool" and step.phase == "begun":
                tool = manifests.tool(manifests.agent(step.agent), step.name)
                if tool is None or not tool.spec.idempotent:
                    return step
        return None

    def _entry(self, kind: EntryType, held: Held, **facts: Any) -> Entry:
        facts.setdefault("actor", f"worker:{held.worker}")
        return Entry(
            type=kind,
            commit=held.commit,
            task=held.task,
            attempt=held.fence,
            manifests=held.manifests,
            **facts,
        )


def hold(claim: Claim) -> Held:
    """A claim as the dispatcher remembers it."""
    return Held(
        task=claim.task.id,
        worker=claim.worker,
        fence=claim.fence,
        attempt=claim.attempt,
        crashes=claim.task.crashes,
        retry=claim.task.retry,
        commit=claim.commit,
        manifests=claim.manifest_set,
    )


def _ending(held: Held, message: dict[str, Any], now_us: int) -> Ending:
    if message["outcome"] == "succeeded":
        return Ending(
            state=TaskState.SUCCEEDED.value,
            output=message["output"],
            finished=True,
            outcome="succeeded",
        )
    error = message["error"]
    if message["outcome"] == "failed":
        return Ending(
            state=TaskState.FAILED.value, error=error, finished=True, outcome="failed"
        )
    assert message["outcome"] == "retry"
    run_at = retry.next_try(
        held.attempt,
        retry.policy(held.retry),
        now_us,
        _random.random(),
        message.get("retry_after_s"),
    )
    if run_at is None:
        return Ending(state=TaskState.DEAD.value, error=error, finished=True, outcome="failed")
    return Ending(
        state=TaskState.BACKING_OFF.value, error=error, run_at=run_at, outcome="failed"
    )


def _json(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(json.loads(text))
