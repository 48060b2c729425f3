"""Every SQL statement on the table of workers, which says who is there and how many fit."""

from typing import Any

from sqlalchemy import Connection


def save(connection: Connection, row: tuple[Any, ...]) -> None:
    """Write what is known of a worker: id, host, pid, state, slots, started, seen."""
    connection.exec_driver_sql(
        "INSERT INTO worker (id, host, pid, state, slots, started_at, seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " state = CASE worker.state WHEN 'draining' THEN worker.state ELSE excluded.state END,"
        " seen_at = excluded.seen_at",
        row,
    )


def forget(connection: Connection, worker: str) -> None:
    """Drop the row of a worker that is gone."""
    connection.exec_driver_sql("DELETE FROM worker WHERE id = ?", (worker,))


def forget_silent(connection: Connection, before_us: int) -> None:
    """Drop the rows of workers that nobody has seen since then; their hosts are gone."""
    connection.exec_driver_sql("DELETE FROM worker WHERE seen_at < ?", (before_us,))


def forget_host(connection: Connection, host: str) -> None:
    """Drop the rows of workers that an earlier dispatcher of this host had."""
    connection.exec_driver_sql("DELETE FROM worker WHERE host = ?", (host,))
