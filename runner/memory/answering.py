"""Answers the `memory.*` tools."""

from runner.builtin_call import BuiltinCall
from runner.contract.errors import ToolFailed
from runner.tools import Answered


async def answer(call: BuiltinCall) -> Answered:
    """What memory says; ToolFailed."""
    raise ToolFailed(f"{call.tool} cannot be answered yet")
