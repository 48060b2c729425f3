"""The dispatcher: hands tasks to worker processes and makes durable what they send.

All that arrives while one transaction is being written goes into the next (group commit),
and a worker is answered only after the commit: it goes on when its step is durable, and
never before.

    wait ──> take everything that arrived ──> one turn of the writer ──> answer ──> wait

The writer has a thread of its own, so that this event loop goes on reading, answering pings
and watching while the database is slow or away. A turn that fails moves nothing: the
messages wait, and are written when the database is back. Whether a commit that broke off
came about is decided by the log itself.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from runner import relief
from runner.background import Background
from runner.contract import clock, wake
from runner.contract.clock import Now, now_us
from runner.contract.database import Database
from runner.contract.errors import DatabaseUnavailable
from runner.contract.settings import Settings
from runner.contract.telemetry import log
from runner.crew import Worker
from runner.outage import Outage
from runner.silence import Silence
from runner.turn import Message, Turn, refusal, unsaved
from runner.writer import Writer

POLL_S: Final = 1.0  # The net under the wake-up socket.
SLOW_US: Final = 2_000_000  # For how long a turn may take before somebody is told.
LET_GO_S: Final = 1.0  # How long to wait at the end for a thread that the database holds.

Result = TypeVar("Result")


class Dispatcher:
    """Serves worker processes; `attach` and `detach` tell it when one comes and goes.

    What is in memory belongs to the event loop, and what the writer remembers to its
    thread; a turn goes from one to the other and back, one at a time.
    """

    def __init__(self, database: Database, settings: Settings, now: Now = now_us) -> None:
        self._database = database
        self._memory_max = settings.runner.memory_mb * 1024 * 1024
        self._beat_s = min(POLL_S, settings.runner.lease_s / 4)
        self._writer = Writer(database, settings, now)
        self._thread = Background("orloj-writer")
        self._workers: dict[str, Worker] = {}
        self._inbox: list[tuple[Worker, Message]] = []
        self._lost: list[tuple[Worker, str]] = []
        self._pings: dict[Worker, Any] = {}
        self._awake = asyncio.Event()
        self._look, self._looked_us = True, clock.boot_us()
        self._silence = Silence(int(settings.runner.lease_s * 1_000_000))
        self._due_us: int | None = None
        self._one_by_one = 0
        self._in_hand: Turn | None = None
        self._outage = Outage()
        self._draining = False

    def start(self) -> None:
        """Take back what an earlier dispatcher of this home left leased."""
        self._writer.start()  # Still in this thread: no turn is under way.

    def attach(self, worker: Worker) -> None:
        """A worker process has started."""
        self._workers[worker.id] = worker

    def detach(self, worker: Worker, reason: str) -> None:
        """A worker process is gone; its tasks go back."""
        if self._workers.pop(worker.id, None) is not None:
            self._pings.pop(worker, None)
            self._lost.append((worker, reason))
            self._awake.set()

    def drain(self) -> None:
        """Claim nothing more; running tasks go on."""
        self._draining = True

    @property
    def busy(self) -> int:
        """Tasks in the hands of workers."""
        return sum(len(worker.held) for worker in self._workers.values())

    async def give_back(self, timeout_s: float) -> int:
        """Return every running task, its attempt refunded; how many could not be in time.

        While `run` runs; then it is logged that we end. The next one takes back what is left.
        """
        for worker in list(self._workers.values()):
            self.detach(worker, "the runner stopped")
        with contextlib.suppress(TimeoutError, DatabaseUnavailable):
            async with asyncio.timeout(timeout_s):
                while self._inbox or self._lost or self._in_hand is not None:
                    await asyncio.sleep(0.01)
                await self._thread.run(self._writer.end)
        return sum(len(worker.held) for worker, _ in self._lost)

    async def listen(self, worker: Worker) -> None:
        """Take in a worker's messages until it hangs up."""
        while (message := await worker.wire.receive()) is not None:
            # When it arrived counts, and not when it is written: that may take long.
            worker.heard_us = clock.boot_us()
            self._awake.set()
            match message.get("op"):
                case "ready":
                    worker.ready = True
                case "ping":
                    self._pinged(worker, message.get("at"))
                    await worker.wire.flush()
                    await asyncio.sleep(0)  # Many at once keep nobody else waiting.
                case _:
                    self._inbox.append((worker, message))
                    await worker.heard()  # Reads no further than can be written soon.

    async def run(self) -> None:
        """Write, answer and hand out, until cancelled."""
        loop = asyncio.get_running_loop()
        with self._database.listen(wake.RUNNER) as receiver:

            def knocked() -> None:
                wake.drain(receiver)
                self._look = True
                self._awake.set()

            loop.add_reader(receiver, knocked)
            try:
                while True:
                    await self._pause()
                    self._apply(await self._written())
            finally:
                loop.remove_reader(receiver)

    def close(self) -> bool:
        """Let go of the database; False when the writer still waits for it, and keeps it."""
        if let_go := self._thread.close(LET_GO_S):
            self._writer.close()
        return let_go

    async def _pause(self) -> None:
        """Wait for something to do: until the poll, or until a task's wait is over."""
        pause_s = self._beat_s
        if self._due_us is not None:
            pause_s = min(pause_s, max(0.0, (self._due_us - clock.now_us()) / 1_000_000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._awake.wait()
        self._awake.clear()
        await asyncio.sleep(0)  # Lets every message that is there join this turn.
        self._end_silent()

    async def _written(self) -> Turn:
        """A turn that is durable, however long the database is away."""
        while True:
            turn = self._in_hand = self._gather()
            try:
                await self._aside(partial(self._writer.carry_out, turn))
            except DatabaseUnavailable as error:
                if await self._stands(turn, error):
                    return turn
            except Exception as error:  # noqa: BLE001 - a worker's message must not end us.
                self._single_out(turn, error)
            else:
                self._outage.over()
                return turn

    async def _stands(self, turn: Turn, error: DatabaseUnavailable) -> bool:
        """Whether a turn is durable although its transaction failed; waits to find out."""
        while True:
            if turn.mark is None:  # It failed before its commit, or changes nothing twice.
                self._in_hand = None
                self._pong_idle()
            await self._away(error)
            if turn.mark is None:
                return False
            try:
                found = await self._aside(partial(self._writer.stands, turn.mark))
            except DatabaseUnavailable as again:
                error = again
                continue
            if found:
                self._outage.over()
                if self._database.shared:  # Its leases may be over, and with somebody else.
                    turn.withhold()
            return found

    async def _aside(self, work: Callable[[], Result]) -> Result:
        """What the writer's thread comes back with; the workers are watched meanwhile."""
        future = self._thread.run(work)
        slow_us = clock.boot_us() + SLOW_US
        while not future.done():
            await asyncio.wait({future}, timeout=self._beat_s)
            self._end_silent()
            if clock.boot_us() > slow_us and not future.done():
                self._outage.began("no answer yet; another process may hold its lock")
        return future.result()

    async def _away(self, error: DatabaseUnavailable) -> None:
        """Wait before the database is tried again; the workers are watched meanwhile."""
        self._look = True
        until_us = clock.boot_us() + int(self._outage.failed(str(error)) * 1_000_000)
        while (left_us := until_us - clock.boot_us()) > 0:
            await asyncio.sleep(min(self._beat_s, left_us / 1_000_000))
            self._end_silent()

    def _gather(self) -> Turn:
        """All that is to be written now; one message and no more where one went wrong."""
        boot_us = clock.boot_us()
        alone = self._one_by_one > 0
        look = not alone and (self._look or boot_us - self._looked_us >= self._beat_s * 1e6)
        if look:
            self._look, self._looked_us = False, boot_us
        return Turn(
            workers=list(self._workers.values()),
            claims=not (alone or self._draining),
            inbox=self._inbox[:1] if alone else list(self._inbox),
            lost=[] if alone else list(self._lost),
            pings=dict(self._pings),
            saves=[saved for worker in self._pings if (saved := unsaved(worker))],
            look=look,
            crashed=not self._draining,
        )

    def _apply(self, turn: Turn) -> None:
        """What is durable becomes true here, and whoever waits for it is told."""
        self._in_hand = None
        self._one_by_one -= min(self._one_by_one, len(turn.inbox))
        del self._inbox[: len(turn.inbox)]
        del self._lost[: len(turn.lost)]
        self._due_us = turn.due_us
        if turn.renewed:
            self._answer_pings(turn)
        else:  # The next turn looks what was lost, before anybody is told to go on.
            self._look = turn.again = True
        turn.apply()
        for name in turn.drains:
            if name in self._workers:
                relief.drain(self._workers[name], "somebody asked")
        relief.dismiss(self._workers.values())
        if turn.again or self._one_by_one:
            self._awake.set()

    def _answer_pings(self, turn: Turn) -> None:
        for worker, at in turn.pings.items():
            if self._database.shared:
                turn.send(worker, {"do": "pong", "at": at})
        self._pings = {one: at for one, at in self._pings.items() if turn.pings.get(one) != at}

    def _single_out(self, turn: Turn, error: Exception) -> None:
        """Find the message that cannot be written, and end its task; raises what is ours."""
        self._in_hand = None
        self._look = True
        if not turn.inbox:
            raise error
        if not self._one_by_one:
            self._one_by_one = len(turn.inbox)
            return
        worker, message = turn.inbox[0]
        if message.get("op") == "refused":
            raise error
        # Not the error's text, which may hold what the message says.
        kind = type(getattr(error, "orig", None) or error).__name__
        log("message_refused", "A message cannot be written.", worker=worker.id, error=kind)
        self._inbox[0] = (worker, refusal(message, kind))

    def _pinged(self, worker: Worker, at: Any) -> None:
        """Answer a ping, or have it answered when the leases are renewed durably.

        A database of this host alone is written by no other dispatcher while this process
        lives, since it holds the lock of its role: nobody can take a lease from a worker
        that goes on, whatever the database says, so that it may go on while the database is
        away. Where other hosts write, only what they can read keeps them from taking it.
        """
        if worker.id not in self._workers:
            return
        relief.weigh(worker, self._memory_max)
        self._pings[worker] = at
        if not self._database.shared:
            worker.wire.send({"do": "pong", "at": at})
        elif self._outage.lasts and self._in_hand is None:
            self._pong_idle()

    def _pong_idle(self) -> None:
        """Keep the workers that hold nothing, of a database that is away.

        Only while no turn is under way or in doubt, which may have given them something.
        """
        for worker in [worker for worker in self._pings if not worker.held]:
            worker.wire.send({"do": "pong", "at": self._pings.pop(worker)})

    def _end_silent(self) -> None:
        for worker in self._silence.end(self._workers.values()):
            self.detach(worker, "the worker was silent for a whole lease")
