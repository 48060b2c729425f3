"""Tools of type `http`: the arguments as a JSON body, the answer's text back.

A method without a body puts them into the query. No proxy or credential is taken from the
environment, and no more is read than the bound allows: nothing is unpacked, since a small
answer may unpack to a huge one. Where it may connect to is for `egress` to say, and where
arguments may stand in the address for `address_template`.
"""

import base64
import json
from typing import Any, Final

import httpx2

from runner.contract import seal
from runner.contract.errors import Refused, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.tool import whole_template
from runner.tools import Answered, Call, address_template, egress, redirect
from runner.tools.redirect import Question

_RETRYABLE_STATUS: Final = frozenset({408, 425, 429})
# An address that is none, or a header that may not be sent: trying again changes nothing.
_NEVER_SENT: Final = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    ValueError,
)


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """The body of the answer; ToolFailed on any status that is not a success."""
    place = _place(tool)
    try:
        question = _question(tool, arguments, call)
        async with (
            egress.client(_reach(tool)) as client,
            redirect.ask(client, question, follow=_follows(tool)) as response,
        ):
            limit = call.bounds.output_bytes_max + seal.longest(call.hidden)
            body = await _body(response, limit)
    except Refused as error:
        raise ToolFailed(f"{place} cannot be asked: {error}") from None
    except _NEVER_SENT as error:
        raise ToolFailed(f"{place} cannot be asked: {type(error).__name__}") from None
    except httpx2.HTTPError as error:
        raise ToolFailed(
            f"{place} cannot be reached: {type(error).__name__}", retryable=True
        ) from error
    if response.is_success:
        return Answered(body)
    said = seal.excerpt(body, 300, call.hidden)
    raise ToolFailed(
        f"{place} answered {response.status_code}: {said}",
        retryable=response.status_code in _RETRYABLE_STATUS or response.status_code >= 500,
    )


def _place(tool: Tool) -> str:
    """The endpoint as it may be shown."""
    assert tool.endpoint is not None
    return tool.endpoint if whole_template(tool.endpoint) else redirect.shown(tool.endpoint)


def _reach(tool: Tool) -> egress.Reach:
    assert tool.endpoint is not None
    own = None if whole_template(tool.endpoint) else tool.endpoint
    return egress.reach(own, tool.network)


def _follows(tool: Tool) -> bool:
    """Whether redirects are followed: what changes nothing may be asked again elsewhere."""
    chosen = tool.network.redirects
    return tool.method == "GET" if chosen is None else chosen


def _question(tool: Tool, arguments: dict[str, Any], call: Call) -> Question:
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
        authorization=_authorization(tool, call.secret),
        body=body,
    )


async def _body(response: httpx2.Response, limit: int) -> str:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(chunks).decode("utf-8", "replace")


def _authorization(tool: Tool, secret: str | None) -> dict[str, str]:
    if tool.auth is None or secret is None:
        return {}
    match tool.auth.profile:
        case "bearer":
            return {"Authorization": f"Bearer {secret}"}
        case "api_key_header":
            return {tool.auth.header_name or "X-API-Key": secret}
        case "basic":
            pair = base64.b64encode(secret.encode()).decode("ascii")
            return {"Authorization": f"Basic {pair}"}
    raise ToolFailed(f"the auth profile {tool.auth.profile} cannot be used yet")
