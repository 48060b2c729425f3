"""A point in the history of a repository: a commit, a branch or tag, or a time.

    8411f23d        a commit, or the beginning of one that the mirror has
    main, v1.2      a branch or a tag at the remote
    applied         the commit that is applied now
    2026-11-23T03:00, 2h      what was applied then, or so long ago

What could be read as both is a commit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.reconcile import Reconciler
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.settings import Settings

APPLIED: Final = "applied"
_REVISION: Final = (
    "SELECT commit_sha, applied_at FROM revision WHERE source = ? AND applied_at <= ?"
    " ORDER BY id DESC LIMIT 1"
)
_COMMIT: Final = re.compile(r"[0-9a-f]{4,64}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d.*|(\d+(\.\d+)?(d|h|m|s))+")

ReadTime = Callable[[str], int]
"""Microseconds of a time as a person writes it; whoever calls knows the forms."""


@dataclass(frozen=True, slots=True)
class Point:
    """A commit, and how it was found, in words: empty where its hash was given."""

    commit: str
    words: str = ""


def point(
    settings: Settings, database: Database, source: str, text: str, *, read_time: ReadTime
) -> Point:
    """The commit that a text means; NotFound, SourceError."""
    asked = Reconciler(settings, database, source)
    if _COMMIT.fullmatch(text):
        try:
            return Point(asked.named(text))
        except errors.SourceStalled:
            if not _TIME.fullmatch(text):
                raise
    if text == APPLIED or _TIME.fullmatch(text):
        return _applied(database, source, text, read_time)
    commit = Reconciler(settings, database, source, text).resolve()
    return Point(asked.named(commit), text)


def _applied(database: Database, source: str, text: str, read_time: ReadTime) -> Point:
    at_us = clock.now_us() if text == APPLIED else read_time(text)
    with database.read() as connection:
        row = connection.exec_driver_sql(_REVISION, (source, at_us)).one_or_none()
    if row is None:
        when = "yet" if text == APPLIED else f"at {clock.iso(at_us)}"
        raise errors.NotFound(
            f"nothing of the repository {source} was applied {when}; give a commit or a branch"
        )
    return Point(str(row[0]), f"applied {clock.iso(row[1])}")
