"""Whatever happens in whatever order, the promises of the runner hold after every event.

A seed makes a world: one host or several over one database; workers that crash, oversleep
and come back late; dispatchers that sleep, die and start again; transactions that are slow,
fail, or end without an answer; clocks that are set by hours; machines that restart; people
who cancel, retry, resolve and drop. The ledger, the queue, the journal and the decisions are
the real ones. In one world of five the dispatcher's real writer carries out its turns; in the
others nothing but the fence stands against writes that come late. A failing seed is in the
message, and `python tests/simulation SEED` tells its whole story again.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from play import play
from promises import ENTRY_OF

pytestmark = pytest.mark.timeout(300)  # On a machine with much else to do.

WORLDS = 2_500
SHARDS = 10
EACH = WORLDS // SHARDS
LINE_STARTS = 13  # After the time.
NOT_AWAITED = {
    "dead unknown_outcome",  # A task with an open call is parked, and not given up.
    "dropped unknown_outcome",  # Too seldom for a few worlds.
}
MISFORTUNES = {
    "rescued",
    "refused",
    "leaves",
    "is killed by its task",
    "is taken for dead",
    "found out",
    "the database was slow",
    "the write failed",
    "the server's clock is set",
    "the wall clock is set, in hours",
    "the machine restarts",
    "the dispatcher sleeps",
}


@pytest.mark.parametrize(
    "shard", range(SHARDS), ids=lambda n: f"{n * EACH}-{n * EACH + EACH - 1}"
)
def test_no_world_breaks_a_promise(shard: int) -> None:
    for seed in range(shard * EACH, shard * EACH + EACH):
        play(seed)


def test_a_seed_tells_the_same_story_every_time() -> None:
    for seed in (11, 12, 13):
        told = list(play(seed).told())
        assert told == list(play(seed).told())
        another = subprocess.run(
            [sys.executable, str(Path(__file__).parent), str(seed)],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert another.stdout.splitlines()[:-1] == told


def test_the_worlds_see_all_that_may_happen() -> None:
    """Every move that a task may make is made in some world, and every misfortune comes."""
    met: set[str] = set()
    for seed in range(WORLDS, WORLDS + 250):
        for line in play(seed).told():
            what, _, who = line[LINE_STARTS:].partition(": ")
            met.add(" ".join(who.split()[1:3]) if what == "moved" else what)
    awaited = MISFORTUNES | {" ".join(move) for move in ENTRY_OF} - NOT_AWAITED
    assert awaited <= met, f"never seen: {sorted(awaited - met)}"
