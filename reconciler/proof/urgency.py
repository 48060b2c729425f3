"""Entries that are signed and published at once: what a person may later want to deny."""

from typing import Final

from sqlalchemy import Connection

from runner.contract.audit_entry import EntryType

TYPES: Final = (
    EntryType.MANIFEST_APPLIED,
    EntryType.MANIFEST_REVERTED,
    EntryType.APPROVAL_GRANTED,
    EntryType.APPROVAL_DENIED,
    EntryType.TASK_FINISHED,
    EntryType.TASK_CANCELLED,
    EntryType.ERASURE_DONE,
    EntryType.LOG_STOPPED,
    EntryType.LOG_KEY_ROTATED,
)
_MARKS: Final = ", ".join("?" for _ in TYPES)
_ANY: Final = (
    "SELECT 1 FROM audit_entry WHERE seq > ? AND seq <= ?"  # noqa: S608
    f" AND type IN ({_MARKS}) LIMIT 1"
)


def urgent(connection: Connection, after: int, until: int) -> bool:
    """Whether one of the entries after a number, up to another, is to be shown at once."""
    if after >= until:
        return False
    values = (after, until, *(one.value for one in TYPES))
    return connection.exec_driver_sql(_ANY, values).first() is not None
