"""An MCP server as one call may reach it: what is declared, and the values it is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.contract import kinds
from runner.contract.kinds import Key, McpServer


@dataclass(frozen=True, slots=True)
class Server:
    """A server for the agents of one namespace. `environment` and `secret` are its own alone.

    `hidden` are the secret values that nothing it says may hold.
    """

    key: Key
    spec: McpServer
    namespace: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str | None = field(default=None, repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)

    @property
    def identity(self) -> str:
        """Equal for what may share a process: whoever changes a value gets another one."""
        given = sorted(self.environment.items())
        text = self.spec.model_dump_json(by_alias=True)
        return kinds.digest(repr((self.key, self.namespace, text, given, self.secret)))
