"""What a call shows to prove who it is: headers made of the tool's secret, by its profile.

    bearer           Authorization: Bearer SECRET
    api_key_header   headerName: SECRET
    basic            Authorization: Basic base64(user:password)
    oauth2           Authorization: Bearer, with a token that the secret is exchanged for

A token that the other side refuses is exchanged once more, and the call is made again with
the new one: whoever says 401 has done nothing. What a proof is made of is masked in answers
besides the secrets of the task: a password alone, and a token, are values of their own.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.tool_auth import ToolAuth
from runner.tools import Call, oauth2
from runner.tools.oauth2 import Grant

Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Proof:
    """The headers to show, and what no answer may hold."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)


async def proved(tool: Tool, call: Call, ask: Callable[[Proof], Awaitable[Said]]) -> Said:
    """What `ask` answers when it is given a proof; ToolFailed."""
    if tool.auth is None or call.secret is None:
        return await ask(Proof(hidden=call.hidden))
    if tool.auth.profile != "oauth2_client_credentials":
        return await ask(_plain(tool.auth, call.secret, call.hidden))
    grant = _grant(tool, tool.auth, call.secret, call)
    token = await oauth2.token(grant)
    try:
        return await ask(_bearer(token, grant, call))
    except ToolFailed as error:
        if error.code not in {ToolCode.AUTH_INVALID, ToolCode.AUTH_EXPIRED}:
            raise
    oauth2.forget(grant, token)
    return await ask(_bearer(await oauth2.token(grant), grant, call))


def _plain(auth: ToolAuth, secret: str, hidden: tuple[str, ...]) -> Proof:
    if auth.profile == "basic":
        password = _pair(secret, "basic", "user:password")[1]
        written = base64.b64encode(secret.encode()).decode("ascii")
        return Proof({"Authorization": f"Basic {written}"}, (*hidden, secret, password))
    if not (secret.isascii() and secret.isprintable()):
        raise ToolFailed(
            "the tool's secret holds a character that no header may hold, a line break perhaps",
            code=ToolCode.SECRET_RESOLUTION_FAILED,
        )
    if auth.header_name is not None:
        return Proof({auth.header_name: secret}, (*hidden, secret))
    return Proof({"Authorization": f"Bearer {secret}"}, (*hidden, secret))


def _grant(tool: Tool, auth: ToolAuth, secret: str, call: Call) -> Grant:
    assert auth.token_url is not None
    id, password = _pair(secret, auth.profile, "client_id:client_secret")
    return Grant(
        tool=call.caller.tool,
        url=auth.token_url,
        scopes=tuple(auth.scopes),
        client_id=id,
        client_secret=password,
        private=tuple(tool.network.private),
    )


def _bearer(token: str, grant: Grant, call: Call) -> Proof:
    hidden = (*call.hidden, token, grant.client_secret)
    return Proof({"Authorization": f"Bearer {token}"}, hidden)


def _pair(secret: str, profile: str, form: str) -> tuple[str, str]:
    first, colon, second = secret.partition(":")
    if not (first and colon and second):
        raise ToolFailed(
            f"the secret of a tool with profile {profile} is {form}, and this one is not",
            code=ToolCode.SECRET_RESOLUTION_FAILED,
        )
    return first, second
