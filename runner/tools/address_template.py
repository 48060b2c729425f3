"""Fill the endpoint of an http tool, so that arguments stay where they were put. Pure.

A template may be the whole endpoint, then the hosts of the manifest bound it, or a part of
its path or query. There a value is percent-encoded; in the path, one that a server might
take for more than a part of a name is refused, also in the spellings that become `/` or
`..` after one more round of decoding or Unicode's compatibility folding.

An argument that the template uses is not sent again. One that is used in part
(`{args.user.id}`) still travels whole.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import httpx2

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import network
from runner.contract.kinds.tool import fill_template, template_arguments, whole_template
from runner.tools.redirect import URL_CHARACTERS_MAX, shown

_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_STEERS: Final = frozenset({"Cc", "Zl", "Zp"})

Path = tuple[str, ...]


def fill(
    endpoint: str, arguments: Mapping[str, Any], *, in_query: bool
) -> tuple[str, dict[str, Any]]:
    """The address to ask, and the arguments that are left for the body; ToolFailed.

    `in_query` puts what is left into the query, for methods that have no body.
    """
    used = {path[0] for path in template_arguments(endpoint) if len(path) == 1}
    left = {name: value for name, value in arguments.items() if name not in used}
    if whole_template(endpoint):
        filled = _whole(_text(arguments, template_arguments(endpoint)[0]))
    else:
        filled = _parts(endpoint, arguments)
    if in_query:
        filled, left = _with_query(filled, left), {}
    return _checked(filled, endpoint), left


def _whole(url: str) -> str:
    try:
        parts = network.endpoint(url)
    except ValueError as error:
        raise ToolFailed(
            f"the address asked for cannot be used: {error}", code=ToolCode.INVALID_INPUT
        ) from None
    if parts.user is not None:
        raise ToolFailed(
            "the address asked for may not name a user or a password",
            code=ToolCode.INVALID_INPUT,
        )
    return url.partition("#")[0]


def _parts(endpoint: str, arguments: Mapping[str, Any]) -> str:
    before, mark, query = endpoint.partition("#")[0].partition("?")
    path = fill_template(before, lambda name: _in_path(_text(arguments, name), name))
    if path != before:
        _stays(path, before)
    return path + mark + fill_template(query, lambda name: _quoted(_text(arguments, name)))


def _in_path(value: str, name: Path) -> str:
    for form in (value, unicodedata.normalize("NFKC", value)):
        steers = any(
            character in "/\\" or unicodedata.category(character) in _STEERS
            for character in form
        )
        if not form or steers or _ENCODED.search(form):
            raise ToolFailed(
                f"the argument {'.'.join(name)} is to be one part of a path: it may not be"
                " empty or hold a slash, a control character or an encoded one",
                code=ToolCode.INVALID_INPUT,
            )
    return _quoted(value)


def _stays(path: str, template: str) -> None:
    """ToolFailed when arguments made a step of the path one that leads up or nowhere."""
    for step, written in zip(path.split("/"), template.split("/"), strict=True):
        plain = unicodedata.normalize("NFKC", unquote(step)).partition(";")[0].strip()
        if step != written and plain in {"", ".", ".."}:
            raise ToolFailed(
                "an argument may not be a dot or two in the path of an address",
                code=ToolCode.INVALID_INPUT,
            )


def _with_query(url: str, arguments: Mapping[str, Any]) -> str:
    if not arguments:
        return url
    path, _, query = url.partition("?")
    taken = {unquote(pair.partition("=")[0]) for pair in query.split("&")}
    for name in arguments:
        if name in taken:
            raise ToolFailed(
                f"the endpoint itself says what {name} is; leave the argument out",
                code=ToolCode.INVALID_INPUT,
            )
    pairs = [f"{_quoted(name)}={_quoted(_written(value))}" for name, value in arguments.items()]
    return f"{path}?{'&'.join([query, *pairs] if query else pairs)}"


def _checked(url: str, endpoint: str) -> str:
    """The address as it is sent; ToolFailed when it is too long or has left its place."""
    sent = str(httpx2.URL(url))
    if len(sent) > URL_CHARACTERS_MAX:
        raise ToolFailed(
            f"the address would have {len(sent)} characters, and at most"
            f" {URL_CHARACTERS_MAX} are sent: {shown(url)}",
            code=ToolCode.INVALID_INPUT,
        )
    if not whole_template(endpoint):
        declared, filled = network.endpoint(endpoint), network.endpoint(sent)
        assert (filled.scheme, filled.host.name, filled.port) == (
            *(declared.scheme, declared.host.name),
            declared.port,
        ), "an argument has moved an endpoint"
    return sent


def _text(arguments: Mapping[str, Any], path: Path) -> str:
    value: Any = arguments
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            raise ToolFailed(
                f"the argument {'.'.join(path)} is missing", code=ToolCode.INVALID_INPUT
            )
        value = value[step]
    if isinstance(value, dict | list) or value is None:
        raise ToolFailed(
            f"the argument {'.'.join(path)} is neither a text nor a number",
            code=ToolCode.INVALID_INPUT,
        )
    return _written(value)


def _written(value: Any) -> str:
    # As JSON writes it, so that `true` is no Python word.
    return value if isinstance(value, str) else json.dumps(value)


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="replace")
