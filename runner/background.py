"""One thread beside an event loop, for work that may block: the loop goes on meanwhile.

A thread of our own and not an executor's: those are waited for when the process ends, and
a thread that waits for a lock on a database may wait for ever.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class Background:
    """Runs functions one after another; it starts with the first one."""

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._waiting: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()

    def run(self, function: Callable[[], Result]) -> asyncio.Future[Result]:
        """What the function returns or raises, as a future of the running loop."""
        if self._thread.ident is None:
            self._thread.start()
        result: Future[Result] = Future()
        self._waiting.put((function, result))
        return asyncio.wrap_future(result)

    def close(self, timeout_s: float) -> bool:
        """Whether the thread ended within that time; if not, its work still holds it."""
        if self._thread.ident is None:
            return True
        self._waiting.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            function, result = item
            if not result.set_running_or_notify_cancel():
                continue
            try:
                result.set_result(function())
            except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it.
                result.set_exception(error)
