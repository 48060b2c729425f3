"""The world as it is now against what it was when it was first seen.

The runner looks at it, since its environment, its programs and its network are what agents
meet (`runner/world/`), and leaves what it saw as observations: what a thing was like at first
sight, and what it is like now. Here they become drifts. An observation names its subject and
aspect in words, so that what is observed later, such as the schema of an MCP tool, fits in.
"""

from collections.abc import Iterable, Iterator

from reconciler.drift import settle
from reconciler.drift.drift import WORLD, Drift, DriftKind
from reconciler.drift.settle import Seen, Settled
from runner.contract import observations
from runner.contract.database import Database
from runner.contract.observations import Observation


def drifts(observed: Iterable[Observation]) -> Iterator[Drift]:
    """What is not there, and what is not what it was."""
    for item in observed:
        where = f" on {item.host}" if item.host else ""
        if not item.present:
            sentence = f"{item.aspect}: {item.found}{where}"
            yield Drift(item.subject, DriftKind.UNAVAILABLE, sentence, item.found)
        elif item.found != item.value:
            sentence = (
                f"{item.aspect} was {item.value} when first seen, and is {item.found}{where}"
            )
            yield Drift(item.subject, DriftKind.CHANGED, sentence, item.found)


def settle_world(database: Database, source: str, commit: str | None, now_us: int) -> Settled:
    """Tell what is new about the world, under the name of a repository."""
    with database.read() as connection:
        found = merged(drifts(observations.read(connection)))
    return settle.settle(database, Seen(source, commit, WORLD, found), now_us)


def merged(found: Iterable[Drift]) -> list[Drift]:
    """One drift for each subject and kind: its sentences together."""
    by_place: dict[tuple[str, DriftKind], Drift] = {}
    for item in sorted(found):
        place = (item.subject, item.kind)
        if place in by_place:
            both = by_place[place]
            item = Drift(*place, f"{both.sentence}; {item.sentence}", both.found + item.found)
        by_place[place] = item
    return list(by_place.values())
