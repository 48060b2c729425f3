"""A machine of a world: a boot clock, a wall clock, one dispatcher, its worker processes.

The dispatcher here does with the real ledger what the real one does: all that its workers
sent goes into one transaction, and nobody is answered before it is durable. It does not look
up who holds what before it lets a write through, so that the fence alone stands against
writes that come late.
"""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import promises
from nature import LEASE_US, SECOND, Nature, OutcomeUnknown, WriteFailed
from promises import promise

from runner import lease, queue
from runner.claim import Held, Offer, Slots
from runner.contract import audit
from runner.contract.errors import LeaseLost
from runner.ledger import Ledger

CRASHES_MAX: Final = 3
RESCUES_MAX: Final = 100

Message = dict[str, Any]


@dataclass(eq=False)
class Job:
    """A claim in a worker's hands. `answered` is the verdict on its next step, once durable."""

    held: Held
    done: int
    asked: int = 0
    waiting: bool = False
    answered: str | None = None
    acted: bool = False


@dataclass(eq=False)
class Worker:
    """A worker process. `held` is what its dispatcher thinks it has, `jobs` what it has.

    `orphan` is whether its dispatcher died while it slept. Times are on its host's boot
    clock, `asleep_until` is in true time.
    """

    id: str
    host: "Host"
    slots: int
    heard_us: int
    trusted_us: int
    pinged_us: int
    asleep_until: int = 0
    alive: bool = True
    orphan: bool = False
    ready: bool = True
    draining: bool = False
    held: dict[str, Held] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    @property
    def late(self) -> bool:
        """Whether it may not act any more."""
        return self.host.boot_us >= self.trusted_us

    def drop(self, held: Held) -> None:
        """Stop a job: the task is not ours any more."""
        self.jobs = [job for job in self.jobs if job.held is not held]

    def learn(self, message: Message, answer: str) -> None:
        """What was asked is durable, and this is the answer; what was told has none."""
        for job in self.jobs:
            if job.held is message["held"] and message["op"] in {"model", "tool"}:
                job.waiting, job.answered = False, answer

    def die(self) -> None:
        """Everything in its hands is gone."""
        self.alive = False
        self.jobs.clear()


@dataclass
class Batch:
    """One transaction of a dispatcher, so that it can be answered, or be tried again.

    `stamp` is the last entry that it wrote, `fate` what became of it if nobody was told.
    """

    inbox: list[tuple[Worker, Message]]
    lost: list[tuple[Worker, str]]
    before: list[tuple[Worker, dict[str, Held]]]
    answers: list[tuple[Worker, Message, Any]] = field(default_factory=list)
    claims: list[tuple[Worker, Job]] = field(default_factory=list)
    stamp: tuple[int, bytes] | None = None
    fate: str | None = None


