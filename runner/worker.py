"""A worker process: many tasks at once, no database, one wire to its dispatcher.

    connected ──hello──> serving ──wire closed or trust run out──> exit at once

It ends itself when the dispatcher is gone, or when no answer came for most of a lease:
whoever is given its tasks then must not find it still acting.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from typing import Any, Final, NoReturn

from runner import sandbox
from runner.agent import Step
from runner.contract import clock
from runner.contract.errors import LeaseLost
from runner.contract.settings import Settings
from runner.contract.telemetry import configure, hide, log_exception
from runner.execute import Execution
from runner.guard import Guard
from runner.link import Link, TrustLost
from runner.manifest_set import ManifestSet, from_text
from runner.moves import Past
from runner.tools import Bounds
from runner.tools.mcp_sessions import McpSessions
from runner.wire import LINE_MAX, TooLong, Wire
from runner.workflow import Visit
from runner.workflow import from_json as visit_of

EXIT_ORPHANED: Final = 71
EXIT_UNTRUSTED: Final = 72
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1


class Worker:
    """Serves one dispatcher."""

    def __init__(self, wire: Wire, settings: Settings) -> None:
        self._wire = wire
        self._settings = settings
        self._lease_us = int(settings.runner.lease_s * 1_000_000)
        self._link = Link(wire, self._lease_us)
        self._sets: dict[str, tuple[ManifestSet, dict[str, str]]] = {}
        self._journals: dict[str, list[Step]] = {}
        self._visits: dict[str, list[Visit]] = {}
        self._sessions = McpSessions()
        self._running: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def serve(self) -> NoReturn:
        """Take messages until the dispatcher is gone."""
        beat = asyncio.create_task(self._beat())
        self._link.tell("ready")
        while (message := await self._wire.receive()) is not None:
            match message["do"]:
                case "visit":
                    visit = visit_of(message["visit"])
                    self._visits.setdefault(message["task"], []).append(visit)
                case "step":
                    self._journals.setdefault(message["task"], []).append(
                        Step(*message["step"])
                    )
                case "run":
                    self._start(message)
                case "cancel":
                    self._stop(message["task"], message["fence"])
                case "leave":
                    _leave(0)
                case "forget":
                    self._sets.clear()
                case _:
                    self._link.answered(message)
        beat.cancel()
        _leave(EXIT_ORPHANED)

    async def _beat(self) -> None:
        while True:
            self._link.ping()
            await asyncio.sleep(self._lease_us / 3_000_000)
            if clock.boot_us() >= self._link.trusted_us:
                _leave(EXIT_UNTRUSTED)

    def _start(self, message: dict[str, Any]) -> None:
        digest = message["manifests"]
        if "set" in message:
            self._sets[digest] = (from_text(message["set"]), message["secrets"])
            hide(message["secrets"].values())
        manifests, secrets = self._sets[digest]
        guard = Guard(
            link=self._link,
            task=message["task"],
            fence=message["fence"],
            manifests=manifests,
            secrets=secrets,
            bounds=Bounds(
                files=self._settings.files,
                commands=tuple(self._settings.tools.commands),
                output_bytes_max=self._settings.tools.output_bytes_max,
                memory=self._settings.memories,
                memory_entries_max=self._settings.memory.entries_max,
                memory_value_bytes_max=self._settings.memory.value_bytes_max,
                servers=self._settings.home / "mcp",
                container=self._settings.tools.container,
                images=tuple(self._settings.tools.images),
                modules=self._settings.modules,
            ),
            sessions=self._sessions,
        )
        past = Past(
            self._journals.pop(message["task"], []), self._visits.pop(message["task"], [])
        )
        execution = Execution(guard, message["input"], past, message["flow"])
        running = asyncio.create_task(self._run(guard, execution))
        claim = (message["task"], message["fence"])
        self._running[claim] = running
        running.add_done_callback(lambda _: self._running.pop(claim))

    def _stop(self, task: str, fence: int) -> None:
        # What is under way is cut off: a request is closed, a program's group is killed.
        if (running := self._running.get((task, fence))) is not None:
            running.cancel()

    async def _run(self, guard: Guard, execution: Execution) -> None:
        try:
            ending = await execution.run()
        except TrustLost:
            # The dispatcher does not know: to it this worker would hold the task for ever,
            # even if trust comes back with the next answer.
            _leave(EXIT_UNTRUSTED)
        except LeaseLost:
            return  # Somebody else has the task now; there is nothing left to say.
        except Exception as error:  # noqa: BLE001 - one task's bug must not take the others down.
            log_exception(
                "task_finished", "A task met an error nobody foresaw.", task=guard.task
            )
            name = type(error).__name__
            ending = {
                "outcome": "failed",
                "output": None,
                "error": f"internal error ({name}); the runner's log has the details",
            }
        try:
            self._link.tell("finish", task=guard.task, fence=guard.fence, **ending)
        except TooLong as error:
            ending = {"outcome": "failed", "output": None, "error": f"its answer is {error}"}
            self._link.tell("finish", task=guard.task, fence=guard.fence, **ending)


def _leave(code: int) -> NoReturn:
    # Not sys.exit: threads may hang, and nothing here is left to be saved.
    sandbox.kill_all()
    os._exit(code)


async def _main(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    # A Ctrl-C reaches the whole terminal group; only the dispatcher decides when to stop.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    connection = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=connection, limit=LINE_MAX)
    wire = Wire(reader, writer)
    hello = await wire.receive()
    if hello is None:
        _leave(EXIT_ORPHANED)
    await Worker(wire, Settings.model_validate(hello["settings"])).serve()


def main() -> None:
    """Serve on the socket whose number is the first argument."""
    configure()
    # A worker that hangs or was stopped does not see its dispatcher go; the kernel does.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    gc.freeze()
    asyncio.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
