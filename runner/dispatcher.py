"""The dispatcher: the only process of the runner that holds the database.

It hands tasks to worker processes over socket pairs and makes durable what they send. All
that arrives while one transaction is being written goes into the next (group commit), and
a worker is answered only after the commit: it goes on when its step is durable, and never
before.

    wait ──> take everything that arrived ──> one transaction ──> answer ──> wait

A worker's ping renews the leases of its tasks; the answer says so. A worker that is silent
for a whole lease is killed, and its tasks go back.
"""

import asyncio
import contextlib
import os
import signal
from typing import Any, Final

from runner import crew, order, queue, relief
from runner.claim import Claimable, Held, Slots
from runner.contract import clock, wake
from runner.contract.database import Database
from runner.contract.errors import LeaseLost
from runner.contract.settings import Settings
from runner.contract.telemetry import log
from runner.crew import Worker
from runner.handout import HandOut
from runner.ledger import Ledger
from runner.wire import TooLong

POLL_S: Final = 1.0  # The net under the wake-up socket.
START_US: Final = 30_000_000  # A worker that is not up after this long never will be.
SEEN_EVERY_US: Final = 60_000_000

Message = dict[str, Any]


class Dispatcher:
    """Serves worker processes; `attach` and `detach` tell it when one comes and goes."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._host = os.uname().nodename
        self._boot = clock.boot_id()
        self._lease_us = int(settings.runner.lease_s * 1_000_000)
        self._connection = database.connect()
        offer = order.offer(settings.runner)
        crashes_max = settings.runner.crashes_max
        self._ledger = Ledger(self._connection, self._host, crashes_max, offer)
        self._handout = HandOut(self._connection, self._ledger, settings)
        self._workers: dict[str, Worker] = {}
        self._inbox: list[tuple[Worker, Message]] = []
        self._lost: list[tuple[Worker, str]] = []
        self._awake = asyncio.Event()
        self._draining = False

    def start(self) -> None:
        """Take back what an earlier dispatcher of this home left leased."""
        now_us = clock.now_us()
        with self._database.writing(self._connection):
            self._ledger.started()
            for held in self._ledger.leased():
                self._ledger.release(held, "the runner died", crashed=True, now_us=now_us)
            queue.forget_workers(self._connection, self._host)
            self._ledger.flush(now_us)

    def attach(self, worker: Worker) -> None:
        """A worker process has started."""
        self._workers[worker.id] = worker

    def detach(self, worker: Worker, reason: str) -> None:
        """A worker process is gone; its tasks go back."""
        if self._workers.pop(worker.id, None) is not None:
            self._lost.append((worker, reason))
            self._awake.set()

    def drain(self) -> None:
        """Claim nothing more; running tasks go on."""
        self._draining = True

    @property
    def busy(self) -> int:
        """Tasks in the hands of workers."""
        return sum(len(worker.held) for worker in self._workers.values())

    def give_back(self) -> None:
        """Return every running task, its attempt refunded."""
        for worker in list(self._workers.values()):
            self.detach(worker, "the runner stopped")
        self._write()

    async def listen(self, worker: Worker) -> None:
        """Take in a worker's messages until it hangs up."""
        while (message := await worker.wire.receive()) is not None:
            worker.heard_us = clock.boot_us()
            self._inbox.append((worker, message))
            self._awake.set()
            await worker.heard()  # Reads no further than can be written soon.

    async def run(self) -> None:
        """Write, answer and hand out, until cancelled."""
        receiver = wake.listen(self._settings.run, wake.RUNNER)

        def knocked() -> None:
            wake.drain(receiver)
            self._stop_cancelled()
            self._awake.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(receiver, knocked)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._awake.wait()
                self._awake.clear()
                await asyncio.sleep(0)  # Lets every message that is there join this commit.
                self._kill_silent()
                if not self._inbox:  # The poll; a cancel whose knock was lost is seen here.
                    self._stop_cancelled()
                relief.hear(self._connection, self._workers)
                self._write()
                relief.dismiss(self._workers.values())
        finally:
            loop.remove_reader(receiver)
            receiver.close()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _kill_silent(self) -> None:
        now_us = clock.boot_us()
        for worker in list(self._workers.values()):
            patience_us = self._lease_us if worker.ready else max(self._lease_us, START_US)
            if now_us - worker.heard_us >= patience_us:
                log("worker_killed", "A worker was silent for a whole lease.", worker=worker.id)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
                self.detach(worker, "the worker was silent for a whole lease")

    def _write(self) -> None:
        now_us = clock.now_us()
        if not self._inbox and not self._lost and not self._claimable(now_us):
            return
        inbox, self._inbox = self._inbox, []
        lost, self._lost = self._lost, []
        try:
            with self._database.writing(self._connection):
                answers = [(worker, self._take(worker, what, now_us)) for worker, what in inbox]
                for worker, reason in lost:
                    self._take_back(worker, reason, now_us)
                self._renew([worker for worker, what in inbox if what["op"] == "ping"])
                claims = self._claim(now_us)
                self._ledger.flush(now_us)
        except BaseException:
            self._ledger.forget()
            raise
        for worker, answer in answers:
            worker.caught_up()
            if answer is not None:
                worker.wire.send(answer)
        for task, held in claims:
            self._hand_out(task, held)

    def _stop_cancelled(self) -> None:
        """Have workers stop what is not theirs any more: a person took it away."""
        if not self.busy:
            return
        leased = {(held.task, held.fence) for held in self._ledger.leased()}
        self._connection.rollback()
        for worker in self._workers.values():
            for task, held in list(worker.held.items()):
                if (task, held.fence) not in leased:
                    del worker.held[task]
                    worker.wire.send({"do": "cancel", "task": task, "fence": held.fence})

    def _free_slots(self) -> Slots:
        if self._draining:
            return Slots([])
        return crew.slots(self._workers.values(), self._ledger.last_chance)

    def _claimable(self, now_us: int) -> bool:
        if not self._free_slots():
            return False
        due_us = queue.next_due_us(self._connection)
        found = (due_us is not None and due_us <= now_us) or self._ledger.order.waiting()
        self._connection.rollback()
        return found

    def _pause_s(self) -> float:
        """How long there is nothing to do: until the poll, or until a task's wait is over."""
        poll_s = min(POLL_S, self._settings.runner.lease_s / 4)
        if not self._free_slots():
            return poll_s
        due_us = queue.next_due_us(self._connection)
        self._connection.rollback()
        if due_us is None:
            return poll_s
        return min(poll_s, max(0.0, (due_us - clock.now_us()) / 1_000_000))

    def _claim(self, now_us: int) -> list[tuple[Claimable, Held]]:
        free = self._free_slots()
        if not free:
            return []
        until_us = clock.boot_us() + self._lease_us
        busy = crew.busy(self._workers.values())
        claims = self._ledger.claim(free, self._boot, until_us, now_us, busy)
        for _, held in claims:
            self._workers[held.worker].held[held.task] = held
        return claims

    def _hand_out(self, task: Claimable, held: Held) -> None:
        worker = self._workers[held.worker]
        try:
            self._handout.give(worker, task, held)
        except TooLong as error:
            ending = {"outcome": "failed", "output": None, "error": str(error)}
            finish = {"op": "finish", "task": held.task, "fence": held.fence, **ending}
            self._inbox.append((worker, finish))
            self._awake.set()

    def _take(self, worker: Worker, message: Message, now_us: int) -> Message | None:
        """Carry out one message; what to answer after the commit."""
        match message["op"]:
            case "ready":
                worker.ready = True
                return None
            case "ping":
                relief.weigh(worker, self._settings.runner.memory_mb * 1024 * 1024)
                self._save(worker, now_us)
                return {"do": "pong", "at": message["at"]}
        held = worker.held.get(message["task"])
        answer: Message = {"do": "answer", "id": message.get("id"), "ok": True}
        try:
            if held is None or held.fence != message["fence"]:
                raise LeaseLost
            answer |= self._carry_out(worker, held, message, now_us)
        except LeaseLost:
            if held is not None and held.fence == message["fence"]:
                del worker.held[message["task"]]
            answer |= {"ok": False, "lost": True}
        return answer if "id" in message else None

    def _carry_out(self, worker: Worker, held: Held, message: Message, now_us: int) -> Message:
        match message["op"]:
            case "model":
                self._ledger.journal.begin_model(held, message, now_us)
            case "tool":
                verdict = self._ledger.journal.begin_tool(held, message, now_us)
                return {"decision": verdict.decision.value, "reason": verdict.reason}
            case "result":
                self._ledger.journal.end(held, message, now_us)
            case "finish":
                state = self._ledger.finish(held, message, now_us)
                del worker.held[held.task]
                log("task_finished", "A task ended.", task=held.task, state=state)
            case unknown:
                raise AssertionError(f"a worker sent {unknown}")
        return {}

    def _take_back(self, worker: Worker, reason: str, now_us: int) -> None:
        for held in worker.held.values():
            crashed = not self._draining
            with contextlib.suppress(LeaseLost):  # It finished in this very transaction.
                state = self._ledger.release(held, reason, crashed=crashed, now_us=now_us)
                log("task_released", "A task went back.", task=held.task, state=state)
        worker.held.clear()
        queue.forget_worker(self._connection, worker.id)

    def _renew(self, workers: list[Worker]) -> None:
        holders = [worker.id for worker in workers if worker.held]
        if holders:
            queue.renew(self._connection, holders, clock.boot_us() + self._lease_us)

    def _save(self, worker: Worker, now_us: int) -> None:
        """Write down that a worker lives, now and then: an idle runner lets disks sleep."""
        last_words = worker.id not in self._workers
        if last_words or now_us - worker.saved_us < SEEN_EVERY_US:
            return
        worker.saved_us = now_us
        queue.save_worker(
            self._connection,
            (worker.id, self._host, worker.pid, relief.state(worker), worker.slots)
            + (worker.started_us, now_us),
        )
