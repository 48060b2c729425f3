"""The only way from an agent to a model or a tool: decided and durable first, then done.

The decision is the dispatcher's, which holds the rules and the log; a worker asks, waits
until request and decision are durable, and only then acts. What it cannot ask for it does
not do.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from runner import builtin_call, models, tools
from runner.builtin_call import BuiltinCall
from runner.contract import builtin, kinds, seal
from runner.contract.errors import LeaseLost, ModelFailed, ToolDenied, ToolFailed
from runner.contract.telemetry import log
from runner.conversation import (
    Conversation,
    ModelReply,
    ToolCall,
    checked,
    counted,
    reply_from_json,
)
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent, PlacedTool
from runner.tools import Answered
from runner.tools.mcp_server import Server
from runner.tools.mcp_sessions import McpSessions
from runner.tools.sources import Source
from runner.workflow import Visit


class Waits(Exception):
    """The call must wait for people or for room, and other agents of the task still work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its task a call stands; `alone`: no other agent of the task works now."""

    step: int
    visit: int = 1
    alone: bool = True


@dataclass(frozen=True)
class Guard:
    """Acts for one task under one fence. `secrets` are the values its manifests name."""

    link: Link
    task: str
    fence: int
    manifests: ManifestSet
    secrets: dict[str, str]
    bounds: tools.Bounds
    sessions: McpSessions = field(default_factory=McpSessions)

    async def ask_model(
        self, place: Place, agent: PlacedAgent, conversation: Conversation
    ) -> ModelReply:
        """The model's reply; ModelFailed, Waits, LeaseLost when the task is ours no more."""
        key, endpoint, model = self.manifests.endpoint(agent)
        facts = {"step": place.step, "agent": self.manifests.called(agent), "model": model}
        request = models.Request(
            endpoint=endpoint,
            model=model,
            key=self._secret(endpoint.auth, key.namespace),
            conversation=conversation,
            tools=self._offered(agent),
        )
        answer = await self._ask(
            "model",
            place,
            **facts,
            endpoint=key.name,
            request={"exchanges": len(conversation.exchanges)},
            # Only the dispatcher knows what is left; only here is what will be sent.
            tokens=models.estimate(request).to_json() if self.manifests.limited else None,
        )
        if answer["decision"] != "allow":
            raise ModelFailed(f"the guard denied the model: {answer['reason']}")
        started = time.monotonic_ns()
        reply: ModelReply | None = None
        try:
            reply = await models.ask(replace(request, output_max=answer.get("output_max")))
            reply = checked(reply)
        except ModelFailed as error:
            raise self._model_failed(facts, started, error, reply) from None
        except Exception as error:  # noqa: BLE001 - its text may hold the key; its name may not.
            unforeseen = ModelFailed(f"internal error ({type(error).__name__})")
            raise self._model_failed(facts, started, unforeseen, reply) from None
        said = self._redacted(reply.to_json())
        self._tell(facts, started, "executed", said, reply)
        return reply_from_json(said)

    def _model_failed(
        self, facts: dict[str, Any], started: int, error: ModelFailed, reply: ModelReply | None
    ) -> ModelFailed:
        message = seal.redact(str(error), self.secrets.values())
        # An answer that cannot be worked with was paid for all the same.
        usage = None if reply is None else counted(reply)
        self._tell(facts, started, "failed", {"error": message}, usage, error=error)
        return ModelFailed(
            message, retryable=error.retryable, retry_after_s=error.retry_after_s
        )

    async def call_tool(
        self, place: Place, agent: PlacedAgent, call: ToolCall
    ) -> dict[str, Any]:
        """The result as the journal keeps it: content, error or denied; Waits, LeaseLost."""
        facts = {"step": place.step, "agent": self.manifests.called(agent), "tool": call.tool}
        answer = await self._ask(
            "tool", place, **facts, request={"call": call.id, "arguments": call.arguments}
        )
        if answer["decision"] != "allow":
            log("tool_denied", "The guard denied a tool call.", **self._ids, step=place.step)
            return {"denied": answer["reason"]}
        tool = self.manifests.tool(agent, call.tool)
        assert tool is not None, "the dispatcher allowed a tool that is not in the set"
        started = time.monotonic_ns()
        isolation, used = None, None
        try:
            answered = await self._made(place, agent, call, tool, answer)
            isolation = answered.isolation
            used = ModelReply(None, tokens_in=answered.tokens, usage=answered.counted)
            result = {"content": seal.redact(answered.text, self.secrets.values())}
        except ToolDenied as error:
            log("tool_denied", "A tool is not what was pinned.", **self._ids, step=place.step)
            result = {"denied": seal.redact(str(error), self.secrets.values())}
        except ToolFailed as error:
            isolation = error.isolation
            result = {"error": seal.redact(str(error), self.secrets.values())}
        except Exception as error:  # noqa: BLE001 - a tool's bug is an answer, and is logged.
            name = type(error).__name__  # Its text may hold arguments or a secret.
            log("tool_failed", "A tool met an error nobody foresaw.", **self._ids, error=name)
            result = {"error": f"internal error ({name})"}
        outcome = "executed" if "content" in result else "failed"
        # Why a call that was allowed was not made after all belongs into the log for ever.
        seen = {"isolation": isolation, "reason": result.get("denied")}
        self._tell(facts | seen, started, outcome, result, used)
        return result

    async def _made(
        self,
        place: Place,
        agent: PlacedAgent,
        call: ToolCall,
        tool: PlacedTool,
        allowed: dict[str, Any],
    ) -> Answered:
        """What an allowed call says; ToolFailed."""
        if tool.builtin is not None:
            return await builtin_call.answer(self._builtin(place.step, agent, call))
        named = allowed.get("permissions", [])
        permissions = tuple(map(kinds.Permission.model_validate, named))
        return await tools.call(
            tool.spec,
            call.arguments,
            tools.Call(
                idempotency_key=f"{self.task}:{place.step}",
                secret=self._secret(tool.spec.auth, tool.key.namespace),
                bounds=self.bounds,
                hidden=tuple(self.secrets.values()),
                permissions=permissions,
                sources=self._sources(agent.key.namespace, permissions),
                server=self._server(agent, tool),
                sessions=self.sessions,
            ),
        )

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
            secret=self._secret,
            link=self.link,
        )

    @property
    def _ids(self) -> dict[str, Any]:
        return {"task": self.task, "fence": self.fence}

    async def _ask(self, op: str, place: Place, **message: Any) -> dict[str, Any]:
        where = {"visit": place.visit, "alone": place.alone}
        answer = await self.link.ask(op, **self._ids, **where, **message)
        if answer.get("lost"):
            raise LeaseLost
        if answer["decision"] == "wait":
            raise Waits
        return answer

    def tell_visit(self, visit: Visit) -> None:
        """Have it written down that a visit began or ended; what is asked next is after it."""
        self.link.tell("visit", **self._ids, visit=visit.to_json())

    def _tell(
        self,
        facts: dict[str, Any],
        started_ns: int,
        outcome: str,
        result: dict[str, Any],
        reply: ModelReply | None = None,
        *,
        error: ModelFailed | None = None,
    ) -> None:
        # Not waited for: the next question travels behind it on the same wire, so its
        # answer means that this is durable too.
        self.link.tell(
            "result",
            **self._ids,
            **facts,
            outcome=outcome,
            result=result,
            tokens_in=0 if reply is None else reply.tokens_in,
            tokens_out=0 if reply is None else reply.tokens_out,
            charge=_charge(reply, error),
            duration_us=(time.monotonic_ns() - started_ns) // 1_000,
        )

    def _redacted(self, value: Any) -> Any:
        """A JSON value without any secret in it, in case an endpoint echoes what it is sent.

        Half of a surrogate pair, which cannot be stored, becomes the `?` that is stored: a
        tool is given what the log says, and nothing else.
        """
        if isinstance(value, str):
            storable = value.encode("utf-8", "replace").decode()
            return seal.redact(storable, self.secrets.values())
        if isinstance(value, int | float) and not isinstance(value, bool):
            digits = str(value)
            masked = seal.redact(digits, self.secrets.values())
            return value if masked == digits else masked
        if isinstance(value, dict):
            return {self._redacted(key): self._redacted(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._redacted(item) for item in value]
        return value

    def _secret(self, auth: kinds.base.SecretAuth | None, namespace: str) -> str | None:
        if auth is None:
            return None
        key, entry = auth.secret(namespace)
        if not self.manifests.serves(key, namespace):
            return None
        return self.secrets.get(f"{key.namespace}/{key.name}:{entry}")

    def _sources(
        self, namespace: str, permissions: tuple[kinds.Permission, ...]
    ) -> dict[str, Source]:
        """The data sources that the permissions name, as the agent's namespace knows them."""
        declared = self.manifests.data_sources(namespace) if permissions else {}
        return {
            name: Source(declared[name], self._secret(declared[name].auth, namespace))
            for name in {permission.resource for permission in permissions} & declared.keys()
        }

    def _server(self, agent: PlacedAgent, tool: PlacedTool) -> Server | None:
        """The MCP server of a tool, with the values that its manifest names; ToolFailed."""
        found = self.manifests.mcp_server(tool)
        if found is None:
            return None
        key, spec = found
        environment = {}
        for variable in spec.env:
            auth = variable.auth
            value = variable.value if auth is None else self._secret(auth, key.namespace)
            if value is None:
                raise ToolFailed(f"the Secret of {variable.name} has no value here for {key}")
            environment[variable.name] = value
        secret = self._secret(spec.auth, key.namespace)
        if spec.auth is not None and secret is None:
            raise ToolFailed(f"the Secret of spec.auth has no value here for {key}")
        hidden = tuple(self.secrets.values())
        return Server(key, spec, agent.key.namespace, environment, secret, hidden)

    def _offered(self, agent: PlacedAgent) -> list[models.Offer]:
        offers = []
        own = [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
        for name in dict.fromkeys([*(grant.name for grant in agent.spec.tools), *own]):
            tool = self.manifests.tool(agent, name)
            if tool is not None:
                offers.append(models.Offer(name, tool.spec.description, tool.spec.input_schema))
        return offers


def _charge(reply: ModelReply | None, error: ModelFailed | None) -> str:
    """How a call is settled: by what the endpoint counted, for nothing, or as reserved."""
    if reply is not None and reply.usage:
        return "usage"
    return "nothing" if error is not None and error.untouched else "estimate"
