"""Events as they come: every new one once, and once more each time that its count grew.

    ids above the last seen ─┐
    the newest of each source ├─> what is new or was counted again, oldest first
    numbers left out so far ─┘

Only the newest event of a repository is ever counted again. Where several write at once a
lower number can become visible after a higher one, so numbers that were left out are asked
for again for a while; those of transactions that failed never come.
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from reconciler.event import events
from reconciler.event.events import EventRecord, EventSeverity

GAP_US: Final = 60_000_000
"""How long a number that was left out is asked for: no transaction is open for so long."""
GAPS_MAX: Final = 1_000
GAPS_AT_START: Final = 100
_PAGE: Final = 1_000
_ORDER: Final = {severity: level for level, severity in enumerate(EventSeverity)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events somebody asked for; `resource` is a key as people write it."""

    source: str | None = None
    resource: str | None = None
    severity: EventSeverity = EventSeverity.INFO

    def fits(self, record: EventRecord) -> bool:
        """Whether an event is one of them."""
        event = record.event
        return (
            self.source in (None, event.source)
            and self.resource in (None, event.resource)
            and _ORDER[event.severity] >= _ORDER[self.severity]
        )


@dataclass(slots=True)
class Stream:
    """What was seen so far: the last number, the counts that may grow, and the gaps."""

    last: int = 0
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)

    def begin(self, connection: Connection, limit: int, now_us: int) -> list[EventRecord]:
        """The newest events, oldest first; what comes after them is new."""
        found = events.read(connection, limit=limit)
        # What is older than these is not asked for, but may be counted again.
        for record in events.newest(connection):
            self.counts[record.event.source] = (record.id, record.count)
        self.last = max((record.id for record in found), default=0)
        lately = range(max(1, self.last - GAPS_AT_START), self.last)
        missing = set(lately) - {record.id for record in found}
        self.gaps = dict.fromkeys(missing, now_us)
        return found

    def more(self, connection: Connection, now_us: int) -> list[EventRecord]:
        """What is new, or was counted again, since the last call; oldest first."""
        again = [number for number, _ in self.counts.values()]
        found = events.after(connection, self.last, [*again, *self.gaps], _PAGE)
        known = {number: count for number, count in self.counts.values()}
        fresh = [record for record in found if known.get(record.id) != record.count]
        for record in fresh:
            self.gaps.pop(record.id, None)
            if record.id > self.last:
                missed = range(max(self.last + 1, record.id - GAPS_MAX), record.id)
                self.gaps.update((number, now_us) for number in missed if self.last)
                self.last = record.id
            newest = self.counts.get(record.event.source, (0, 0))[0]
            if record.id >= newest:
                self.counts[record.event.source] = (record.id, record.count)
        self.gaps = {id: at for id, at in self.gaps.items() if now_us - at < GAP_US}
        return fresh
