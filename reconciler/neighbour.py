"""What other repositories need of one whose commit deletes it.

A repository that is followed must not lose what it stands on because a team elsewhere cleans
up: such a commit waits until the other repository no longer needs it, or a person lets the
deletion pass. What a repository left behind that is not followed any more holds nobody up.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from reconciler import recorded
from reconciler.change import Action, Block, Change
from reconciler.override import Override, OverrideKind

REASON: Final = "NeededElsewhere"


def needed(
    connection: Connection,
    neighbours: Collection[str],
    changes: Iterable[Change],
    overrides: Sequence[Override],
) -> tuple[Block, ...]:
    """Why what is deleted may not go: who of the neighbours needs it, and where."""
    allowed = {item.subject for item in overrides if item.kind is OverrideKind.DESTROY}
    gone = {
        change.standing
        for change in changes
        if change.action in (Action.DELETE, Action.MOVE)
        if str(change.standing) not in allowed
    }
    if not gone:
        return ()
    return tuple(
        Block(
            REASON,
            f"{target} is deleted, and {key} of {owner} needs it ({path}:{line}): take it out"
            f" there first, or let it pass with --allow-destroy {target}",
        )
        for owner in sorted(neighbours)
        for key, path, line, target in sorted(recorded.dependents(connection, owner, gone))
    )
