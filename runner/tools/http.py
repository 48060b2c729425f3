"""Tools of type `http`: the arguments as a JSON body, the answer's text back.

No redirect is followed, no proxy or credential is taken from the environment, and no more
is read than the bound allows: nothing is unpacked, since a small answer may unpack to a
huge one. Where it may connect to is for `egress` to say.
"""

import base64
import functools
import ssl
from typing import Any, Final

import httpx2

from runner.contract import seal
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Answered, Call, egress

_SCHEMES: Final = ("http://", "https://")
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
    assert tool.endpoint is not None
    if not tool.endpoint.startswith(_SCHEMES):
        raise ToolFailed("spec.endpoint is not an http or https address")
    headers = {
        "Accept-Encoding": "identity",
        "Idempotency-Key": call.idempotency_key,
        **_authorization(tool, call.secret),
    }
    bodiless = tool.method in {"GET", "DELETE"}
    try:
        async with (
            _client() as client,
            client.stream(
                tool.method,
                tool.endpoint,
                headers=headers,
                params={name: str(value) for name, value in arguments.items()}
                if bodiless
                else None,
                json=None if bodiless else arguments,
            ) as response,
        ):
            limit = call.bounds.output_bytes_max + seal.longest(call.hidden)
            body = await _body(response, limit)
    except _NEVER_SENT as error:
        raise ToolFailed(f"{tool.endpoint} cannot be asked: {type(error).__name__}") from None
    except httpx2.HTTPError as error:
        raise ToolFailed(
            f"{tool.endpoint} cannot be reached: {type(error).__name__}", retryable=True
        ) from error
    if response.is_success:
        return Answered(body)
    said = seal.excerpt(body, 300, call.hidden)
    raise ToolFailed(
        f"{tool.endpoint} answered {response.status_code}: {said}",
        retryable=response.status_code in _RETRYABLE_STATUS or response.status_code >= 500,
    )


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        transport=egress.Transport(trust_env=False, verify=_authorities()),
    )


@functools.cache
def _authorities() -> ssl.SSLContext:
    # Reading the certificates takes 20 ms of a core: once for a worker, not for each call.
    return httpx2.create_ssl_context(trust_env=False)


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
    if tool.auth is None:
        return {}
    if secret is None:
        raise ToolFailed(
            "the tool's secret has no value on this host; "
            "check spec.auth.secretRef and its Secret"
        )
    match tool.auth.profile:
        case "bearer":
            return {"Authorization": f"Bearer {secret}"}
        case "api_key_header":
            return {tool.auth.header_name or "X-API-Key": secret}
        case "basic":
            pair = base64.b64encode(secret.encode()).decode("ascii")
            return {"Authorization": f"Basic {pair}"}
    raise ToolFailed(f"the auth profile {tool.auth.profile} cannot be used yet")
