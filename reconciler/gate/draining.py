"""A change that drains waits until the tasks in flight under it are over, or too long. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.change import Block
from reconciler.gate.request import GateRequest
from runner.contract import clock

LOOK_AGAIN_US: Final = 2_000_000
"""When to see again whether they are over."""


def blocks(request: GateRequest) -> Iterator[Block]:
    """A block for each change that still waits; it goes away by itself."""
    for wait in request.awaited:
        if request.now_us < wait.until_us:
            count = len(wait.tasks)
            those = "1 task" if count == 1 else f"{count} tasks"
            yield Block(
                "Draining",
                f"{wait.key} is drained: the commit waits for {those} in flight under it, until"
                f" {_second(wait.until_us)} at the latest; not to wait for one:"
                f" orloj cancel {wait.tasks[0]}",
                until_us=min(request.now_us + LOOK_AGAIN_US, wait.until_us),
            )


def _second(at_us: int) -> str:
    """`2026-11-23 03:00:12 UTC`."""
    return f"{clock.iso(at_us)[:19].replace('T', ' ')} UTC"
