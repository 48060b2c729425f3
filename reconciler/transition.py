"""Since when a repository is in its condition, and when its loop will try again.

A row of its own, written whenever the row of the repository is: the time moves only when
the condition or its reason does, so that a status can say "Stalled since yesterday".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Standing:
    """Since when it stands so, microseconds UTC, and the next try after so many failures."""

    condition: str
    reason: str
    since_at: int
    retry_at: int | None
    failures: int


def note(
    connection: Connection, name: str, condition: str, reason: str, now_us: int | None
) -> None:
    """Remember when condition and reason of a repository last changed."""
    connection.exec_driver_sql(
        "INSERT INTO source_standing (name, condition, reason, since_at, retry_at, failures)"
        " VALUES (?, ?, ?, ?, NULL, 0) ON CONFLICT (name) DO UPDATE SET since_at = CASE"
        " WHEN source_standing.condition = excluded.condition"
        " AND source_standing.reason = excluded.reason"
        " THEN source_standing.since_at ELSE excluded.since_at END,"
        " condition = excluded.condition, reason = excluded.reason,"
        " retry_at = NULL, failures = 0",
        (name, condition, reason, now_us or 0),
    )


def will_retry(connection: Connection, name: str, retry_at: int, failures: int) -> None:
    """Remember when a repository that could not be read is looked at again."""
    connection.exec_driver_sql(
        "UPDATE source_standing SET retry_at = ?, failures = ? WHERE name = ?",
        (retry_at, failures, name),
    )


def standings(connection: Connection) -> Mapping[str, Standing]:
    """How long each repository has stood as it does, by name."""
    rows = connection.exec_driver_sql(
        "SELECT name, condition, reason, since_at, retry_at, failures FROM source_standing"
    )
    return {row[0]: Standing(*row[1:]) for row in rows}
