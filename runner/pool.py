"""Keep worker processes alive around one dispatcher, and stop them cleanly.

Workers are new processes, started by exec: no connection, lock or thread crosses over, and
their environment is built from nothing. A worker that ends is started again, later and
later if it ends young. SIGTERM drains: nothing new is claimed, running tasks get
`runner.drain_s` seconds, then their leases are given back. A second SIGTERM does that now.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

from runner.approval.notifier import Notifier
from runner.contract import clock, memory_file, seal, service, settings
from runner.contract.database import Database, open_database
from runner.contract.settings import Settings
from runner.contract.telemetry import configure, log
from runner.crew import Worker
from runner.dispatcher import Dispatcher
from runner.wire import LINE_MAX, Wire
from runner.world.observer import Observer

ROLE: Final = "runner"
RESTART_MIN_S: Final = 0.1
RESTART_MAX_S: Final = 30.0
GROWN_UP_S: Final = 10.0  # A worker that lived this long is restarted without delay.
GIVE_BACK_S: Final = 5.0  # After the drain: to write that what is left goes back.
WORKER: Final = (sys.executable, "-m", "runner.worker")


class Pool:
    """The runner of one home. `command` starts a worker; its socket's number comes last."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        stop_asked: threading.Event,
        *,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._settings = settings
        self._stop_asked = stop_asked
        self._dispatcher = dispatcher
        self._command = command
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal says stop; ends when every worker has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if self._stop_asked.is_set():
            self._stop()
        writing = asyncio.create_task(self._dispatcher.run())
        places: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._keep_alive(place))
            for place in range(1, self._settings.workers + 1)
        ]
        log("pool_started", "The runner is up.", workers=len(places))
        service.notify("READY=1")
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait(
            [writing, stopping, *places], return_when=asyncio.FIRST_COMPLETED
        )
        if stopping in done:
            await self._drain()
        for task in places:
            task.cancel()
        await asyncio.gather(*places, return_exceptions=True)
        left = 0 if writing.done() else await self._dispatcher.give_back(GIVE_BACK_S)
        stopping.cancel()
        writing.cancel()
        for task in done.difference({stopping}):
            task.result()  # What ended by itself ended by an error: it is raised here.
        log("pool_stopped", "The runner has stopped.", left=left)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _drain(self) -> None:
        service.notify("STOPPING=1")
        self._dispatcher.drain()
        log("pool_stopping", "No new task is taken.", running=self._dispatcher.busy)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.runner.drain_s):
                while self._dispatcher.busy and not self._hurry.is_set():
                    await asyncio.sleep(0.05)
        log("pool_drained", "Running tasks ended or went back.", left=self._dispatcher.busy)

    async def _keep_alive(self, place: int) -> None:
        pause_s = RESTART_MIN_S
        while True:
            started_us = clock.boot_us()
            try:
                code = await self._one_life(place)
            except OSError as error:  # No process or memory to be had: wait for better times.
                code = -(error.errno or 0)
            lived_s = (clock.boot_us() - started_us) / 1_000_000
            pause_s = RESTART_MIN_S if lived_s > GROWN_UP_S else min(pause_s * 2, RESTART_MAX_S)
            log("worker_exited", "A worker ended; another follows.", place=place, code=code)
            await asyncio.sleep(pause_s)

    async def _one_life(self, place: int) -> int:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(*self._command, str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=settings.process_environment(),
            )
        finally:
            theirs.close()  # Else the end of the worker would never be seen here.
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_MAX)
        worker = Worker(
            id=f"{place}-{process.pid}-{clock.new_id()[-6:]}",
            pid=process.pid,
            slots=self._settings.runner.slots,
            wire=Wire(reader, writer),
            started_us=clock.now_us(),
            heard_us=clock.boot_us(),
        )
        worker.wire.send({"do": "hello", "settings": self._settings.model_dump(mode="json")})
        self._dispatcher.attach(worker)
        log("worker_started", "A worker started.", worker=worker.id, pid=process.pid)
        try:
            await self._dispatcher.listen(worker)
            worker.wire.close()  # One that talks nonsense is heard no more, and ends itself.
            code = await process.wait()
            self._dispatcher.detach(worker, f"the worker ended (code {code})")
            return code
        finally:
            worker.wire.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def main(settings: Settings, now: clock.Now = clock.now_us) -> int:
    """Run the runner of a home in the foreground; 0 when it was asked to stop."""
    configure()
    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the loop listens: whoever sees the role taken may ask us to stop at once.
        signal.signal(number, lambda *_: stop_asked.set())
    lock = service.only_one(settings.run, ROLE)
    memory_file.clear(settings.memories)
    database = open_database(settings.home, settings.database.url.get_secret_value())
    try:
        if database.shared:
            with database.read() as connection:
                seal.same_key(connection, settings.home)
        asyncio.run(_serve(settings, database, stop_asked, now))
    finally:
        lock.close()
    return 0


async def _serve(
    settings: Settings, database: Database, stop_asked: threading.Event, now: clock.Now
) -> None:
    dispatcher = Dispatcher(database, settings, now)
    notifier = Notifier(database, settings)
    observer = Observer(database, settings)
    beside = [asyncio.create_task(_tell_systemd())]
    try:
        dispatcher.start()
        beside.append(asyncio.create_task(notifier.run()))
        beside.append(asyncio.create_task(observer.run()))
        await Pool(settings, dispatcher, stop_asked).run()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if all(
            [notifier.close(), observer.close(), dispatcher.close()]
        ):  # Else its thread waits for the database, and ends with us.
            database.close()


async def _tell_systemd() -> None:
    # From the loop itself and not from a thread: a stuck loop must look stuck.
    interval_s = service.watchdog_interval_s()
    while interval_s is not None:
        service.notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
