"""What a rule of the gate gets to see."""

from dataclasses import dataclass

from reconciler.change import Plan
from reconciler.override import Override
from runner.contract.source_settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """A plan, the settings of its repository, and what people let pass in its commit.

    `now_us` is microseconds UTC.
    """

    plan: Plan
    settings: Source
    overrides: tuple[Override, ...] = ()
    now_us: int
