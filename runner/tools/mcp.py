"""Tools of type `mcp`: one tool of an MCP server, if it still is the one that was pinned.

    session ──the server's own list──> the digest that was committed? ──yes──> call
                                             └──no──> denied, and told in the log

The model only ever reads the description that was committed; what the server says now is
compared with it before each call, and never shown.
"""

from typing import Any, Final

from runner.contract import seal
from runner.contract.errors import ToolDenied, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.mcp_offer import Offer
from runner.tools import Answered, Call, mcp_answer
from runner.tools.mcp_process import Place

_ERROR_CHARACTERS: Final = 2_000
_TIMES: Final = 2
"""A call that was certainly not sent is made once more, on a session of its own."""


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """What the server answered; ToolFailed, and ToolDenied when it is another tool."""
    assert call.server is not None, "the guard gives every mcp tool its server"
    bounds = call.bounds
    place = Place(bounds.commands, bounds.servers_folder, bounds.files.parent)
    for left in reversed(range(_TIMES)):
        async with call.sessions.at(call.server, place) as session:
            offers = await session.offers()
            _same(tool, offers.get(tool.mcp_tool_name or ""))
            try:
                answer = await session.call(
                    tool.mcp_tool_name or "", arguments, call.idempotency_key
                )
            except ToolFailed as error:
                if error.untouched and left:
                    continue
                raise ToolFailed(
                    _bounded(str(error), call),
                    retryable=error.retryable,
                    untouched=error.untouched,
                    isolation=session.level,
                ) from None
            if answer.get("isError"):
                said = _bounded(mcp_answer.text(answer), call)
                raise ToolFailed(said or "the tool failed", isolation=session.level)
            return Answered(mcp_answer.text(answer), session.level)
    raise AssertionError("the last time returns or raises")


def _bounded(said: str, call: Call) -> str:
    return seal.excerpt(said, _ERROR_CHARACTERS, call.hidden)


def _same(tool: Tool, offer: Offer | None) -> None:
    """ToolDenied unless what the server offers is what was pinned."""
    server, name = tool.mcp_server_ref, tool.mcp_tool_name
    if offer is None:
        raise ToolDenied(f"the MCP server {server} does not offer {name} any more")
    if offer.digest != tool.schema_digest:
        differs = offer.differs(tool.description, tool.input_schema)
        raise ToolDenied(
            f"the MCP server {server} offers another {name} than was pinned (its {differs}"
            f" differs); look at it and pin it anew: orloj mcp pin {server}"
        )
