"""The sessions of one worker with MCP servers: opened when first needed, kept, and let go.

    asked for ──open──> in use ──idle_timeout──> let go
        │ failed, ended: not before `backoff`, which doubles ──> asked for again

Agents of one namespace share a session with a server, and nobody else does. A server that
cannot be opened is tried `reconnect.max_attempts` times more within a call; one that ends
is not started anew sooner than its wait allows, however often it is asked for.
"""

import asyncio
import contextlib
import importlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from runner.contract.errors import OrlojError, ToolFailed
from runner.contract.kinds.base import seconds
from runner.tools.mcp_process import Place
from runner.tools.mcp_server import Server

if TYPE_CHECKING:  # The SDK takes a second to import: only a worker that needs it pays.
    from runner.tools.mcp_client import Session

SERVERS_MAX: Final = 32
OPEN_S: Final = 120.0
WAIT_S_MAX: Final = 60.0
_CLIENT: Final = "runner.tools.mcp_client"


class McpSessions:
    """Sessions by what they are opened with."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    @contextlib.asynccontextmanager
    async def at(self, server: Server, place: Place) -> AsyncIterator["Session"]:
        """A session that is open now, and stays while the block lasts; ToolFailed."""
        kept = self._kept.get(server.identity)
        if kept is None:
            self._make_room()
            kept = self._kept[server.identity] = _Kept(server, place)
        kept.users += 1
        kept.used_s = time.monotonic()
        try:
            yield await kept.session()
        finally:
            kept.users -= 1
            kept.used_s = time.monotonic()

    async def close(self) -> None:
        """End every session, and wait until nothing is left of them."""
        kept, self._kept = list(self._kept.values()), {}
        for one in kept:
            await one.close()

    def _make_room(self) -> None:
        if len(self._kept) < SERVERS_MAX:
            return
        free = [name for name, kept in self._kept.items() if not kept.users]
        if not free:
            raise ToolFailed(f"more than {SERVERS_MAX} MCP servers are in use in this worker")
        oldest = min(free, key=lambda name: self._kept[name].used_s)
        self._kept.pop(oldest).let_go()


class _Kept:
    """One server, open or not. Its session lives in a task of its own, from end to end."""

    def __init__(self, server: Server, place: Place) -> None:
        self.users = 0
        self.used_s = time.monotonic()
        self._server = server
        self._place = place
        self._turn = asyncio.Lock()
        self._ready: asyncio.Future[Session] | None = None
        self._living: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before_s = 0.0

    async def session(self) -> "Session":
        left = self._server.spec.reconnect.max_attempts
        async with self._turn:  # Who comes meanwhile waits for the same start.
            while True:
                try:
                    session = await self._open()
                except ToolFailed as error:
                    if not error.retryable or not left:
                        raise
                    left -= 1
                    continue
                if not session.over.is_set():
                    return session
                await asyncio.wait([self._life()])

    async def close(self) -> None:
        self.let_go()
        if self._living is not None:
            await asyncio.wait([self._living])

    def let_go(self) -> None:
        if self._living is not None:
            self._living.cancel()

    async def _open(self) -> "Session":
        """The session of the life that goes on, or of a new one, when its wait is over."""
        if self._living is None or self._living.done():
            await asyncio.sleep(max(self._not_before_s - time.monotonic(), 0))
            self._ready = asyncio.get_running_loop().create_future()
            # Whoever asked may have been cancelled: then nobody takes the error.
            self._ready.add_done_callback(lambda ready: ready.exception())
            self._living = asyncio.create_task(self._live(self._ready))
        assert self._ready is not None
        waiting: set[asyncio.Future[Any]] = {self._ready, self._living}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            return self._ready.result()
        raise ToolFailed("the server was let go", retryable=True, untouched=True)

    def _life(self) -> asyncio.Task[None]:
        assert self._living is not None
        return self._living

    async def _live(self, ready: "asyncio.Future[Session]") -> None:
        """Open, serve until it is over or idle, close; what went wrong goes to `ready`."""
        name = self._server.key.name
        try:
            # In a thread: importing would keep the worker from its dispatcher for a second.
            client = await asyncio.to_thread(importlib.import_module, _CLIENT)
            async with (
                asyncio.timeout(OPEN_S) as opening,
                client.opened(self._server, self._place) as session,
            ):
                opening.reschedule(None)
                ready.set_result(session)
                self._failures = 0
                await self._idle(session)
        except TimeoutError:
            self._failed(ready, ToolFailed(f"{name} took longer than {OPEN_S:g} s to open"))
        except OrlojError as error:
            retryable = isinstance(error, ToolFailed) and error.retryable
            words = f"the MCP server {name} cannot be used: {error}"
            self._failed(ready, ToolFailed(words, retryable=retryable, untouched=True))
        except Exception as error:  # noqa: BLE001 - its text may hold a secret; its name may not.
            words = f"the MCP server {name}: internal error ({type(error).__name__})"
            self._failed(ready, ToolFailed(words))
        finally:
            wait_s = seconds(self._server.spec.reconnect.backoff) * 2**self._failures
            self._not_before_s = time.monotonic() + min(wait_s, WAIT_S_MAX)

    def _failed(self, ready: "asyncio.Future[Session]", error: ToolFailed) -> None:
        self._failures = min(self._failures + 1, 16)
        if not ready.done():
            ready.set_exception(error)

    async def _idle(self, session: "Session") -> None:
        """Return when the session is over, or nobody used it for as long as is declared."""
        limit_s = seconds(self._server.spec.idle_timeout)
        while not session.over.is_set():
            due_s = self.used_s + limit_s
            now_s = time.monotonic()
            if limit_s and not self.users and now_s >= due_s:
                session.over.set()
                return
            wait_s = None if not limit_s else max(due_s - now_s, limit_s if self.users else 0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.over.wait(), wait_s)
