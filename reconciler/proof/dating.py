"""Entries that say a time before that of a checkpoint they are not part of.

A checkpoint of so many entries was there before the next one was written. When a clock of our
own says when that was, an earlier entry may be one after the clock was put back: a note. When
a witness says it, whose clock is not ours, the entry is back-dated.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection

from reconciler.proof.walk import SKEW_US

SHOWN: Final = 10
_OWN = (
    "SELECT e.seq FROM checkpoint c JOIN audit_entry e ON e.seq = c.size + 1"
    " WHERE e.time < c.signed_at - ? ORDER BY e.seq LIMIT ?"
)
_TIME = "SELECT time FROM audit_entry WHERE seq = ?"


def doubtful(connection: Connection) -> list[int]:
    """Entries that are older than this database says that the checkpoint before them is."""
    return list(connection.exec_driver_sql(_OWN, (SKEW_US, SHOWN)).scalars())


def older(connection: Connection, known: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Entries that are older than a checkpoint before them, each as its size and its time."""
    newest: dict[int, int] = {}
    for size, at_us in known:
        newest[size] = max(at_us, newest.get(size, 0))
    for size, at_us in sorted(newest.items()):
        time_us = connection.exec_driver_sql(_TIME, (size + 1,)).scalar_one_or_none()
        if time_us is not None and time_us < at_us - SKEW_US:
            yield size + 1
