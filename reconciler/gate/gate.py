"""Every rule that a plan of a repository has to pass, in one list."""

from collections.abc import Callable, Iterable
from typing import Final

from reconciler.change import Block
from reconciler.gate import approval, draining, freeze, protection, prune, rewrite
from reconciler.gate.request import GateRequest

Rule = Callable[[GateRequest], Iterable[Block]]

RULES: Final[tuple[Rule, ...]] = (
    rewrite.rewritten,
    protection.blocks,
    prune.blocks,
    freeze.blocks,
    approval.rule,
    draining.blocks,
)


def blocks(request: GateRequest) -> tuple[Block, ...]:
    """Why the plan may not be applied now; nothing when it may."""
    return tuple(block for rule in RULES for block in rule(request))
