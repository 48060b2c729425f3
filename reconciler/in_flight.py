"""What is asked for tasks in flight when a resource they work under changes. Pure.

The manifest that stays says it: the new one of a change, the recorded one of a deletion. A
change of labels or annotations, of the file or of the owner changes nothing for a task.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from reconciler.change import Change
from reconciler.impact import InFlight
from runner.contract.kinds import Key
from runner.contract.kinds.annotations import DRAIN_TIMEOUT, IN_FLIGHT, annotations
from runner.contract.kinds.base import seconds

DRAIN_TIMEOUT_DEFAULT: Final = "10m"
_ENDING: Final = frozenset({InFlight.CANCEL.value, InFlight.DRAIN.value})


class Cancel(Protocol):
    """Ends tasks in the caller's transaction, as `orloj cancel` does."""

    def __call__(
        self,
        connection: Connection,
        ids: Sequence[str],
        *,
        actor: str,
        now_us: int,
        because: str = "",
    ) -> object:
        """Cancel tasks that are not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A change that waits for tasks in flight, `until_us` at the latest."""

    key: Key
    tasks: tuple[str, ...]
    since_us: int
    until_us: int


def policy(change: Change) -> InFlight:
    """What becomes of the tasks in flight under the changed resource."""
    side = change.after or change.before
    assert side is not None
    wanted = annotations(side.body).get(IN_FLIGHT)
    # Another version's word for it is none that we know; tasks that finish harm least.
    if wanted not in _ENDING or not _felt(change):
        return InFlight.CONTINUE
    return InFlight(wanted)


def asking(changes: Iterable[Change], wanted: InFlight) -> list[Change]:
    """The changes that ask for this."""
    return [change for change in changes if policy(change) is wanted]


def drain_us(change: Change) -> int:
    """How long a drained change waits at most."""
    side = change.after or change.before
    assert side is not None
    text = annotations(side.body).get(DRAIN_TIMEOUT, DRAIN_TIMEOUT_DEFAULT)
    return int(seconds(text) * 1_000_000)


def _felt(change: Change) -> bool:
    """Whether a task that works under the resource could tell the difference."""
    if change.before is None or not change.respecified:
        return False
    if change.after is None:
        return True
    before, after = json.loads(change.before.body), json.loads(change.after.body)
    return bool(before["spec"] != after["spec"])
