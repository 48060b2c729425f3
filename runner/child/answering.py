"""Answers the `orloj.task.*` tools, in the worker: asks the dispatcher, who holds the rows."""

from runner.builtin_call import BuiltinCall
from runner.contract.errors import LeaseLost, ToolFailed
from runner.tools import Answered


async def answer(call: BuiltinCall) -> Answered:
    """What became of the call that was allowed; ToolFailed, LeaseLost."""
    said = await call.link.ask("child", task=call.task, fence=call.fence, step=call.step)
    if said.get("lost"):
        raise LeaseLost
    if "error" in said:
        raise ToolFailed(said["error"])
    return Answered(said["content"])
