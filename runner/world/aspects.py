"""What there is to look at in a manifest: each thing of the world that it relies on. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from runner.contract.kinds import Key, McpServer, Memory, ModelEndpoint, Secret, Spec, Tool
from runner.contract.kinds.model_endpoint import BASE_URLS
from runner.contract.kinds.network import Network
from runner.contract.kinds.sealed_secret import SealedEntry
from runner.contract.kinds.tool_fields import ASKED, grpc_place
from runner.contract.kinds.tool_isolation import in_container


class Look(StrEnum):
    """How something is looked at; the first word of its aspect."""

    PROGRAM = "program"
    """A file that a command tool starts or hands to its interpreter: its digest."""
    VARIABLE = "env"
    """A variable of the runner's environment: only whether it is there."""
    FILE = "file"
    """A file of the credentials folder: only whether it is there."""
    SEALING_KEY = "sealing-key"
    """The private key of values that stand sealed in Git: only whether it is there."""
    ADDRESS = "address"
    """Where a tool or a model is asked: whether it takes a connection."""


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing to look at. `network` are the rules that a tool's address is held to."""

    subject: str
    look: Look
    target: str
    network: Network | None = None

    @property
    def name(self) -> str:
        """What it is called in an observation."""
        return f"{self.look.value} {self.target}"


def aspects(key: Key, spec: Spec) -> Iterator[Aspect]:
    """What a resource relies on in the world."""
    match spec:
        case Secret():
            yield from _secret(str(key), spec)
        case Tool():
            yield from _tool(str(key), spec)
        case McpServer(endpoint=str(url)) | Memory(provider="http", endpoint=str(url)):
            yield Aspect(str(key), Look.ADDRESS, _origin(url), spec.network)
        case McpServer():
            yield from _programs(str(key), [spec.command or "", *spec.args])
        case ModelEndpoint():
            url = spec.base_url or BASE_URLS.get(spec.provider, "")
            if url and spec.provider != "mock":
                yield Aspect(str(key), Look.ADDRESS, _origin(url))


def _tool(subject: str, tool: Tool) -> Iterator[Aspect]:
    if tool.cli is not None and not in_container(tool):
        yield from _programs(subject, [tool.cli.command, *tool.cli.args])
    elif tool.type == "command":
        yield from _programs(subject, tool.command)
    elif tool.endpoint is not None:
        yield from _asked(subject, tool, tool.endpoint)


def _asked(subject: str, tool: Tool, url: str) -> Iterator[Aspect]:
    if tool.type == "grpc":
        secure, host = grpc_place(url)
        url = f"{'https' if secure else 'http'}://{host}"
        yield Aspect(subject, Look.ADDRESS, url, tool.network)
    elif tool.type in ASKED and not url.startswith("{"):
        yield Aspect(subject, Look.ADDRESS, _origin(url), tool.network)


def _programs(subject: str, words: list[str]) -> Iterator[Aspect]:
    # A script counts as much as the interpreter that it is handed to.
    paths = [word for word in words if word.startswith("/") and "{" not in word]
    for path in dict.fromkeys(paths):
        yield Aspect(subject, Look.PROGRAM, path)


def _secret(subject: str, spec: Secret) -> Iterator[Aspect]:
    for name in sorted(set(spec.from_env.values())):
        yield Aspect(subject, Look.VARIABLE, name)
    for name in sorted(set(spec.from_file.values())):
        yield Aspect(subject, Look.FILE, name)
    for name in sorted({SealedEntry.of(text).key_id for text in spec.sealed.values()}):
        yield Aspect(subject, Look.SEALING_KEY, name)


def _origin(url: str) -> str:
    """Scheme, host and port, without what may be a path with a secret in it."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    return f"{scheme}://{authority.rpartition('@')[2]}"