class Host:
    """One machine."""

    def __init__(self, nature: Nature, name: str, slots: tuple[int, ...], offer: Offer) -> None:
        self.nature = nature
        self.stage = nature.stage
        self.name = name
        self._slots = slots
        self._offer = offer
        self._born = 0
        self._booted_us = nature.true_us - nature.chance.randrange(1_000 * SECOND)
        self.skew_us = nature.chance.randrange(-2 * SECOND, 2 * SECOND)
        self.asleep_until = 0
        self.up = False
        self.processes: list[Worker] = []
        self.workers: dict[str, Worker] = {}
        self.inbox: list[tuple[Worker, Message]] = []
        self.lost: list[tuple[Worker, str]] = []
        self.doubt: Batch | None = None

    @property
    def boot_us(self) -> int:
        """The clock that nobody can set."""
        return self.nature.true_us - self._booted_us

    @property
    def wall_us(self) -> int:
        """The clock that anybody can set."""
        return self.nature.true_us + self.skew_us

    @property
    def lease_now_us(self) -> int:
        """The clock that leases are measured on: the database server's, where there is one."""
        return self.nature.server_us if self.nature.shared else self.boot_us

    @property
    def awake(self) -> bool:
        """Whether the dispatcher runs."""
        return self.up and self.nature.true_us >= self.asleep_until

    def start(self) -> None:
        """A dispatcher starts, and takes back what its own earlier life left leased."""
        self.nature.tell("a dispatcher starts", self.name)
        self._forget()
        self.ledger = Ledger(self.stage.connection, self.name, CRASHES_MAX, self._offer)
        now_us = self.wall_us
        with self.stage.writing():
            self.ledger.started()
            for held in self.ledger.leased(self.name):
                self.ledger.release(held, "the runner died", crashed=True, now_us=now_us)
            self.ledger.flush(now_us)
        self.up = True
        self._populate()

    def die(self, *, machine: bool = False) -> None:
        """The dispatcher is killed; its workers see that and leave, unless they sleep."""
        for worker in self.processes:
            worker.orphan = True
            if machine or self.nature.true_us >= worker.asleep_until:
                worker.die()
        if machine:
            self._booted_us = self.nature.true_us
        self._forget()
        self.up = False

    def _forget(self) -> None:
        self.workers.clear()
        self.inbox.clear()
        self.lost.clear()
        self.doubt = None
        self.asleep_until = 0

    def close(self) -> None:
        """The world has ended."""

    def detach(self, worker: Worker, reason: str) -> None:
        """A worker process is gone, or is taken to be."""
        if self.workers.pop(worker.id, None) is not None:
            self.lost.append((worker, reason))

    def send(self, worker: Worker, message: Message) -> None:
        """A worker says something; nobody reads it when its dispatcher is gone."""
        if self.up and not worker.orphan:
            self.inbox.append((worker, message))

    def beat(self) -> None:
        """Workers that are awake ask for another lease in time."""
        for worker in self.workers.values():
            due = self.boot_us - worker.pinged_us >= LEASE_US // 3
            if due and worker.alive and self.nature.true_us >= worker.asleep_until:
                worker.pinged_us = self.boot_us
                self.send(worker, {"op": "ping", "at": self.boot_us})

    def write(self) -> None:
        """One round of the dispatcher: everything that arrived in one transaction."""
        if self.doubt is not None:
            self._settle(self.doubt)
        self._take_for_dead()
        self._populate()
        self._stop_cancelled()
        if not self.inbox and not self.lost and not self._due():
            return
        known = [*self.workers.values(), *(worker for worker, _ in self.lost)]
        batch = Batch(self.inbox, self.lost, [(one, dict(one.held)) for one in known])
        self.inbox, self.lost = [], []
        try:
            self._commit(batch)
        except OutcomeUnknown:
            self.ledger.forget()
            self.doubt = batch
        except WriteFailed:
            self.ledger.forget()
            self._undo(batch)
            if self.nature.happens(0.3):
                self.die()
        else:
            self._answer(batch)

    def _commit(self, batch: Batch) -> None:
        now_us = self.wall_us
        with self.stage.writing():
            self.nature.slow()
            self._fill(batch, now_us)
            self.nature.slow()
            batch.fate = self.nature.lost_answer()
            if batch.fate == "rolled back":
                raise OutcomeUnknown
        if batch.fate == "stands":
            raise OutcomeUnknown

    def _fill(self, batch: Batch, now_us: int) -> None:
        for worker, message in batch.inbox:
            batch.answers.append((worker, message, self._take(worker, message, now_us)))
        for worker, reason in batch.lost:
            self._take_back(worker, reason, now_us)
        pinged = {worker.id for worker, message in batch.inbox if message["op"] == "ping"}
        if pinged:
            until_us = self.lease_now_us + LEASE_US
            queue.renew(self.stage.connection, sorted(pinged), until_us)
        if self.nature.shared:
            self._rescue(now_us)
        self._claim(batch, now_us)
        self.nature.fail()
        batch.stamp = self.ledger.flush(now_us)

    def _take(self, worker: Worker, message: Message, now_us: int) -> str:
        if message["op"] == "ping":
            return "pong"
        held = message["held"]
        query = "SELECT state, fence FROM task WHERE id = ?"
        valid = self.stage.rows(query, (held.task,)) == [("leased", held.fence)]
        try:
            answer = self._carry_out(held, message, now_us)
        except LeaseLost:
            promise(not valid, "a holder was refused")
            if worker.held.get(held.task) is held:
                del worker.held[held.task]
            return "lost"
        promise(valid, "a late holder's write counted")
        if message["op"] == "finish":
            worker.held.pop(held.task, None)
        return answer

    def _carry_out(self, held: Held, message: Message, now_us: int) -> str:
        journal = self.ledger.journal
        match message["op"]:
            case "model":
                journal.begin_model(held, message, now_us)
                return "allow"
            case "tool":
                return journal.begin_tool(held, message, now_us).decision.value
            case "result":
                journal.end(held, message, now_us)
                return "written"
        return self.ledger.finish(held, message, now_us)

    def _take_back(self, worker: Worker, reason: str, now_us: int) -> None:
        crashed = not worker.draining
        for held in worker.held.values():
            with suppress(LeaseLost):  # A person, or another host, was faster.
                self.ledger.release(held, reason, crashed=crashed, now_us=now_us)
        worker.held.clear()

    def _rescue(self, now_us: int) -> None:
        """Take back what other hosts let run out; its own workers it knows by their silence."""
        mine = {task for worker in self.workers.values() for task in worker.held}
        for held in queue.rescuable(self.stage.connection, self.lease_now_us, RESCUES_MAX):
            if held.task not in mine:
                self.nature.tell("rescued", held.worker, held.fence)
                self.ledger.release(held, "silent", crashed=True, now_us=now_us)

    def _claim(self, batch: Batch, now_us: int) -> None:
        slots = Slots(
            (worker.id, len(worker.held), worker.slots)
            for worker in self.workers.values()
            if not any(self.ledger.last_chance(held.crashes) for held in worker.held.values())
        )
        if not slots or not self._waiting(now_us):
            return
        busy = Counter(
            held.subject for worker in self.workers.values() for held in worker.held.values()
        )
        until_us = self.lease_now_us + LEASE_US
        claims = self.ledger.claim(slots, self.name, until_us, now_us, busy)
        promises.in_turn(
            self.stage.raw, {held.task for _, held in claims}, busy, self._offer, CRASHES_MAX
        )
        for task, held in claims:
            worker = self.workers[held.worker]
            worker.held[held.task] = held
            steps = self.ledger.journal.steps(task.id) if task.fence > 0 else []
            batch.claims.append((worker, Job(held, sum(step.finished for step in steps))))

    def _answer(self, batch: Batch) -> None:
        for worker, message, answer in batch.answers:
            if answer == "pong":
                worker.trusted_us = lease.trusted_until(message["at"], LEASE_US)
            elif answer == "lost":
                self.nature.tell("refused", worker.id, message["op"], message["held"].fence)
                worker.drop(message["held"])
            else:
                worker.learn(message, answer)
        for worker, job in batch.claims:
            if worker.alive:
                worker.jobs.append(job)

    def _undo(self, batch: Batch) -> None:
        """Nothing of a transaction is durable: what it took in is taken in again."""
        for worker, held in batch.before:
            worker.held = held
        self.inbox[:0] = batch.inbox
        self.lost[:0] = batch.lost

    def _settle(self, batch: Batch) -> None:
        """Find out whether a commit stands whose answer never came: its last entry does.

        Without an entry there is nothing to find, and what was asked is asked again.
        """
        self.doubt = None
        stands = False
        if batch.stamp is not None:
            with self.stage.writing():
                stands = audit.stands(self.stage.connection, batch.stamp)
            promise(stands == (batch.fate == "stands"), "a dispatcher was misled")
        self.nature.tell("found out", self.name, "stands" if stands else "does not stand")
        if stands:
            self._answer(batch)
        else:
            self._undo(batch)

    def _take_for_dead(self) -> None:
        """Workers that were silent for a whole lease; some are only asleep, and come back."""
        for worker, _ in self.inbox:
            worker.heard_us = self.boot_us
        for worker in list(self.workers.values()):
            if self.boot_us - worker.heard_us >= LEASE_US:
                self._give_up(worker)

    def _give_up(self, worker: Worker) -> None:
        self.nature.tell("is taken for dead", worker.id)
        if self.nature.chance.random() < 0.5:
            worker.die()
        self.detach(worker, "the worker was silent for a whole lease")

    def _stop_cancelled(self) -> None:
        """Have workers stop what is not theirs any more."""
        if not any(worker.held for worker in self.workers.values()):
            return
        query = "SELECT id, fence FROM task WHERE state = 'leased'"
        leased = set(self.stage.rows(query))
        for worker in self.workers.values():
            for held in list(worker.held.values()):
                if (held.task, held.fence) not in leased:
                    del worker.held[held.task]
                    worker.drop(held)

    def _populate(self) -> None:
        self.processes = [worker for worker in self.processes if worker.alive]
        while len(self.workers) < len(self._slots):
            self._born += 1
            slots = self._slots[self._born % len(self._slots)]
            now_us = self.boot_us
            trusted_us = lease.trusted_until(now_us, LEASE_US)
            worker = Worker(
                f"{self.name}.{self._born}", self, slots, now_us, trusted_us, now_us
            )
            self.workers[worker.id] = worker
            self.processes.append(worker)

    def _due(self) -> bool:
        """Whether a round has something to do although nobody said anything."""
        overdue = "SELECT 1 FROM task WHERE state = 'leased' AND lease_until <= ? LIMIT 1"
        return self._waiting(self.wall_us) or (
            self.nature.shared and bool(self.stage.rows(overdue, (self.lease_now_us,)))
        )

    def _waiting(self, now_us: int) -> bool:
        query = (
            "SELECT 1 FROM task WHERE state = 'pending'"
            " OR (state = 'backing_off' AND run_at <= ?) LIMIT 1"
        )
        return bool(self.stage.rows(query, (now_us,)))
