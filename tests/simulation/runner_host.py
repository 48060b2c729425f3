"""A machine whose dispatcher writes by the real writer, turn by turn.

Only the event loop is missing: what it does between two turns is done here, in its order.
The database is the stage's one; it fails, and loses the answers to commits, as the nature of
the world has it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import promises
from host import CRASHES_MAX, Host, Job, Message, Worker
from nature import LEASE_US, SECOND, Nature, OutcomeUnknown, WriteFailed
from promises import promise
from sqlalchemy import Connection

from runner import crew, lease
from runner.agent import Step
from runner.claim import Offer
from runner.contract import clock
from runner.contract.database.handle import Database
from runner.contract.database.sqlite import SqliteDatabase
from runner.contract.errors import DatabaseUnavailable
from runner.contract.settings import Settings
from runner.turn import Turn, unsaved
from runner.writer import Writer

BEAT_US: Final = SECOND


@dataclass(frozen=True, eq=False)
class Claim:
    """What a worker knows of a claim."""

    task: str
    fence: int


class Simulated(SqliteDatabase):
    """The stage's database, as one host sees it: slow, away, or silent about a commit."""

    def __init__(self, host: "RunnerHost") -> None:
        stage = host.nature.stage
        Database.__init__(self, stage.home, "simulated", stage.engine)
        self.shared = host.nature.shared  # type: ignore[misc]
        self.fate: str | None = None
        self._host = host

    @contextmanager
    def reading(self, connection: Connection) -> Iterator[None]:
        self._away(0.01)
        with super().reading(connection):
            yield

    @contextmanager
    def writing(self, connection: Connection) -> Iterator[None]:
        nature = self._host.nature
        self._away(0.01)
        self.fate = None
        try:
            with super().writing(connection):
                nature.slow()
                yield
                nature.slow()
                nature.fail()
                self.fate = nature.lost_answer()
                if self.fate == "rolled back":
                    raise OutcomeUnknown
        except (OutcomeUnknown, WriteFailed) as lost:
            raise DatabaseUnavailable("simulated") from lost
        if self.fate == "stands":
            raise DatabaseUnavailable("simulated")

    def lease_now_us(self, connection: Connection) -> int:
        self._away(0.01)
        return self._host.lease_now_us

    def _away(self, likely: float) -> None:
        if self._host.nature.happens(likely):
            self._host.nature.tell("the database is away")
            raise DatabaseUnavailable("simulated")

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext()  # Nobody else is at work while one host is.


