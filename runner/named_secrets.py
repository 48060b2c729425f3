"""Which Secret entries the resources of a manifest set may use. Pure."""

from contextlib import suppress
from typing import Final

from runner.contract import kinds
from runner.contract.errors import Refused
from runner.contract.kinds import DataSource, Key, McpServer, Memory, ModelEndpoint, Tool
from runner.contract.kinds.base import named
from runner.manifest_set import ManifestSet

_WITH_AUTH: Final = (DataSource, Memory, ModelEndpoint, Tool)


def entries(manifests: ManifestSet) -> list[tuple[Key, str]]:
    """Every secret entry that tools, servers, endpoints, sources and memories may use.

    What cannot be read can be neither called nor asked: it needs no secret.
    """
    found: set[tuple[Key, str]] = set()
    for key, placed in manifests.resources.items():
        try:
            spec = kinds.spec_of(key.kind, placed.body)
        except Refused:
            continue
        auth = spec.auth if isinstance(spec, _WITH_AUTH) else None
        if auth is not None and manifests.serves(auth.secret(key.namespace)[0], key.namespace):
            found.update(auth.entries(key.namespace))
        if isinstance(spec, Tool) and spec.mcp_server_ref is not None:
            server = named("McpServer", spec.mcp_server_ref, key.namespace)
            found.update(_given(manifests, server))
    return sorted(found)


def _given(manifests: ManifestSet, server: Key) -> list[tuple[Key, str]]:
    """What an MCP server is given; one that no tool names is never started."""
    with suppress(KeyError, Refused):
        spec = kinds.spec_of(server.kind, manifests.resources[server].body)
        assert isinstance(spec, McpServer)
        of = server.namespace
        return [one for one in spec.secrets(of) if manifests.serves(one[0], of)]
    return []
