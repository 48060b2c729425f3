"""Tools of type `webhook-callback`: taken now, done later, and asked for until then.

    POST endpoint ──200──> the answer
                  └─202──> GET endpoint/request_id ──not done──> wait, ask again
                                                   └─done──> the answer

The worker waits, for `runtime.timeout` at most; the request's id is the same over all tries
and attempts, so a tool that was asked twice knows that it was. Asking again disturbs nothing:
a poll that is lost or refused for now is only made again.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Answered, Call, authorization, exchange, external
from runner.tools.authorization import Proof
from runner.tools.envelope import Pending
from runner.tools.exchange import Reply
from runner.tools.redirect import Question

FIRST_S: Final = 0.25
PAUSE_S_MAX: Final = 5.0
ASKED_S_MAX: Final = 60.0
"""A tool that asks to be left alone for longer is asked after this all the same."""
UNKNOWN_MAX: Final = 3
"""A job that was only just taken may not be known yet to whoever is asked about it."""

_TAKEN: Final = 202
_NOTHING: Final = 204
_UNKNOWN: Final = 404


@dataclass(frozen=True, slots=True)
class _Later:
    """The tool has the call and is not done; it asks to be left alone for so long."""

    wait_s: float = 0.0
    known: bool = True


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """The output, when it is there; ToolFailed."""
    said = await authorization.proved(tool, call, partial(_submitted, tool, arguments, call))
    pause_s, unknown = FIRST_S, 0
    while isinstance(said, _Later):
        await asyncio.sleep(max(pause_s, min(said.wait_s, ASKED_S_MAX)))
        pause_s = min(pause_s * 2, PAUSE_S_MAX)
        said = await _polled(tool, call)
        if isinstance(said, _Later):
            unknown = 0 if said.known else unknown + 1
            if unknown >= UNKNOWN_MAX:
                raise ToolFailed("the tool took the call and does not know it any more")
    return said


async def _submitted(
    tool: Tool, arguments: dict[str, Any], call: Call, proof: Proof
) -> Answered | _Later:
    return _understood(
        tool, await external.submitted(tool, arguments, call, proof), call, proof
    )


async def _polled(tool: Tool, call: Call) -> Answered | _Later:
    """What became of the call; a poll that is lost may be made again."""
    try:
        return await authorization.proved(tool, call, partial(_asked_about, tool, call))
    except ToolFailed as error:
        if not error.retryable:
            error.untouched = False  # The poll was refused; the call itself was taken.
            raise
        return _Later(error.retry_after_s or 0.0)


async def _asked_about(tool: Tool, call: Call, proof: Proof) -> Answered | _Later:
    question = Question(
        method="GET",
        url=_poll_url(tool, call.idempotency_key),
        headers=external.headers(call),
        authorization=proof.headers,
    )
    reply = await external.asked(tool, question, call, proof)
    if reply.status == _UNKNOWN:
        return _Later(known=False)
    return _understood(tool, reply, call, proof)


def _understood(tool: Tool, reply: Reply, call: Call, proof: Proof) -> Answered | _Later:
    after = exchange.retry_after_s(reply.headers.get("Retry-After")) or 0.0
    if reply.status in {_TAKEN, _NOTHING}:
        return _Later(after)
    said = external.read(tool, reply, call, proof)
    return _Later(after) if isinstance(said, Pending) else Answered(said, hidden=proof.hidden)


def _poll_url(tool: Tool, request: str) -> str:
    """Where to ask about a request: below the endpoint, whose query stays."""
    assert tool.endpoint is not None
    path, mark, query = tool.endpoint.partition("#")[0].partition("?")
    return f"{path.rstrip('/')}/{quote(request, safe=':')}{mark}{query}"
