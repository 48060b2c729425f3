"""Which entries a period is, and which signed checkpoint proves that these are all of it.

    times ──> first..last ──> with a neighbour on each side ──> smallest checkpoint over them

The neighbours show that nothing was left out: their times lie outside. The one after the
period is there before anything is exported, so that entries to come change nothing of it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys
from reconciler.proof.checkpoint import Checkpoint
from runner.contract import audit, clock, errors

_FROM = "SELECT seq FROM audit_entry WHERE time >= ? ORDER BY seq LIMIT 1"
_UNTIL = "SELECT seq FROM audit_entry WHERE time < ? ORDER BY seq DESC LIMIT 1"
_TIME = "SELECT time FROM audit_entry WHERE seq = ?"


@dataclass(frozen=True, slots=True)
class Period:
    """The entries of a time, and those beside them; see `Scope`.

    `head_first` and `head_last` are those of the neighbours where there are some.
    """

    log: str
    since_us: int
    until_us: int
    first: int
    last: int
    head_first: int
    head_last: int

    @property
    def closed(self) -> bool:
        """Whether an entry after it is there, so that none can be added to it."""
        return self.head_last > self.last

    @property
    def title(self) -> str:
        """The name of the folder of its export."""
        log = self.log.replace("/", "-")
        times = (clock.compact(at_us) for at_us in (self.since_us, self.until_us))
        return f"audit-{log}-{'-'.join(times)}"


@dataclass(frozen=True, slots=True)
class Covered:
    """A period, and the smallest signed checkpoint that all of it is part of."""

    period: Period
    checkpoint: Checkpoint
    note: str


def find(connection: Connection, since_us: int | None, until_us: int) -> Period:
    """The entries of a period, without a beginning from the first one on; Refused."""
    end = audit.end(connection)[0]
    if end == 0:
        raise errors.Refused("the audit log is empty: there is nothing to export yet")
    if since_us is None:
        since_us = time_of(connection, 1)
        if until_us <= since_us:
            raise errors.Refused(
                f"the log begins at {clock.iso(since_us)}, after this period has ended"
            )
    if since_us >= until_us:
        raise errors.Refused(
            f"the period ends ({clock.iso(until_us)}) before it begins ({clock.iso(since_us)})"
        )
    first = connection.exec_driver_sql(_FROM, (since_us,)).scalar_one_or_none() or end + 1
    last = connection.exec_driver_sql(_UNTIL, (until_us,)).scalar_one_or_none() or 0
    # Entries stand in the order they were written. A clock that was set leaves some among
    # them whose times lie outside: they belong to what happened between first and last.
    last = max(last, first - 1)
    return Period(
        audit.name(connection),
        since_us,
        until_us,
        first,
        last,
        max(1, first - 1),
        min(end, last + 1),
    )


def covered(connection: Connection, period: Period) -> Covered | None:
    """The period with its checkpoint; None when none is stored; AuditBroken."""
    stored = checkpoints.covering(connection, period.head_last)
    if stored is None:
        return None
    known = [one.key for one in keys.known(connection)]
    said = checkpoints.trusted(stored, known, period.log)
    return Covered(period, said, stored.note)


def time_of(connection: Connection, seq: int) -> int:
    """When an entry was written; AuditBroken when it is missing."""
    found = connection.exec_driver_sql(_TIME, (seq,)).scalar_one_or_none()
    if found is None:
        raise errors.AuditBroken(
            f"entry {seq} of the audit log is missing; run `orloj audit verify`"
        )
    return int(found)
