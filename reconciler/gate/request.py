"""What a rule of the gate gets to see."""

from dataclasses import dataclass
from functools import cached_property

from reconciler.change import Plan
from reconciler.in_flight import Awaited
from reconciler.override import Override, OverrideKind
from runner.contract.settings import DEFAULT_SOURCE
from runner.contract.source_settings import Source


@dataclass(frozen=True, kw_only=True)
class GateRequest:
    """A plan, the settings of its repository, and what people let pass in its commit.

    `now_us` is microseconds UTC. `anew`: the settings changed since something was applied,
    so that what is declared may be of another repository or folder altogether.
    `awaited` are the changes that wait for tasks in flight.
    """

    plan: Plan
    settings: Source
    overrides: tuple[Override, ...] = ()
    now_us: int
    anew: bool = False
    awaited: tuple[Awaited, ...] = ()

    @cached_property
    def named(self) -> frozenset[str]:
        """The keys of the resources that a person let go by name."""
        return frozenset(
            item.subject for item in self.overrides if item.kind is OverrideKind.DESTROY
        )

    def consent(self, key: str) -> str:
        """The command that lets a resource go by name."""
        source = self.plan.target.source
        which = "" if source in ("", DEFAULT_SOURCE) else f" {source}"
        return f"orloj reconcile{which} --allow-destroy {key} --reason TEXT"
