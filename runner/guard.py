"""The only way from an agent to a model or a tool: decided and durable first, then done.

The decision is the dispatcher's, which holds the rules and the log; a worker asks, waits
until request and decision are durable, and only then acts. What it cannot ask for it does
not do.
"""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from runner import builtin_call, mcp_given, model_choice, models, tool_result, tools
from runner.builtin_call import BuiltinCall
from runner.contract import builtin, kinds, seal
from runner.contract.errors import LeaseLost, ModelFailed
from runner.contract.telemetry import log
from runner.conversation import (
    Conversation,
    ModelReply,
    ToolCall,
    charge,
    checked,
    counted,
    reply_from_json,
)
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent, PlacedTool
from runner.masked import masked
from runner.model_choice import Choice
from runner.place import Place, Waits
from runner.tools import Answered, attempts
from runner.tools.attempts import Try
from runner.tools.mcp_sessions import McpSessions
from runner.tools.sources import Source


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
        """The model's reply; ModelFailed, Waits, LeaseLost when the task is ours no more.

        While an endpoint is busy or out of reach, the next is asked, each by the same rules.
        """

        async def ask(number: int, choice: Choice) -> ModelReply:
            return await self._ask_one(place, agent, conversation, choice, number=number)

        def passed(choice: Choice) -> None:
            facts: dict[str, Any] = {"step": place.step, "endpoint": choice.called}
            log("model_fallback", "The next model is asked.", **self._ids, **facts)

        choices = model_choice.choices(self.manifests, agent)
        return await model_choice.first(choices, ask, passed)

    async def _ask_one(
        self,
        place: Place,
        agent: PlacedAgent,
        conversation: Conversation,
        choice: Choice,
        *,
        number: int,
    ) -> ModelReply:
        """The reply of one endpoint; ModelFailed, also when the guard denies it."""
        endpoint, model = choice.endpoint, choice.model
        facts = {"step": place.step, "agent": self.manifests.called(agent), "model": model}
        facts |= {"choice": number} if number else {}
        request = models.Request(
            endpoint=endpoint,
            model=model,
            key=self._secret(endpoint.auth, choice.key.namespace),
            conversation=conversation,
            tools=self._offered(agent),
            schema=agent.spec.execution.output_schema,
        )
        answer = await self._ask(
            "model",
            place,
            **facts,
            endpoint=choice.key.name,
            request={"exchanges": len(conversation.exchanges)},
            # Only the dispatcher knows what is left; only here is what will be sent.
            tokens=models.estimate(request).to_json() if self.manifests.limited else None,
        )
        if answer["decision"] != "allow":
            raise ModelFailed(f"the guard denied the model: {answer['reason']}")
        request = replace(request, output_max=answer.get("output_max"))
        return await self._answered(facts, request)

    async def _answered(self, facts: dict[str, Any], request: models.Request) -> ModelReply:
        """Ask what was allowed, and tell what came of it; ModelFailed."""
        started = time.monotonic_ns()
        reply: ModelReply | None = None
        try:
            reply = await models.ask(request)
            reply = checked(reply)
        except ModelFailed as error:
            raise self._model_failed(facts, started, error, reply) from None
        except Exception as error:  # noqa: BLE001 - its text may hold the key; its name may not.
            unforeseen = ModelFailed(f"internal error ({type(error).__name__})")
            raise self._model_failed(facts, started, unforeseen, reply) from None
        said = masked(reply.to_json(), self.secrets.values())
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
            "tool",
            place,
            **facts,
            request={"call": call.id, "arguments": call.arguments},
            **self._misfit(agent, call),
        )
        if answer["decision"] != "allow":
            log("tool_denied", "The guard denied a tool call.", **self._ids, step=place.step)
            return {"denied": answer["reason"], "code": answer.get("code")}
        started = time.monotonic_ns()
        needs = answer.get("permissions", [])

        async def made(tries: list[Try]) -> Answered:
            return await self._made(place, agent, call, needs, tries)

        became = await tool_result.of(made, self._hidden, {**self._ids, "step": place.step})
        used = ModelReply(None, tokens_in=became.tokens)
        self._tell(facts | became.facts, started, became.outcome, became.result, used)
        return became.result

    async def _made(
        self,
        place: Place,
        agent: PlacedAgent,
        call: ToolCall,
        needs: list[str],
        tries: list[Try],
    ) -> Answered:
        """What an allowed call says; ToolFailed."""
        tool = self.manifests.tool(agent, call.tool)
        assert tool is not None, "the dispatcher allowed a tool that is not in the set"
        if tool.builtin is not None:
            return await builtin_call.answer(self._builtin(place.step, agent, call))
        brought = self._brought(place, agent, tool, tuple(map(_permission, needs)))
        spec, server = mcp_given.server(self.manifests, tool, brought, self._secret)
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
            secret=self._secret(tool.spec.auth, tool.key.namespace),
            bounds=self.bounds,
            hidden=tuple(self.secrets.values()),
            permissions=permissions,
            sources=self._sources(agent.key.namespace, permissions),
            caller=of,
            sessions=self.sessions,
        )

    def _misfit(self, agent: PlacedAgent, call: ToolCall) -> dict[str, Any]:
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
            secret=self._secret,
            link=self.link,
        )

    def _hidden(self, text: str) -> str:
        return seal.redact(text, self.secrets.values())

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

    def tell(self, op: str, **message: Any) -> None:
        """Have written down what asks for nothing; what is asked next is after it."""
        self.link.tell(op, **self._ids, **message)

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
            charge=charge(reply, error),
            duration_us=(time.monotonic_ns() - started_ns) // 1_000,
        )

    def _secret(self, auth: kinds.base.SecretAuth | None, namespace: str) -> str | None:
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
            name: Source(declared[name], self._secret(declared[name].auth, namespace))
            for name in {permission.resource for permission in permissions} & declared.keys()
        }

    def _offered(self, agent: PlacedAgent) -> list[models.Offer]:
        offers = []
        names = [grant.name for grant in agent.spec.tools] + agent.spec.allowed_tools
        names += [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
        for name in dict.fromkeys(names):
            tool = self.manifests.tool(agent, name)
            if tool is not None:
                offers.append(models.Offer(name, tool.spec.description, tool.spec.input_schema))
        return offers


def _permission(text: str) -> kinds.Permission:
    return kinds.Permission.model_validate(text)
