"""The writer: carries out the dispatcher's turns on the one connection that it holds.

    look ──> messages ──> lost workers ──> leases ──> claims ──> log ──> commit

All of a turn is one transaction. It runs in a thread of its own, and touches nothing of
the event loop but the turn in its hands (`turn`). DatabaseUnavailable means that the world
failed and the same turn may be tried again; whether its commit came about all the same is
what `stands` tells.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError

from runner import crew, order, queue, relief, roster
from runner.claim import Claimable, Held, Parking, Slots
from runner.contract import audit, service, wake
from runner.contract.audit import End
from runner.contract.clock import Now, now_us
from runner.contract.database import Database
from runner.contract.errors import DatabaseUnavailable, LeaseLost
from runner.contract.settings import Settings
from runner.contract.task_state import TaskState
from runner.crew import Worker
from runner.governance.verdict import Verdict
from runner.handout import HandOut
from runner.ledger import Ledger
from runner.turn import SEEN_EVERY_US, Message, Turn, finishes, named
from runner.wire import TooLong

GONE_US: Final = 5 * SEEN_EVERY_US  # After so long without a word, a worker's row goes too.
RESCUED_MAX: Final = 100  # Tasks of silent hosts that one turn takes back.

Said = Verdict | Message | Parking


class Writer:
    """One connection, and what is remembered about it between turns."""

    def __init__(self, database: Database, settings: Settings, now: Now = now_us) -> None:
        self._database, self._run, self._now_us = database, settings.run, now
        self._host = service.host_id(settings.home) if database.shared else os.uname().nodename
        self._lease_us = int(settings.runner.lease_s * 1_000_000)
        self._connection = database.connect()
        self._settings = settings.runner
        offer = order.offer(settings.runner)
        self._ledger = Ledger(self._connection, self._host, settings.runner.crashes_max, offer)
        self._handout = HandOut(self._connection, self._ledger, settings)

    def start(self) -> None:
        """Take back what an earlier dispatcher of this host left leased."""
        now_us = self._now_us()
        with self._database.writing(self._connection):
            self._ledger.started()
            for held in self._leased():
                with contextlib.suppress(LeaseLost):  # Another host has rescued it already.
                    self._ledger.release(held, "the runner died", crashed=True, now_us=now_us)
            roster.forget_host(self._connection, self._host)
            self._ledger.flush(now_us)

    def carry_out(self, turn: Turn) -> None:
        """Make a turn durable, and fill in what came of it; DatabaseUnavailable."""
        with self._tried():
            now_us = self._now_us()  # One that cannot be read is like a database away.
            with self._database.reading(self._connection):
                strays = self._look(turn) if turn.look else []
                rescue = turn.look and self._database.shared
                if not (not turn.empty or strays or rescue or self._claimable(turn, now_us)):
                    return
            with self._database.writing(self._connection):
                self._write(turn, strays, now_us)
                turn.mark = self._ledger.flush(now_us)
            if turn.asks:
                wake.knock(self._run, wake.NOTIFIER)

    def stands(self, mark: End) -> bool:
        """Whether the log goes through this point, which a commit in doubt was to write."""
        with self._tried(), self._database.writing(self._connection):
            return audit.stands(self._connection, mark)

    def end(self) -> None:
        """Log that this dispatcher ends in good order; DatabaseUnavailable."""
        with self._tried(), self._database.writing(self._connection):
            self._ledger.stopped()
            self._ledger.flush(self._now_us())

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    @contextlib.contextmanager
    def _tried(self) -> Iterator[None]:
        """After a failure nothing is left of the try, in memory or on the connection."""
        try:
            yield
        except (DatabaseUnavailable, OSError, InvalidRequestError) as error:
            self._ledger.forget()
            # Whatever state it is in: when it is next used it connects again.
            self._connection.invalidate()
            with contextlib.suppress(SQLAlchemyError):
                self._connection.rollback()
            if isinstance(error, DatabaseUnavailable):
                raise
            raise DatabaseUnavailable(f"{self._database.name}: {error}") from error
        except BaseException:
            self._ledger.forget()
            raise

    def _leased(self) -> list[Held]:
        # Only a database that other hosts write to holds leases that are not ours.
        return self._ledger.leased(self._host if self._database.shared else None)

    def _look(self, turn: Turn) -> list[Held]:
        """Have stopped what was taken away, and find what is leased to nobody's knowledge.

        There is no way known to the latter; a task that was leased by it would wait for ever.
        """
        turn.drains = relief.asked(self._connection)
        self._ledger.order.look(self._settings)
        leased = {(held.task, held.fence): held for held in self._leased()}
        for worker in (*turn.workers, *(worker for worker, _ in turn.lost)):
            for held in list(worker.held.values()):
                if leased.pop((held.task, held.fence), None) is None:
                    del turn.hand(worker)[held.task]
                    ids = {"task": held.task, "fence": held.fence}
                    turn.send(worker, {"do": "cancel", **ids})
        return list(leased.values())

    def _slots(self, turn: Turn) -> Slots:
        workers = turn.workers if turn.claims else ()
        slots = crew.slots(workers, self._ledger.last_chance, turn.holds)
        self._ledger.order.bound(slots, sum(len(turn.holds(one)) for one in turn.workers))
        return slots

    def _claimable(self, turn: Turn, now_us: int) -> bool:
        if not self._slots(turn):
            return False
        turn.due_us = queue.next_due_us(self._connection)
        due = turn.due_us is not None and turn.due_us <= now_us
        return due or self._ledger.order.waiting()

    def _write(self, turn: Turn, strays: Sequence[Held], now_us: int) -> None:
        if self._database.shared:
            self._ledger.enter(turn.touched(strays), now_us)
        finished: list[tuple[Worker, Held, Message]] = []
        for worker, message in turn.inbox:
            held = finishes(turn.holds(worker), message)
            if held is None:
                self._take(turn, worker, message, now_us)
            else:  # Most messages of short tasks are ends: they are written all at once.
                finished.append((worker, turn.hand(worker).pop(held.task), message))
        self._finish_all(turn, finished, now_us)
        for worker, reason in turn.lost:
            self._take_back(turn, worker, reason, now_us)
        for held in strays:
            self._release(turn, held, "its worker does not have it", False, now_us)
        self._renew(turn)
        for saved in turn.saves:
            of = saved.worker
            row = (of.id, self._host, of.pid, saved.state, of.slots, of.started_us)
            roster.save(self._connection, (*row, saved.at_us))
        if turn.look and self._database.shared:
            self._rescue(turn, now_us)
        self._claim(turn, now_us)

    def _take(self, turn: Turn, worker: Worker, message: Message, now_us: int) -> None:
        """Carry out one message, and answer it if it asks for that."""
        held = named(turn.holds(worker), message)
        answer: Message = {"do": "answer", "id": message.get("id"), "ok": True}
        try:
            if held is None:
                raise LeaseLost
            answer |= self._carry_out(turn, worker, held, message, now_us=now_us)
        except LeaseLost:
            if held is not None:
                del turn.hand(worker)[held.task]
            answer |= {"ok": False, "lost": True}
        if "id" in message:
            turn.send(worker, answer)

    def _carry_out(
        self, turn: Turn, worker: Worker, held: Held, message: Message, *, now_us: int
    ) -> Message:
        match message["op"]:
            case "model" | "tool" | "review":
                said = self._ledger.journal.begin(held, message, now_us)
                return self._decided(turn, held, said, message, now_us)
            case "visit" | "result" | "note":
                self._ledger.journal.take(held, message, now_us)
            case "child":
                return self._ledger.child(held, message, now_us)
            case "finish":
                self._finish(turn, held, message, now_us)
                del turn.hand(worker)[held.task]
            case "refused":
                self._finish(turn, held, message, now_us)
                turn.send(worker, {"do": "cancel", "task": held.task, "fence": held.fence})
                raise LeaseLost
            case unknown:
                raise AssertionError(f"a worker sent {unknown}")
        return {}

    def _decided(
        self, turn: Turn, held: Held, said: Said, asked: Message, now_us: int
    ) -> Message:
        """What the worker is told; LeaseLost when the task waits and is its no more.

        A task is taken out of its worker's hands only when none of its other agents is in
        the middle of a call: such a one would be cut off, and nobody would know what it did.
        """
        if isinstance(said, Parking):
            if not asked.get("alone", True):
                turn.asks |= said.state is TaskState.WAITING_APPROVAL
                return {"decision": "wait"}
            state = self._ledger.park(held, said, now_us)
            turn.log("task_parked", "A task waits.", task=held.task, state=state)
            turn.asks |= said.state is TaskState.WAITING_APPROVAL
            turn.again = True  # Its slot is free.
            raise LeaseLost
        return said.to_answer() if isinstance(said, Verdict) else said

    def _finish(self, turn: Turn, held: Held, message: Message, now_us: int) -> None:
        state = self._ledger.finish(held, message, now_us)
        turn.log("task_finished", "A task ended.", task=held.task, state=state)

    def _finish_all(
        self, turn: Turn, finished: Sequence[tuple[Worker, Held, Message]], now_us: int
    ) -> None:
        if not finished:
            return
        ends = [(held, message) for _, held, message in finished]
        states = self._ledger.finish_all(ends, now_us)
        for (worker, held, message), state in zip(finished, states, strict=True):
            if state is not None:
                turn.log("task_finished", "A task ended.", task=held.task, state=state)
            if "id" in message:
                answer = {"do": "answer", "id": message["id"], "ok": state is not None}
                turn.send(worker, answer | ({"lost": True} if state is None else {}))

    def _take_back(self, turn: Turn, worker: Worker, reason: str, now_us: int) -> None:
        for held in turn.holds(worker).values():
            self._release(turn, held, reason, turn.crashed, now_us)
        turn.hand(worker).clear()
        roster.forget(self._connection, worker.id)

    def _release(self, turn: Turn, held: Held, reason: str, crashed: bool, now_us: int) -> None:
        with contextlib.suppress(LeaseLost):  # It is in nobody's hands already.
            state = self._ledger.release(held, reason, crashed=crashed, now_us=now_us)
            turn.log("task_released", "A task went back.", task=held.task, state=state)

    def _renew(self, turn: Turn) -> None:
        held = {one.id: len(turn.holds(one)) for one in turn.pings if turn.holds(one)}
        if held:
            moved = queue.renew(self._connection, list(held), self._until_us())
            turn.renewed = moved == sum(held.values())

    def _rescue(self, turn: Turn, now_us: int) -> None:
        """Take back what hosts hold that have been silent for a whole lease."""
        ours = {
            (held.task, held.fence)
            for worker in turn.workers
            for held in turn.holds(worker).values()
        }
        if turn.saves:
            roster.forget_silent(self._connection, now_us - GONE_US)
        lease_now_us = self._database.lease_now_us(self._connection)
        for held in queue.rescuable(self._connection, lease_now_us, RESCUED_MAX):
            if (held.task, held.fence) not in ours:
                self._release(turn, held, "its host was silent", True, now_us)

    def _until_us(self) -> int:
        return self._database.lease_now_us(self._connection) + self._lease_us

    def _claim(self, turn: Turn, now_us: int) -> None:
        if not (slots := self._slots(turn)):
            return
        workers = {worker.id: worker for worker in turn.workers}
        until_us, busy = self._until_us(), crew.busy(turn.workers, turn.holds)
        for task, held in self._ledger.claim(slots, self._host, until_us, now_us, busy):
            self._hand_out(turn, workers[held.worker], task, held, now_us=now_us)
        turn.due_us = self._ledger.due_us

    def _hand_out(
        self, turn: Turn, worker: Worker, task: Claimable, held: Held, *, now_us: int
    ) -> None:
        try:
            lines = self._handout.lines(turn.known(worker), task, held)
        except TooLong as error:
            self._finish(turn, held, {"outcome": "failed", "error": str(error)}, now_us)
            turn.again = True
            return
        turn.hand(worker)[held.task] = held
        turn.handouts.append((worker, held, lines))
