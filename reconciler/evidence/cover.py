"""Makes a period one that can be exported: closed by an entry after it, and signed for.

period ──no entry after it──> one is written: that somebody reads the log
       ──not covered yet──> signed now, where the key is; elsewhere that is refused
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.evidence import period
from reconciler.evidence.period import Covered, Period
from reconciler.proof import checkpoints, keys
from reconciler.proof.keeper import Keeper
from runner.contract import audit, clock, errors
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """The period that somebody wants, and who. Without an end: up to now."""

    since_us: int | None
    until_us: int | None
    actor: str


def cover(settings: Settings, database: Database, asked: Asked, now_us: int) -> Covered:
    """The period with the checkpoint that proves it; Refused, AuditBroken, SettingsInvalid."""
    if asked.until_us is not None and asked.until_us > now_us:
        raise errors.Refused(
            f"the period ends in the future ({clock.iso(asked.until_us)}): nobody can say yet"
            " what will be in it"
        )
    key_here = keys.path(settings).exists()
    with database.read() as connection:
        signed_once = checkpoints.newest(connection) is not None
    if not (key_here or signed_once):
        raise errors.Refused(
            "nothing of the log was signed yet, so nothing of it can be proved: let the daemon"
            " run (`orloj up`; it signs within 2 s), and export again"
        )
    found = _closed(database, asked, now_us, key_here=key_here)
    with database.read() as connection:
        signed = period.covered(connection, found)
    if signed is None and key_here:
        Keeper(settings, database, clock.now_us).step(at_once=True)
        with database.read() as connection:
            signed = period.covered(connection, found)
    if signed is None:
        raise errors.Refused(_unsigned(database, settings, found))
    return signed


def _closed(database: Database, asked: Asked, now_us: int, *, key_here: bool) -> Period:
    """The period, after which there is an entry."""
    with database.write() as connection:
        until_us = asked.until_us
        if until_us is None and not key_here:
            until_us = _last_covered_us(connection)
        if until_us is not None:
            found = period.find(connection, asked.since_us, until_us)
            if found.closed:
                return found
        elif audit.end(connection)[0] == 0:
            raise errors.Refused("the audit log is empty: there is nothing to export yet")
        entry = Entry(
            type=EntryType.ACCESS_READ, actor=asked.actor, commit=NO_COMMIT, outcome="export"
        )
        # Read in here, after everybody else's entry: theirs are not later than this one.
        at_us = max(now_us, clock.now_us())
        audit.append(connection, [entry], at_us)
        return period.find(connection, asked.since_us, at_us if until_us is None else until_us)


def _last_covered_us(connection: Connection) -> int:
    """The time of the last entry that is signed for."""
    newest = checkpoints.newest(connection)
    assert newest is not None, "without a key here, something was signed elsewhere"
    return period.time_of(connection, newest.size)


def _unsigned(database: Database, settings: Settings, wanted: Period) -> str:
    with database.read() as connection:
        newest = checkpoints.newest(connection)
    size = 0 if newest is None else newest.size
    return (
        f"the log is signed up to entry {size}, and this period needs {wanted.head_last}:"
        f" {keys.path(settings)} is not here to sign with. Let the daemon that has the key run"
        " (`orloj up`; it signs within 2 s), and export again"
    )