class Mailbox:
    """A worker's end of the wire: what comes out of it is taken in at once."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._finished: Counter[str] = Counter()

    def send(self, message: Message) -> None:
        self._take_in(message)

    def write(self, lines: bytes) -> None:
        for line in lines.splitlines():
            self._take_in(json.loads(line))

    def _take_in(self, message: Message) -> None:
        worker = self._worker
        if not worker.alive:
            return
        match message["do"]:
            case "pong":
                worker.trusted_us = lease.trusted_until(message["at"], LEASE_US)
            case "step":
                self._finished[message["task"]] += Step(*message["step"]).finished
            case "run":
                claim = Claim(message["task"], message["fence"])
                worker.jobs.append(Job(claim, self._finished.pop(claim.task, 0)))
            case "cancel":
                self._stop(message["task"], message["fence"])
            case "answer":
                self._learn(message)

    def _learn(self, message: Message) -> None:
        for job in self._worker.jobs:
            if job.waiting and job.asked == message["id"]:
                job.waiting = False
                job.answered = message.get("decision", "allow")
                if message.get("lost"):
                    self._stop(job.held.task, job.held.fence)

    def _stop(self, task: str, fence: int) -> None:
        worker = self._worker
        worker.host.nature.tell("stopped", worker.id, fence)
        query = "SELECT state, fence FROM task WHERE id = ?"
        row = worker.host.nature.stage.rows(query, (task,))
        promise(row != [("leased", fence)], "a holder was refused, or told to stop")
        worker.jobs = [
            job for job in worker.jobs if (job.held.task, job.held.fence) != (task, fence)
        ]


class RunnerHost(Host):
    """One machine with the real writer."""

    def __init__(self, nature: Nature, name: str, slots: tuple[int, ...], offer: Offer) -> None:
        super().__init__(nature, name, slots, offer)
        self._database = Simulated(self)
        limits = {"lease_s": LEASE_US / SECOND, "crashes_max": CRASHES_MAX}
        self._settings = Settings.model_validate(
            {"home": nature.stage.home / name, "runner": {**limits, "region": offer.region}}
        )
        self._writer: Writer | None = None
        self._crew: dict[Worker, crew.Worker] = {}
        self._pings: dict[crew.Worker, int] = {}
        self._turn: Turn | None = None
        """One whose commit is in doubt."""
        self._looked_us = 0
        self._judged_us = 0

    def start(self) -> None:
        """A dispatcher starts, unless its database is away; then it is started again later."""
        self.nature.tell("a dispatcher starts", self.name)
        self._forget()
        with self._clocks():
            try:
                self._writer = Writer(self._database, self._settings, lambda: self.wall_us)
                self._writer.start()
            except DatabaseUnavailable:
                self._forget()
                return
        self.up = True
        self._judged_us = self.boot_us
        self._looked_us = self.boot_us - BEAT_US
        self._populate()

    def close(self) -> None:
        """Let go of the connection, before it is somebody else's."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _forget(self) -> None:
        super()._forget()
        self._crew.clear()
        self._pings.clear()
        self._turn = None
        self.close()

    def detach(self, worker: Worker, reason: str) -> None:
        """A worker process is gone, or is taken to be."""
        super().detach(worker, reason)
        if worker in self._crew:
            self._pings.pop(self._crew[worker], None)

    def send(self, worker: Worker, message: Message) -> None:
        """A worker says something; nobody reads it when its dispatcher is gone."""
        if self.up and worker in self._crew:
            worker.heard_us = self.boot_us
            held = message["held"]
            what = {name: value for name, value in message.items() if name != "held"}
            self.inbox.append((worker, what | {"task": held.task, "fence": held.fence}))

    def beat(self) -> None:
        """What goes by time: pings, the look at what people did, and an ear for silence."""
        for worker in self.workers.values():
            due = self.boot_us - worker.pinged_us >= LEASE_US // 3
            if due and worker.alive and self.nature.true_us >= worker.asleep_until:
                worker.heard_us = worker.pinged_us = self.boot_us
                self._pings[self._crew[worker]] = self.boot_us
        if not self.awake:
            return
        self._take_for_dead()
        pings = list(self._pings.items())
        if pings:
            self.write()
        if not self.nature.shared:  # Nobody else writes: no lease can be lost unseen.
            for worker, at in pings:
                worker.wire.send({"do": "pong", "at": at})

    def write(self) -> None:
        """One turn of the dispatcher, or one try to learn what became of the last one."""
        self._populate()
        with self._clocks():
            if self._turn is not None:
                self._settle(self._turn)
            if self._turn is None:
                self._carry_out(self._gather())

    def _carry_out(self, turn: Turn) -> None:
        assert self._writer is not None
        self._database.fate = None
        try:
            self._writer.carry_out(turn)
        except DatabaseUnavailable:
            self._looked_us = self.boot_us - BEAT_US  # The next turn looks.
            if turn.mark is not None:
                self._turn, self._fate = turn, self._database.fate
        else:
            self._in_turn(turn)
            self._apply(turn)

    def _gather(self) -> Turn:
        look = self.boot_us - self._looked_us >= BEAT_US
        if look:
            self._looked_us = self.boot_us
        stopped = bool(self.lost) and all(worker.draining for worker, _ in self.lost)
        return Turn(
            workers=[self._crew[worker] for worker in self.workers.values()],
            inbox=[(self._crew[worker], message) for worker, message in self.inbox],
            lost=[(self._crew[worker], reason) for worker, reason in self.lost],
            pings=dict(self._pings),
            saves=[saved for worker in self._pings if (saved := unsaved(worker))],
            look=look,
            crashed=not stopped,
        )

    def _apply(self, turn: Turn) -> None:
        del self.inbox[: len(turn.inbox)]
        del self.lost[: len(turn.lost)]
        if turn.renewed:
            for worker, at in turn.pings.items():
                if self._pings.get(worker) == at:
                    del self._pings[worker]
                turn.send(worker, {"do": "pong", "at": at})
        else:
            self._looked_us = self.boot_us - BEAT_US
        turn.apply()

    def _settle(self, turn: Turn) -> None:
        """Have the log tell whether a commit stands whose answer never came."""
        assert self._writer is not None
        assert turn.mark is not None
        try:
            stands = self._writer.stands(turn.mark)
        except DatabaseUnavailable:
            return
        self.nature.tell("found out", self.name, "stands" if stands else "does not stand")
        promise(stands == (self._fate == "stands"), "a dispatcher was misled")
        self._turn = None
        if stands:
            if self.nature.shared:
                turn.withhold()
            self._apply(turn)

    def _in_turn(self, turn: Turn) -> None:
        claims = [held for _, held, _ in turn.handouts]
        busy = crew.busy(turn.workers, turn.holds)
        busy.subtract(held.subject for held in claims)
        promises.in_turn(
            self.nature.stage.raw,
            {held.task for held in claims},
            busy,
            self._offer,
            CRASHES_MAX,
        )

    def _take_for_dead(self) -> None:
        slept = self.boot_us - self._judged_us > LEASE_US // 2
        self._judged_us = self.boot_us
        for worker in list(self.workers.values()):
            if slept:  # Then it was not listened to, either.
                worker.heard_us = self.boot_us
            elif self.boot_us - worker.heard_us >= LEASE_US:
                self._give_up(worker)

    def _populate(self) -> None:
        super()._populate()
        for worker in self.workers.values():
            if worker not in self._crew:
                self._crew[worker] = crew.Worker(
                    id=worker.id,
                    pid=0,
                    slots=worker.slots,
                    wire=Mailbox(worker),  # type: ignore[arg-type]
                    started_us=self.wall_us,
                    heard_us=self.boot_us,
                    ready=True,
                )

    @contextmanager
    def _clocks(self) -> Iterator[None]:
        """The program reads this machine's clocks."""
        before = clock.now_us, clock.boot_us
        clock.now_us, clock.boot_us = lambda: self.wall_us, lambda: self.boot_us
        try:
            yield
        finally:
            clock.now_us, clock.boot_us = before
