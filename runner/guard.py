"""The only way from an agent to a model or a tool: decided and durable first, then done.

The decision is the dispatcher's, which holds the rules and the log; a worker asks, waits
until request and decision are durable, and only then acts. What it cannot ask for it does
not do.
"""

import time
from dataclasses import dataclass
from typing import Any

from runner import models, tools
from runner.contract import kinds, seal
from runner.contract.errors import LeaseLost, ModelFailed, ToolFailed
from runner.conversation import Conversation, ModelReply, ToolCall
from runner.link import Link
from runner.manifest_set import ManifestSet, PlacedAgent


@dataclass(frozen=True)
class Guard:
    """Acts for one task under one fence. `secrets` are the values its manifests name."""

    link: Link
    task: str
    fence: int
    manifests: ManifestSet
    secrets: dict[str, str]
    bounds: tools.Bounds

    async def ask_model(
        self, step: int, agent: PlacedAgent, conversation: Conversation
    ) -> ModelReply:
        """The model's reply; ModelFailed, and LeaseLost when the task is not ours any more."""
        key, endpoint, model = self.manifests.endpoint(agent)
        facts = {"step": step, "agent": agent.key.name, "model": model}
        await self._ask(
            "model",
            **facts,
            endpoint=key.name,
            request={"exchanges": len(conversation.exchanges)},
        )
        started = time.monotonic_ns()
        try:
            reply = await models.ask(
                models.Request(
                    endpoint=endpoint,
                    model=model,
                    key=self._secret(endpoint.auth, key.namespace),
                    conversation=conversation,
                    tools=self._offered(agent),
                )
            )
        except ModelFailed as error:
            message = seal.redact(str(error), self.secrets.values())
            self._tell(facts, started, "failed", {"error": message})
            raise ModelFailed(
                message, retryable=error.retryable, retry_after_s=error.retry_after_s
            ) from None
        self._tell(
            facts, started, "executed", reply.to_json(), reply.tokens_in, reply.tokens_out
        )
        return reply

    async def call_tool(self, step: int, agent: PlacedAgent, call: ToolCall) -> dict[str, Any]:
        """The result as the journal keeps it: `content`, `error` or `denied`; LeaseLost."""
        facts = {"step": step, "agent": agent.key.name, "tool": call.tool}
        answer = await self._ask(
            "tool", **facts, request={"call": call.id, "arguments": call.arguments}
        )
        if answer["decision"] != "allow":
            return {"denied": answer["reason"]}
        tool = self.manifests.tool(agent, call.tool)
        assert tool is not None, "the dispatcher allowed a tool that is not in the set"
        started = time.monotonic_ns()
        try:
            content = await tools.call(
                tool.spec,
                call.arguments,
                tools.Call(
                    idempotency_key=f"{self.task}:{step}",
                    secret=self._secret(tool.spec.auth, tool.key.namespace),
                    bounds=self.bounds,
                ),
            )
            result = {"content": seal.redact(content, self.secrets.values())}
        except ToolFailed as error:
            result = {"error": seal.redact(str(error), self.secrets.values())}
        outcome = "failed" if "error" in result else "executed"
        self._tell(facts, started, outcome, result)
        return result

    async def _ask(self, op: str, **message: Any) -> dict[str, Any]:
        answer = await self.link.ask(op, task=self.task, fence=self.fence, **message)
        if answer.get("lost"):
            raise LeaseLost
        return answer

    def _tell(
        self,
        facts: dict[str, Any],
        started_ns: int,
        outcome: str,
        result: dict[str, Any],
        tokens_in: int = 0,
        tokens_out: int = 0,
    ) -> None:
        # Not waited for: the next question travels behind it on the same wire, so its
        # answer means that this is durable too.
        self.link.tell(
            "result",
            task=self.task,
            fence=self.fence,
            **facts,
            outcome=outcome,
            result=result,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            duration_us=(time.monotonic_ns() - started_ns) // 1_000,
        )

    def _secret(self, auth: kinds.base.SecretAuth | None, namespace: str) -> str | None:
        if auth is None:
            return None
        key, entry = auth.secret(namespace)
        return self.secrets.get(f"{key.namespace}/{key.name}:{entry}")

    def _offered(self, agent: PlacedAgent) -> list[models.Offer]:
        offers = []
        for grant in agent.spec.tools:
            tool = self.manifests.tool(agent, grant.name)
            if tool is not None:
                offers.append(
                    models.Offer(grant.name, tool.spec.description, tool.spec.input_schema)
                )
        return offers
