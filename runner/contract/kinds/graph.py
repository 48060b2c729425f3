"""What follows from the shape of a graph: where work begins, who comes before whom. Pure.

`after` maps every agent to those that its output may go to, in the order declared.
"""

from collections.abc import Iterable, Mapping, Sequence

After = Mapping[str, Sequence[str]]


def reached(after: After, starts: Iterable[str], without: str | None = None) -> set[str]:
    """What work can come to from these, themselves included, not passing `without`."""
    found: set[str] = set()
    waiting = [name for name in starts if name != without]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in after.get(name, ()) if other != without]
    return found


def before(after: After, name: str) -> set[str]:
    """Those whose output can come to an agent, over however many others; not itself."""
    return {other for other in after if other != name and name in reached(after, after[other])}


def loops(after: After) -> bool:
    """Whether work can come back to where it has been."""
    return any(name in reached(after, after[name]) for name in after)


def order(after: After, starts: Sequence[str]) -> list[str]:
    """All agents, each behind those before it where a loop does not forbid that."""
    left = dict.fromkeys(after)
    taken: dict[str, None] = {}
    while left:
        free = next((one for one in left if not _waits_for(after, one, left)), None)
        if free is None:
            met = [one for one in left if any(one in after[other] for other in taken)]
            free = next(iter([*met, *(one for one in starts if one in left), *left]))
        del left[free]
        taken[free] = None
    return list(taken)


def _waits_for(after: After, name: str, left: Iterable[str]) -> bool:
    return any(name in after[other] for other in left if other != name)
