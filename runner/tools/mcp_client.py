"""The only module that speaks the Model Context Protocol; the SDK costs a worker 30 MB.

    program or address ──streams──> handshake ──> tools listed ──> calls ──> over

What a server asks for (sampling, elicitation, roots) is refused, and it is told beforehand
that we have none of it. The output schemas of a server are not looked at: a pattern in one
could keep a worker busy for ever. Lists, lines and answers are bounded.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import anyio
import httpx2
import mcp
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from pydantic import TypeAdapter, ValidationError

from runner.contract import seal
from runner.contract.errors import OrlojError, ToolFailed
from runner.contract.kinds.mcp_offer import Offer
from runner.tools import mcp_address
from runner.tools.mcp_process import LINE_BYTES_MAX, Pipes, Place, started
from runner.tools.mcp_server import Server

TOOLS_MAX: Final = 1_000
PAGES_MAX: Final = 100
UNASKED_MAX: Final = 2_000
"""Messages that a server may send on its own account while it owes an answer."""
LIST_BYTES_MAX: Final = 8 * 1024 * 1024
_WORDS: Final = 2_000
_KEY: Final = "orloj.dev/idempotency-key"
_ANSWER: Final[TypeAdapter[mcp_types.CallToolResult | mcp_types.InputRequiredResult]] = (
    TypeAdapter(mcp_types.CallToolResult | mcp_types.InputRequiredResult)
)
_ABOUT_US: Final = mcp_types.Implementation(name="orloj", version="1")

# What the SDK logs may hold what a server said, and with it secrets of others.
for _name in ("mcp", "client"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class Session:
    """An open session. `over` is set as soon as nothing can be asked any more."""

    def __init__(self, level: str | None, hidden: tuple[str, ...]) -> None:
        self.level = level
        self._hidden = hidden
        self.over = asyncio.Event()
        self._client: mcp.Client | None = None
        self._offers: dict[str, Offer] | None = None
        self._stale = False
        self.cause = ""  # Why it was ended from here, as the end of a sentence.

    async def offers(self) -> Mapping[str, Offer]:
        """The tools of the server by name, listed anew once it says they changed."""
        if self._offers is None or self._stale:
            self._stale = False  # What it says while it is asked is news that comes after.
            self._offers = await self._listed()
        return self._offers

    async def call(self, name: str, arguments: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The result of a call as JSON; ToolFailed, `untouched` when it was not made."""
        params = mcp_types.CallToolRequestParams(
            name=name, arguments=dict(arguments), _meta={_KEY: key}
        )
        answer = await self._ask(mcp_types.CallToolRequest(params=params), _ANSWER)
        if isinstance(answer, mcp_types.InputRequiredResult):
            raise ToolFailed("the server wants to ask somebody before it answers: it may not")
        assert isinstance(answer, mcp_types.CallToolResult)
        return answer.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def _listed(self) -> dict[str, Offer]:
        assert self._client is not None
        found: dict[str, Offer] = {}
        cursor: str | None = None
        size = 0
        for _ in range(PAGES_MAX):
            params = mcp_types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._tried(self._client.session.list_tools(params=params))
            for tool in page.tools:
                if found.setdefault(tool.name, _offer(tool)) != _offer(tool):
                    raise ToolFailed("the server lists a tool twice, and differently")
                size += len(tool.model_dump_json())
            if size > LIST_BYTES_MAX:
                raise ToolFailed(f"the server's list is longer than {LIST_BYTES_MAX} bytes")
            if len(found) > TOOLS_MAX:
                raise ToolFailed(f"the server lists more than {TOOLS_MAX} tools")
            if not page.next_cursor or page.next_cursor == cursor:
                return found
            cursor = page.next_cursor
        raise ToolFailed(f"the server's list of tools does not end within {PAGES_MAX} pages")

    async def _ask(self, request: Any, answer: TypeAdapter[Any]) -> Any:
        assert self._client is not None
        return await self._tried(self._client.session.send_request(request, answer))

    async def _tried(self, asking: Any) -> Any:
        """What was answered; ToolFailed in our words."""
        gone = self.over.is_set()
        try:
            return await asking
        except mcp.MCPError as error:
            if error.code == mcp_types.CONNECTION_CLOSED:
                self.over.set()
                if gone:
                    raise _not_made("the server ended") from None
                words = f"the server ended before it answered{self.cause}"
                raise ToolFailed(words, retryable=True) from None
            if error.message == "Session terminated":
                self.over.set()
                raise _not_made("the server forgot our session") from None
            said = self.excerpt(error.message)
            raise ToolFailed(f"the server answered with an error: {said}") from None
        except ValidationError:
            raise ToolFailed("the server's answer is not what the protocol has") from None

    def excerpt(self, said: str) -> str:
        """The beginning of what the server said, masked."""
        return seal.excerpt(said, _WORDS, self._hidden)

    def ended(self, cause: str) -> ToolFailed:
        """The failure to raise where a session is ended from here: calls tell the cause."""
        self.cause = f": {cause}"
        return ToolFailed(cause)

    async def heard(self, message: Any) -> None:
        """Take note that the list of tools is another."""
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._stale = True


