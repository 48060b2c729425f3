"""The Tools that pin what an MCP server offers, and how they differ from those there. Pure.

Of a Tool that is there already, what a person wrote stays: permissions, limits, flow,
labels. What the server says of it is written anew.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from reconciler.resource import Resource
from runner.contract.errors import Refused
from runner.contract.kinds import API_VERSION, Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE, NAME_PATTERN
from runner.contract.kinds.mcp_offer import Offer
from runner.contract.kinds.mcp_server import DIVIDER

HEADER: Final = (
    "# Written by `orloj mcp pin {server}` from what the server says. Read it as you would\n"
    "# read code of strangers: a model is given the descriptions. What you add to a Tool\n"
    "# (requires, limits, ingests, egress, labels) is kept; comments are not.\n"
)
_OURS: Final = ("type", "mcp_server_ref", "mcp_tool_name", "schema_digest", "description")


class Change(StrEnum):
    """What becomes of a Tool."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Pinned:
    """One Tool. `differs` says what the server says otherwise than was pinned."""

    key: Key
    tool: str
    change: Change
    digest: str
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Pins:
    """The Tools of one server, as they are to be written."""

    server: Key
    tools: tuple[Pinned, ...]
    documents: tuple[dict[str, Any], ...]

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was pinned."""
        return any(tool.change is not Change.SAME for tool in self.tools)


def pins(server: Key, offers: Iterable[Offer], there: Mapping[Key, Resource]) -> Pins:
    """What pins these offers; Refused when two of them, or one, cannot have a name."""
    tools: list[Pinned] = []
    documents: dict[Key, dict[str, Any]] = {}
    for offer in sorted(offers, key=lambda offer: offer.name):
        key = Key(server.namespace, "Tool", _name(server, offer.name))
        if key in documents:
            raise Refused(
                f"two tools of the server would both be {key.name}; leave one out with"
                " tool_filter.include"
            )
        body = json.loads(there[key].body) if key in there else {}
        tools.append(_pinned(key, offer, body.get("spec")))
        documents[key] = _document(key, server, offer, body)
    for key in sorted(there.keys() - documents.keys()):
        spec = json.loads(there[key].body)["spec"]
        name, digest = str(spec["mcp_tool_name"]), str(spec["schema_digest"])
        tools.append(Pinned(key, name, Change.GONE, digest))
    return Pins(server, tuple(tools), tuple(documents.values()))


def _pinned(key: Key, offer: Offer, spec: Mapping[str, Any] | None) -> Pinned:
    if spec is None:
        return Pinned(key, offer.name, Change.NEW, offer.digest)
    said = (spec.get("description", ""), spec.get("input_schema", {}))
    same = said == (offer.description, offer.input_schema)
    if same and spec.get("schema_digest") == offer.digest:
        return Pinned(key, offer.name, Change.SAME, offer.digest)
    differs = offer.differs(*said)
    return Pinned(key, offer.name, Change.CHANGED, offer.digest, differs)


def _name(server: Key, tool: str) -> str:
    name = server.name + DIVIDER + re.sub(r"[^A-Za-z0-9._-]", "-", tool)
    if not re.fullmatch(NAME_PATTERN, name):
        raise Refused(
            f"{name!r} cannot be the name of a Tool; leave that tool out with"
            " tool_filter.include"
        )
    return name


def _document(key: Key, server: Key, offer: Offer, body: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": key.name}
    if key.namespace != DEFAULT_NAMESPACE:
        metadata["namespace"] = key.namespace
    metadata |= {name: body[name] for name in ("labels", "annotations") if name in body}
    # Somebody has to grant it: what nobody grants is denied.
    spec = dict(body.get("spec") or {"requires": [{"call": key.name}]})
    ours = {
        "type": "mcp",
        "mcp_server_ref": server.name,
        "mcp_tool_name": offer.name,
        "schema_digest": offer.digest,
        "description": offer.description,
    }
    assert tuple(ours) == _OURS
    kept = {name: spec[name] for name in sorted(spec.keys() - {*_OURS, "input_schema"})}
    schema = {"input_schema": dict(offer.input_schema)} if offer.input_schema else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "Tool",
        "metadata": metadata,
        "spec": {**{n: v for n, v in ours.items() if v}, **kept, **schema},
    }
