"""Which tasks are next: by priority, then in rounds over subjects, then by age.

A flood of one agent takes no more turns than the others want, since each round gives every
subject one task, and what a subject has running counts as turns it has had. Tasks whose
requirements no worker here meets are passed by, a whole lane at a time.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from runner import claim, queue
from runner.claim import Claimable, Offer, Slots
from runner.contract import kinds
from runner.contract.errors import Refused
from runner.contract.kinds import Worker
from runner.contract.kinds.base import DEFAULT_NAMESPACE
from runner.contract.settings import Runner
from runner.contract.submission import PRIORITIES

PASSES_MAX: Final = 4  # Over the line, when other hosts claim at the same moment.
LANES_MAX: Final = 256  # Looked at in one pass; those beyond have their turn in the next.


def offer(runner: Runner, declared: Worker | None = None) -> Offer:
    """What the workers of this host have: as its settings say, else as its Worker declares."""
    given = declared or Worker()
    return Offer(
        region=runner.region or given.region,
        gpu=runner.gpu or given.capabilities.gpu,
        models=frozenset(runner.models or given.capabilities.supported_models),
    )


def declared(connection: Connection, runner: Runner) -> Worker | None:
    """The Worker that is recorded for this host, if there is one that can be read."""
    name = runner.name or os.uname().nodename
    body = connection.exec_driver_sql(
        "SELECT body FROM resource WHERE namespace = ? AND kind = 'Worker' AND name = ?",
        (DEFAULT_NAMESPACE, name),
    ).scalar_one_or_none()
    if body is None:
        return None
    with contextlib.suppress(Refused):  # What another version wrote says nothing here.
        spec = kinds.spec_of("Worker", str(body))
        assert isinstance(spec, Worker)
        return spec
    return None


class Order:
    """The line of pending tasks, on one held connection, as this host may take them."""

    def __init__(self, connection: Connection, offer: Offer) -> None:
        self._connection = connection
        self._offer = offer
        self._tasks_max: int | None = None
        self._after = dict.fromkeys(PRIORITIES.values(), "")

    def look(self, runner: Runner) -> None:
        """Take in what this host's Worker declares by now."""
        found = declared(self._connection, runner)
        self._offer = offer(runner, found)
        self._tasks_max = None if found is None else found.max_concurrent_tasks

    def bound(self, slots: Slots, running: int) -> None:
        """Leave no more slots than this host may run tasks at once."""
        if self._tasks_max is not None:
            slots.leave(self._tasks_max - running)

    def next(self, limit: int, busy: Mapping[str, int]) -> list[Claimable]:
        """Up to `limit` tasks to start; `busy` counts what runs of each subject.

        What the dispatcher of another host is claiming at this moment is passed by.
        """
        found: list[Claimable] = []
        passed: set[str] = set()
        turns = Counter(busy)
        for _ in range(PASSES_MAX):
            wanted = self._heads(limit - len(found), turns, passed)
            free = queue.claimable(self._connection, wanted) if wanted else []
            found += free
            turns.update("/".join(task.subject) for task in free)
            if len(free) == len(wanted):
                break
            passed.update(wanted)
        return found

    def _heads(self, limit: int, busy: Mapping[str, int], passed: set[str]) -> list[str]:
        ids: list[str] = []
        for priority in queue.priorities(self._connection):
            lanes, last = self._lanes(priority, limit + len(passed))
            heads = [
                (lane, [id for id in lane_ids if id not in passed]) for lane, lane_ids in lanes
            ]
            ids += claim.fair(heads, busy, limit - len(ids))
            self._after[priority] = last
            if len(ids) >= limit:
                break
        return ids

    def waiting(self) -> bool:
        """Whether a task waits that a worker here may take."""
        for priority in queue.priorities(self._connection):
            lanes, last = self._lanes(priority, 1)
            if lanes:
                return True  # `next` begins at the same lane, and so finds it too.
            self._after[priority] = last
        return False

    def _lanes(self, priority: int, heads_max: int) -> tuple[list[tuple[str, list[str]]], str]:
        """What fits of the next lanes, and the lane to go on after; empty is the first."""
        after = self._after[priority]
        found = queue.lanes(self._connection, priority, after, LANES_MAX, heads_max)
        if after and not found:
            found = queue.lanes(self._connection, priority, "", LANES_MAX, heads_max)
        fitting = [(lane, ids) for lane, ids in found if self._fits(lane)]
        return fitting, found[-1][0] if len(found) == LANES_MAX else ""

    def _fits(self, lane: str) -> bool:
        requirements = lane.partition(" ")[2]
        return requirements == "{}" or claim.fits(json.loads(requirements), self._offer)
