"""What the dispatcher makes durable for its workers: claims, steps and endings.

Every method runs inside one write transaction of the dispatcher and collects the audit
entries of what it did; `flush` appends them as the last statement of the transaction, so
that no fact is durable without its entry. LeaseLost means that the task belongs to
somebody else now, and nothing was written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection

from runner import endings, queue
from runner.agent import Step
from runner.approval import approvals
from runner.child import queueing
from runner.claim import ANY_WORKER, Claimable, Ending, Held, Offer, Parking, Slots, entry
from runner.contract import audit
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.errors import LeaseLost, OrlojError
from runner.contract.task_state import TaskState
from runner.journal import Journal, Message
from runner.order import Order
from runner.pinning import Pins

ROUNDS_MAX: Final = 100  # Of tasks that cannot be started, before a commit is due.


class Ledger:
    """The dispatcher's statements on one held connection."""

    def __init__(
        self, connection: Connection, host: str, crashes_max: int, offer: Offer = ANY_WORKER
    ) -> None:
        self._connection = connection
        self._actor = f"dispatcher:{host}"
        self._crashes_max = crashes_max
        self._entries: list[Entry] = []
        self.due_us: int | None = None
        """When the next task backs off no longer, as the last claim found it."""
        self.order = Order(connection, offer)
        self.pins = Pins(connection)
        self.journal = Journal(connection, self.pins, self._entries.extend)

    def flush(self, now_us: int) -> audit.End | None:
        """Append what happened to the audit log, the last statement of a transaction.

        Where the log ends then, by which a commit in doubt is known; None: nothing to log.
        """
        mark = audit.append(self._connection, self._entries, now_us)
        self._entries.clear()
        return mark

    def forget(self) -> None:
        """Drop what a transaction that did not come about has left here."""
        self._entries.clear()
        self.pins.forget()
        self.journal.answers.forget()

    def started(self) -> None:
        """Log that a dispatcher begins to write."""
        self._entries.append(
            Entry(type=EntryType.LOG_STARTED, actor=self._actor, commit=NO_COMMIT)
        )

    def stopped(self) -> None:
        """Log that a dispatcher ends in good order."""
        self._entries.append(
            Entry(type=EntryType.LOG_STOPPED, actor=self._actor, commit=NO_COMMIT)
        )

    def enter(self, tasks: Iterable[Held], now_us: int) -> None:
        """Lock the limits that these tasks fall under, before any row is touched."""
        self.journal.settlements.enter({held.manifests for held in tasks}, now_us)

    def claim(
        self,
        slots: Slots,
        host: str,
        until_us: int,
        now_us: int,
        busy: Mapping[str, int] = MappingProxyType({}),
    ) -> list[tuple[Claimable, Held]]:
        """Lease as many tasks as there are free slots; `busy` counts what subjects run."""
        self.due_us = queue.next_due_us(self._connection)
        if self.due_us is not None and self.due_us <= now_us:
            queue.promote(self._connection, now_us)
            self.due_us = queue.next_due_us(self._connection)
        claims: list[tuple[Claimable, Held]] = []
        turns = Counter(busy)  # Grows by what is claimed here: a second round is fair, too.
        for _ in range(ROUNDS_MAX):
            waiting = self.order.next(len(slots), turns)
            if waiting and not claims:
                self.pins.look()
            startable = [task for task in waiting if self._pinned(task, now_us)]
            found = [(task, held) for task in startable if (held := self._hold(task, slots))]
            if found:
                taken = [held for _, held in found]
                queue.claim(self._connection, taken, host, until_us, now_us)
                self._entries += [entry(EntryType.TASK_CLAIMED, held) for held in taken]
                turns.update(held.subject for held in taken)
                claims += found
            if len(startable) == len(waiting):
                break
        return claims

    def last_chance(self, crashes: int) -> bool:
        """Whether one more crash makes a task a dead letter; then it runs alone.

        So it takes no neighbour down with it, and is not blamed for a neighbour's crash.
        """
        return 1 < self._crashes_max == crashes + 1

    def leased(self, host: str | None = None) -> list[Held]:
        """What the database says that workers hold, all or those of one host."""
        return queue.leased(self._connection, host)

    def child(self, held: Held, message: Message, now_us: int) -> Message:
        """What becomes of a call that queues a task, or lists them; it was allowed before."""
        manifests = self.pins.load(held.manifests)
        step, log = message["step"], self._entries.extend
        return queueing.answer(*(self._connection, held, step, manifests, log), now_us=now_us)

    def finish(self, held: Held, message: Message, now_us: int) -> str:
        """End a task as its worker says; the state it goes to.

        A task that is to be tried again must not have left a call open that may not be
        repeated, as one that ran out of time in the middle of it has.
        """
        if message["outcome"] == "retry":
            interrupted = self.journal.interrupted(held)
            if interrupted is not None:
                ending = endings.interrupted(
                    interrupted, message["error"], held.attempt, held.crashes
                )
                return self._leave_open(held, interrupted, ending, now_us)
        ending = endings.ending(held, message, now_us)
        self._end(held, ending, now_us)
        self._close(held, now_us, over=ending.finished)
        if ending.finished:
            self._withdraw([held.task], now_us)
        self._entries.append(endings.ended(held, ending))
        return ending.state

    def finish_all(
        self, finished: Sequence[tuple[Held, Message]], now_us: int
    ) -> list[str | None]:
        """End tasks that are not to be tried again; each one's state, None: it was lost."""
        here = queue.in_hand(self._connection, [held.task for held, _ in finished])
        ends = [
            (
                held,
                endings.ending(held, message, now_us)
                if (held.task, held.fence) in here
                else None,
            )
            for held, message in finished
        ]
        ended = [(held, ending) for held, ending in ends if ending is not None]
        if ended:
            rows = [(held.task, held.fence, ending) for held, ending in ended]
            everyone = queue.end_all(self._connection, rows, now_us)
            assert everyone, "a task that was in a worker's hands was not ended"
            for held, _ in ended:
                self._close(held, now_us, over=True)
            self._withdraw([held.task for held, _ in ended], now_us)
            self._entries += [endings.ended(held, ending) for held, ending in ended]
        return [None if ending is None else ending.state for _, ending in ends]

    def release(self, held: Held, reason: str, *, crashed: bool, now_us: int) -> str:
        """Take a task back from a worker that cannot go on with it; the state it goes to.

        A tool call that began and was not seen to end is repeated only if its tool is
        declared idempotent; otherwise a person decides.
        """
        interrupted = self.journal.interrupted(held)
        crashes = held.crashes + 1 if crashed else held.crashes
        if interrupted is not None:
            ending = endings.interrupted(interrupted, reason, held.attempt - 1, crashes)
            return self._leave_open(held, interrupted, ending, now_us)
        state = TaskState.DEAD if crashes >= self._crashes_max else TaskState.PENDING
        ending = Ending(
            state=state.value,
            error=None if state is TaskState.PENDING else reason,
            attempt=held.attempt - 1,
            crashes=crashes,
            finished=state is TaskState.DEAD,
            outcome="crashed" if crashed else "released",
        )
        self._end(held, ending, now_us)
        self._close(held, now_us, over=ending.finished)
        facts: dict[str, Any] = {"actor": self._actor, "reason": reason}
        kind = EntryType.TASK_FINISHED if ending.finished else EntryType.TASK_RELEASED
        if ending.finished:
            self._withdraw([held.task], now_us)
        self._entries.append(entry(kind, held, **facts, outcome=state.value))
        return state.value

    def park(self, held: Held, parking: Parking, now_us: int) -> str:
        """Take a task out of its worker's hands until it can go on; the state it goes to."""
        ending = Ending(
            state=parking.state.value,
            error=parking.reason,
            run_at=parking.until_us,
            attempt=held.attempt - 1,
            outcome="parked",
        )
        self._end(held, ending, now_us)
        self._close(held, now_us, over=False)
        facts: dict[str, Any] = {"actor": self._actor, "reason": parking.reason}
        self._entries.append(entry(EntryType.TASK_PARKED, held, **facts, outcome=ending.state))
        return ending.state

    def _leave_open(self, held: Held, interrupted: Step, ending: Ending, now_us: int) -> str:
        """Leave it to a person what to do about a call whose outcome is unknown."""
        self._end(held, ending, now_us)
        self._close(held, now_us, over=False)
        facts: dict[str, Any] = {"actor": self._actor, "reason": ending.error}
        step = {
            "step": interrupted.number,
            "agent": interrupted.agent,
            "tool": interrupted.name,
        }
        self._entries += [
            entry(EntryType.ACTION_UNKNOWN, held, **facts, **step, outcome="unknown"),
            entry(EntryType.TASK_RELEASED, held, **facts, outcome=ending.state),
        ]
        return ending.state

    def _pinned(self, task: Claimable, now_us: int) -> bool:
        """Whether a task can be started; one that cannot ends here."""
        try:
            digest, _ = self.pins.pin(task)
            assert self.pins.load(digest).order
        except OrlojError as error:
            self._refuse(task, str(error), now_us)
            return False
        return True

    def _hold(self, task: Claimable, slots: Slots) -> Held | None:
        worker = slots.take(alone=self.last_chance(task.crashes))
        if worker is None:
            return None
        digest, commit = self.pins.pin(task)
        return Held(
            task=task.id,
            worker=worker,
            fence=task.fence + 1,
            attempt=task.attempt + 1,
            crashes=task.crashes,
            retry=task.retry,
            commit=commit,
            manifests=digest,
            task_name=task.task_name,
            subject="/".join(task.subject),
        )

    def _end(self, held: Held, ending: Ending, now_us: int) -> None:
        if not queue.end(self._connection, held.task, held.fence, ending, now_us):
            raise LeaseLost

    def _withdraw(self, tasks: Sequence[str], now_us: int) -> None:
        self._entries += approvals.withdraw(self._connection, tasks, self._actor, now_us)

    def _close(self, held: Held, now_us: int, *, over: bool) -> None:
        self.journal.settlements.close(held, now_us, over=over, actor=self._actor)

    def _refuse(self, task: Claimable, error: str, now_us: int) -> None:
        queue.refuse(self._connection, task.id, error, now_us)
        self._entries.append(
            Entry(
                type=EntryType.TASK_FINISHED,
                actor=self._actor,
                commit=task.commit or NO_COMMIT,
                task=task.id,
                outcome=TaskState.FAILED.value,
                private=(("error", error),),
            )
        )
