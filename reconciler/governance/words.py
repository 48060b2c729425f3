"""How findings list and compare things. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from reconciler.governance.finding import Finding
from reconciler.governance.world import Sides
from runner.contract.kinds.base import seconds
from runner.contract.kinds.network import Network

SHOWN_MAX: Final = 3
_HOST: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/?#]*@)?(\[[^\]]*\]|[^/?#:]+)(?::\d+)?", re.I
)


def listed(names: Iterable[object]) -> str:
    """`a, b and c`; of many the first three and a number."""
    words = [str(name) for name in names]
    if len(words) > SHOWN_MAX + 1:
        words = [*words[:SHOWN_MAX], f"{len(words) - SHOWN_MAX} more"]
    *most, last = words or [""]
    return f"{', '.join(most)} and {last}" if most else last


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound that a field declares: the larger, the more is possible; None is no bound."""

    field: str
    pointer: str
    read: Callable[[Any], Any]

    def size(self, spec: Any) -> Any:
        """What can be compared: a duration in seconds."""
        value = self.read(spec)
        return seconds(value) if isinstance(value, str) else value


def moved(sides: Sides, limits: Iterable[Limit], before: Any, after: Any) -> Iterator[Finding]:
    """A finding for each limit that is raised, lowered, set or taken away."""
    for limit in limits:
        old, new = limit.size(before), limit.size(after)
        if old == new:
            continue
        name, was, becomes = sides.key.name, limit.read(before), limit.read(after)
        if new is None:
            words = f"{name} loses its limit {limit.field} (it was {was})"
            yield sides.widens("limit-removed", words)
        elif old is None:
            words = f"{name} gets the limit {limit.field}: {becomes}"
            yield sides.narrows("limit-added", words, limit.pointer)
        elif new > old:
            words = f"{name} has its limit {limit.field} raised from {was} to {becomes}"
            yield sides.widens("limit-raised", words, limit.pointer)
        else:
            words = f"{name} has its limit {limit.field} lowered from {was} to {becomes}"
            yield sides.narrows("limit-lowered", words, limit.pointer)


def added(before: Iterable[Any], after: Iterable[Any]) -> list[Any]:
    """What stands in the second and not in the first, in the second's order."""
    old = list(before)
    return [item for item in after if item not in old]


def connections(sides: Sides, name: str, old: Network, new: Network) -> Iterator[Finding]:
    """A finding for each host and private network that may be reached now, or no more."""
    for field, what in (("hosts", "the host"), ("private", "the private network")):
        had, has = getattr(old, field), getattr(new, field)
        for item in added(had, has):
            sentence = f"{name} may connect to {what} {item}"
            yield sides.widens("network-added", sentence, f"/spec/network/{field}")
        for item in added(has, had):
            sentence = f"{name} may no longer connect to {what} {item}"
            yield sides.narrows("network-removed", sentence, "/spec/network")


def fallbacks(sides: Sides, what: str, had: list[str], has: list[str]) -> Iterator[Finding]:
    """Where else prompts may go, when nobody answers where they belong."""
    for name in added(had, has):
        pointer = f"/spec/fallback_model_refs/{has.index(name)}"
        yield sides.widens("fallback-added", f"{what} may also go to {name}", pointer)
    for name in added(has, had):
        yield sides.narrows("fallback-removed", f"{what} no longer goes to {name}")


def host(url: str | None) -> str | None:
    """The host of an address, without a password that stands in it; None when unclear."""
    found = _HOST.match(url or "")
    return found[1] if found else None
