"""The only way from an agent to a model or a tool: decided and durable first, then done.

The decision is the dispatcher's, which holds the rules and the log; a worker asks, waits
until request and decision are durable, and only then acts. What it cannot ask for it does
not do.
"""

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from runner import model_choice, models, tool_result, tools
from runner.carrier import Carrier
from runner.contract import builtin, masking, seal
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
from runner.evaluation import STUBBED, Handling
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent
from runner.model_choice import Choice
from runner.place import Place, Review, Waits
from runner.tools import Answered
from runner.tools.attempts import Try
from runner.tools.mcp_sessions import McpSessions


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

    @cached_property
    def _carrier(self) -> Carrier:
        return Carrier(
            link=self.link,
            task=self.task,
            fence=self.fence,
            manifests=self.manifests,
            secrets=self.secrets,
            bounds=self.bounds,
            sessions=self.sessions,
        )

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
            key=self._carrier.secret(endpoint.auth, choice.key.namespace),
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
        said = masking.redact_json(reply.to_json(), self.secrets.values())
        self._tell(facts, started, "executed", said, reply)
        return reply_from_json(said)

    def _model_failed(
        self, facts: dict[str, Any], started: int, error: ModelFailed, reply: ModelReply | None
    ) -> ModelFailed:
        message = self._masked(str(error))
        # An answer that cannot be worked with was paid for all the same.
        usage = None if reply is None else counted(reply)
        self._tell(facts, started, "failed", {"error": message}, usage, error=error)
        return ModelFailed(
            message, retryable=error.retryable, retry_after_s=error.retry_after_s
        )

    async def ask_review(
        self, place: Place, agent: PlacedAgent, review: Review
    ) -> dict[str, Any]:
        """What people said of an output: `decision` and `reason`; Waits, LeaseLost."""
        who = self.manifests.called(agent)
        return await self._ask("review", place, step=place.step, agent=who, **review.to_json())

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
            **self._carrier.misfit(agent, call),
        )
        if answer["decision"] != "allow":
            log("tool_denied", "The guard denied a tool call.", **self._ids, step=place.step)
            return {"denied": answer["reason"], "code": answer["code"]}
        started = time.monotonic_ns()
        if (instead := self._instead(agent, call)) is not None:
            self._tell(facts | {"isolation": STUBBED}, started, "executed", instead)
            return instead
        needs = answer.get("permissions", [])

        async def made(tries: list[Try]) -> Answered:
            return await self._carrier.made(place, agent, call, needs, tries)

        became = await tool_result.of(made, self._masked, {**self._ids, "step": place.step})
        used = ModelReply(None, tokens_in=became.tokens)
        self._tell(facts | became.facts, started, became.outcome, became.result, used)
        return became.result

    def _instead(self, agent: PlacedAgent, call: ToolCall) -> dict[str, Any] | None:
        """What an evaluation answers in place of a tool; None when the tool is called."""
        if self.manifests.evaluation is None:
            return None
        tool = self.manifests.tool(agent, call.tool)
        spec = None if tool is None else tool.spec
        ruling = self.manifests.evaluation.ruling(call.tool, spec, call.arguments)
        if ruling.handling is Handling.REAL:
            return None
        # The dispatcher denied what no stub answers; this holds should it ever not have.
        return {"denied": ruling.reason} if ruling.result is None else dict(ruling.result)

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

    def _masked(self, text: str) -> str:
        return seal.redact(text, self.secrets.values())

    def _offered(self, agent: PlacedAgent) -> list[models.Offer]:
        offers = []
        names = [grant.name for grant in agent.spec.tools] + agent.spec.allowed_tools
        names += [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
        for name in dict.fromkeys(names):
            tool = self.manifests.tool(agent, name)
            if tool is not None:
                offers.append(models.Offer(name, tool.spec.description, tool.spec.input_schema))
        return offers
