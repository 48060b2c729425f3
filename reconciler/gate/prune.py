"""How much one commit may delete without naming it: the prune budget. Pure.

What is deleted is weighed against what its repository had recorded. A resource that a person
named does not count, and one that is only called or placed otherwise is not deleted. After a
change of settings nothing is too small to be weighed: a wrong folder deletes by mistake.
"""

from collections.abc import Iterator
from typing import Final

from reconciler.change import Action, Block
from reconciler.gate.request import GateRequest

FEW: Final = 10
"""So many may always go: a percentage of a handful of resources says nothing."""
_SHOWN: Final = 3


def blocks(request: GateRequest) -> Iterator[Block]:
    """The block of a plan that deletes more than its repository allows."""
    planned, settings = request.plan, request.settings
    if not planned.counts.get(Action.DELETE):
        return
    gone = [str(one.key) for one in planned.changes if one.action is Action.DELETE]
    unnamed = [key for key in gone if key not in request.named]
    before = planned.unchanged + sum(
        one.before is not None and one.before.owner == planned.target.owner
        for one in planned.changes
    )
    few = 0 if request.anew else FEW
    percent = settings.prune_max_percent
    if 0 < settings.prune_max < len(unnamed):
        limit = f"{settings.prune_max} may go unnamed (source.prune_max)"
    elif few < len(unnamed) and len(unnamed) * 100 > percent * before:
        limit = f"{percent} % may go unnamed (source.prune_max_percent)"
    else:
        return
    yield Block("PruneBudget", _sentence(request, unnamed, before, limit))


def _sentence(request: GateRequest, unnamed: list[str], before: int, limit: str) -> str:
    what = "with the settings as they are now, this commit" if request.anew else "this commit"
    share = len(unnamed) * 100 // before
    shown = ", ".join(unnamed[:_SHOWN])
    if (more := len(unnamed) - _SHOWN) > 0:
        shown += f" and {more} more"
    small = "mend the settings" if request.anew else _SMALLER
    return (
        f"{what} deletes {len(unnamed)} of {before} resources unnamed ({share} %), and"
        f" {limit}: {shown}; {small}, or let each go by name:"
        f" {request.consent(unnamed[0])}"
    )


_SMALLER: Final = "delete fewer in a commit, and push the next when it is applied"
