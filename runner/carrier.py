"""Carries out a tool call that was decided on: with what it may have, and nothing else.

allowed ──> its own secret, bounds, sources ──> tried as its manifest says ──> the result
"""

from dataclasses import dataclass, replace
from typing import Any

from runner import builtin_call, mcp_given, tools
from runner.builtin_call import BuiltinCall
from runner.contract import builtin, kinds
from runner.conversation import ToolCall
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent, PlacedTool
from runner.place import Place
from runner.tools import Answered, attempts
from runner.tools.attempts import Try
from runner.tools.mcp_sessions import McpSessions
from runner.tools.sources import Source


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """For one task under one fence. `secrets` are the values its manifests name."""

    link: Link
    task: str
    fence: int
    manifests: ManifestSet
    secrets: dict[str, str]
    bounds: tools.Bounds
    sessions: McpSessions

    async def made(
        self,
        place: Place,
        agent: PlacedAgent,
        call: ToolCall,
        needs: list[str],
        tries: list[Try],
    ) -> Answered:
        """What an allowed call says; ToolFailed, LeaseLost between two tries."""
        tool = self.manifests.tool(agent, call.tool)
        assert tool is not None, "the dispatcher allowed a tool that is not in the set"
        if tool.builtin is not None:
            return await builtin_call.answer(self._builtin(place.step, agent, call))
        brought = self._brought(place, agent, tool, tuple(map(_permission, needs)))
        spec, server = mcp_given.server(self.manifests, tool, brought, self.secret)
        brought = replace(brought, server=server)
        return await attempts.made(spec, call.arguments, brought, tries, self.link.trusted)

    def _brought(
        self,
        place: Place,
        agent: PlacedAgent,
        tool: PlacedTool,
        permissions: tuple[kinds.Permission, ...],
    ) -> tools.Call:
        of = tools.Caller(self.task, agent.key.namespace, agent.key.name, tool.key.name)
        return tools.Call(
            idempotency_key=f"{self.task}:{place.step}",
            secret=self.secret(tool.spec.auth, tool.key.namespace),
            bounds=self.bounds,
            hidden=tuple(self.secrets.values()),
            permissions=permissions,
            sources=self._sources(agent.key.namespace, permissions),
            caller=of,
            sessions=self.sessions,
        )

    def misfit(self, agent: PlacedAgent, call: ToolCall) -> dict[str, Any]:
        """Why a tool that was offered does not take these arguments, as the dispatcher is told.

        Looked at here, where a look that takes long holds up no other task's decision. What
        was not offered is for the dispatcher alone to refuse.
        """
        own = [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
        offered = {one.name for one in agent.spec.tools}
        if call.tool not in {*offered, *agent.spec.allowed_tools, *own}:
            return {}
        tool = self.manifests.tool(agent, call.tool)
        found = None if tool is None else tools.misfit(tool.spec, call.arguments)
        return {} if found is None else {"misfit": found}

    def _builtin(self, step: int, agent: PlacedAgent, call: ToolCall) -> BuiltinCall:
        return BuiltinCall(
            tool=call.tool,
            arguments=call.arguments,
            task=self.task,
            fence=self.fence,
            step=step,
            agent=agent,
            manifests=self.manifests,
            bounds=self.bounds,
            hidden=tuple(self.secrets.values()),
            secret=self.secret,
            link=self.link,
        )

    def secret(self, auth: kinds.base.SecretAuth | None, namespace: str) -> str | None:
        """What a resource of a namespace proves itself by; None when it has no value here."""
        if auth is None:
            return None
        if not self.manifests.serves(auth.secret(namespace)[0], namespace):
            return None
        return auth.value(namespace, self.secrets)

    def _sources(
        self, namespace: str, permissions: tuple[kinds.Permission, ...]
    ) -> dict[str, Source]:
        """The data sources that the permissions name, as the agent's namespace knows them."""
        declared = self.manifests.data_sources(namespace) if permissions else {}
        return {
            name: Source(declared[name], self.secret(declared[name].auth, namespace))
            for name in {permission.resource for permission in permissions} & declared.keys()
        }


def _permission(text: str) -> kinds.Permission:
    return kinds.Permission.model_validate(text)