@contextlib.asynccontextmanager
async def opened(server: Server, place: Place) -> AsyncIterator[Session]:
    """A session with a server while the block lasts; ToolFailed, and Refused by our rules."""
    async with contextlib.AsyncExitStack() as stack:
        if server.spec.transport == "stdio":
            pipes = await stack.enter_async_context(started(server, place))
            session = Session(pipes.level.value, server.hidden)
            transport: Any = _over_pipes(pipes, session)
        else:
            pipes, session = None, Session(None, server.hidden)
            client = await stack.enter_async_context(mcp_address.client(server, session.ended))
            assert server.spec.endpoint is not None
            transport = streamable_http_client(
                server.spec.endpoint, http_client=client, max_sse_event_size=LINE_BYTES_MAX
            )
        asking = mcp.Client(
            transport, client_info=_ABOUT_US, message_handler=session.heard, cache=None
        )
        try:
            async with asking as connected:
                session._client = connected
                yield session
        except (mcp.MCPError, ExceptionGroup, httpx2.HTTPError) as error:
            raise _in_words(error, pipes, session) from None
        finally:
            session.over.set()


def _not_made(words: str) -> ToolFailed:
    return ToolFailed(words, retryable=True, untouched=True)


def _in_words(error: Exception, pipes: Pipes | None, session: Session) -> OrlojError:
    """What went wrong with the whole session, as one of our own errors."""
    while isinstance(error, ExceptionGroup):
        inner: list[Exception] = list(error.exceptions)
        error = next((one for one in inner if isinstance(one, OrlojError)), inner[0])
    if isinstance(error, OrlojError):
        return error
    if isinstance(error, httpx2.HTTPError):
        return ToolFailed(f"it cannot be reached: {type(error).__name__}", retryable=True)
    said = "" if pipes is None else pipes.last_words()
    if isinstance(error, mcp.MCPError):
        if error.code == mcp_types.CONNECTION_CLOSED:
            return ToolFailed(f"it ended without an answer{said}", retryable=True)
        words = session.excerpt(error.message)
        return ToolFailed(f"it does not take us: {words}{said}", retryable=True)
    return ToolFailed(f"internal error ({type(error).__name__}){said}", retryable=True)


@contextlib.asynccontextmanager
async def _over_pipes(pipes: Pipes, session: Session) -> AsyncIterator[Any]:
    """The SDK's two streams over the pipes of a program."""
    arriving, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, leaving = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group, read, write:
        group.start_soon(_reading, pipes, session, arriving)
        group.start_soon(_writing, pipes, session, leaving)
        try:
            yield read, write
        finally:
            group.cancel_scope.cancel()


async def _reading(
    pipes: Pipes,
    session: Session,
    arriving: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    """Hand on what the program says, until it ends or says too much."""
    try:
        async with arriving:
            async for message in _messages(pipes):
                await arriving.send(SessionMessage(message))
    except ToolFailed as error:
        session.cause = f": {error}"
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # The session is over: nobody listens any more.
    finally:
        session.over.set()


async def _messages(pipes: Pipes) -> AsyncIterator[Any]:
    unasked = 0
    async for line in pipes.lines():
        message = _message(line)
        answers = mcp_types.JSONRPCResponse | mcp_types.JSONRPCError
        unasked = 0 if isinstance(message, answers) else unasked + 1
        if unasked > UNASKED_MAX:
            raise ToolFailed(f"it said {UNASKED_MAX} things that nobody asked for")
        if message is not None:
            yield message


async def _writing(
    pipes: Pipes, session: Session, leaving: MemoryObjectReceiveStream[SessionMessage]
) -> None:
    async with leaving:
        async for item in leaving:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await pipes.write(text.encode("utf-8", "replace"))
            except ToolFailed as error:
                raise session.ended(str(error)) from None


def _message(line: bytes) -> Any:
    """A line as a message; None for one that is none, as programs print by mistake."""
    try:
        return mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except (ValueError, RecursionError):
        return None


def _offer(tool: mcp_types.Tool) -> Offer:
    annotations = tool.annotations
    return Offer(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        annotations={}
        if annotations is None
        else annotations.model_dump(mode="json", by_alias=True, exclude_none=True),
    )
