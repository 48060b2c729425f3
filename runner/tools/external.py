"""Tools of type `external`: the whole envelope of tool contract v1 there, and one back."""

from functools import partial
from typing import Any

from runner.contract import seal
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Answered, Call, authorization, egress, envelope, exchange, redirect
from runner.tools.authorization import Proof
from runner.tools.envelope import Pending
from runner.tools.exchange import Reply
from runner.tools.redirect import Question


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """The output in the answer; ToolFailed when the tool says or does anything else."""
    return await authorization.proved(tool, call, partial(_asked, tool, arguments, call))


async def _asked(tool: Tool, arguments: dict[str, Any], call: Call, proof: Proof) -> Answered:
    reply = await submitted(tool, arguments, call, proof)
    said = read(tool, reply, call, proof)
    if isinstance(said, Pending):
        raise ToolFailed(
            "the tool is not done yet, and type external waits for no second answer; write"
            " webhook-callback for a tool that answers late"
        )
    return Answered(said, hidden=proof.hidden)


async def submitted(tool: Tool, arguments: dict[str, Any], call: Call, proof: Proof) -> Reply:
    """The first answer to an envelope; ToolFailed when there is none."""
    assert tool.endpoint is not None
    question = Question(
        method="POST",
        url=tool.endpoint,
        headers={"Content-Type": "application/json", **headers(call)},
        authorization=proof.headers,
        body=envelope.request(tool, arguments, call),
    )
    return await asked(tool, question, call, proof)


async def asked(tool: Tool, question: Question, call: Call, proof: Proof) -> Reply:
    """The answer to a question of a tool that speaks in envelopes; ToolFailed."""
    return await exchange.ask(
        egress.reach(tool.endpoint, tool.network),
        question,
        place=redirect.shown(question.url),
        follow=bool(tool.network.redirects),
        bytes_max=call.bounds.output_bytes_max
        + envelope.OVERHEAD_BYTES
        + seal.longest(proof.hidden),
    )


def headers(call: Call) -> dict[str, str]:
    """What every question to such a tool carries."""
    return {
        "Accept-Encoding": "identity",
        "Idempotency-Key": call.idempotency_key,
        envelope.HEADER: envelope.VERSION,
    }


def read(tool: Tool, reply: Reply, call: Call, proof: Proof) -> str | Pending:
    """What an answer says, or that the tool is not done; ToolFailed."""
    assert tool.endpoint is not None
    if not reply.success:
        if reply.status not in exchange.PLAIN:
            envelope.loose(reply.text, call, proof.hidden)  # Its own words, if it has some.
        raise exchange.failure(redirect.shown(tool.endpoint), reply, proof.hidden)
    if reply.cut:
        raise ToolFailed(
            f"the tool's answer is longer than {call.bounds.output_bytes_max} bytes"
            " (tools.output_bytes_max)"
        )
    return envelope.answer(reply.text, call, proof.hidden)
