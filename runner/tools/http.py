"""Tools of type `http`: the arguments as a JSON body, the answer's text back.

A method without a body puts them into the query. No proxy or credential is taken from the
environment. Where it may connect to is for `egress` to say, where arguments may stand in the
address for `address_template`, and how it is asked for `exchange`. An answer may be plain
text or an envelope of tool contract v1.
"""

import json
from functools import partial
from typing import Any

from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.tool import whole_template
from runner.tools import (
    Answered,
    Call,
    address_template,
    authorization,
    egress,
    envelope,
    exchange,
    redirect,
)
from runner.tools.authorization import Proof
from runner.tools.redirect import Question


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """What the answer says; ToolFailed on any status that is not a success."""
    return await authorization.proved(tool, call, partial(_asked, tool, arguments, call))


async def _asked(tool: Tool, arguments: dict[str, Any], call: Call, proof: Proof) -> Answered:
    place = _place(tool)
    try:
        question = _question(tool, arguments, call, proof)
    except ValueError as error:
        raise ToolFailed(
            f"{place} cannot be asked: {type(error).__name__}", code=ToolCode.INVALID_INPUT
        ) from None
    reply = await exchange.ask(
        _reach(tool),
        question,
        place=place,
        follow=follows(tool),
        bytes_max=call.bounds.output_bytes_max + seal.longest(proof.hidden),
    )
    said = None
    if not reply.cut and reply.status not in exchange.PLAIN:
        said = envelope.loose(reply.text, call, proof.hidden)
    if not reply.success:
        raise exchange.failure(place, reply, proof.hidden)
    return Answered(reply.text if said is None else said, hidden=proof.hidden)


def follows(tool: Tool) -> bool:
    """Whether redirects are followed: what changes nothing may be asked again elsewhere."""
    chosen = tool.network.redirects
    return (tool.type == "http" and tool.method == "GET") if chosen is None else chosen


def _place(tool: Tool) -> str:
    """The endpoint as it may be shown."""
    assert tool.endpoint is not None
    return tool.endpoint if whole_template(tool.endpoint) else redirect.shown(tool.endpoint)


def _reach(tool: Tool) -> egress.Reach:
    assert tool.endpoint is not None
    own = None if whole_template(tool.endpoint) else tool.endpoint
    return egress.reach(own, tool.network)


def _question(tool: Tool, arguments: dict[str, Any], call: Call, proof: Proof) -> Question:
    assert tool.endpoint is not None
    bodiless = tool.method in {"GET", "DELETE"}
    url, left = address_template.fill(tool.endpoint, arguments, in_query=bodiless)
    headers = {"Accept-Encoding": "identity", "Idempotency-Key": call.idempotency_key}
    body = None
    if not bodiless:
        headers["Content-Type"] = "application/json"
        body = json.dumps(left, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Question(
        method=tool.method,
        url=url,
        headers=headers,
        authorization=proof.headers,
        body=body,
    )
