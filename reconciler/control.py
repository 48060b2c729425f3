"""What people ask of a repository's loop: to pause, to go on, to look now.

The loop answers a request by writing its token back once the look is over, so that whoever
asked knows that it was this look, also when the loop runs on another host. Rows of their
own: a request must not wait for a pass, and a pass must not overwrite a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from runner.contract import audit
from runner.contract.audit_entry import Entry, EntryType


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What stands about a repository: whether it is suspended, and the last request."""

    name: str
    suspended_at: int | None = None
    suspended_by: str | None = None
    suspended_reason: str | None = None
    request_token: str | None = None
    requested_by: str | None = None
    handled_token: str | None = None

    @property
    def asked(self) -> bool:
        """Whether somebody waits for a look."""
        return self.request_token != self.handled_token

    @property
    def why(self) -> str:
        """Who suspended it, why, and how it goes on."""
        why = f": {self.suspended_reason}" if self.suspended_reason else ""
        return f"{self.suspended_by} suspended it{why}; go on with: orloj resume {self.name}"


_COLUMNS = ", ".join(Control.__dataclass_fields__)


def controls(connection: Connection) -> Mapping[str, Control]:
    """What was asked of each repository, by name; those of which nothing was are not there."""
    rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM source_control")  # noqa: S608
    found = (
        Control(**dict(zip(Control.__dataclass_fields__, row, strict=True))) for row in rows
    )
    return {control.name: control for control in found}


def control(connection: Connection, name: str) -> Control:
    """What was asked of a repository."""
    return controls(connection).get(name) or Control(name=name)


def locked(connection: Connection, name: str) -> Control:
    """What was asked of a repository; nobody can suspend it before we commit."""
    connection.exec_driver_sql(
        "INSERT INTO source_control (name) VALUES (?)"
        " ON CONFLICT (name) DO UPDATE SET name = excluded.name",
        (name,),
    )
    return control(connection, name)


def request(connection: Connection, name: str, token: str, actor: str) -> None:
    """Ask for a look; the loop echoes the token."""
    connection.exec_driver_sql(
        "INSERT INTO source_control (name, request_token, requested_by) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET request_token = excluded.request_token,"
        " requested_by = excluded.requested_by",
        (name, token, actor),
    )


def handled(connection: Connection, name: str, token: str | None) -> None:
    """Answer a request."""
    connection.exec_driver_sql(
        "UPDATE source_control SET handled_token = ? WHERE name = ?", (token, name)
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """Who suspends a repository or lets it go on, why, and at which applied commit."""

    actor: str
    reason: str
    commit: str


def suspend(connection: Connection, name: str, hold: Hold, now_us: int) -> None:
    """Stop applying a repository until `resume`; with an entry in the log."""
    connection.exec_driver_sql(
        "INSERT INTO source_control (name, suspended_at, suspended_by, suspended_reason)"
        " VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " suspended_at = excluded.suspended_at, suspended_by = excluded.suspended_by,"
        " suspended_reason = excluded.suspended_reason",
        (name, now_us, hold.actor, hold.reason),
    )
    audit.append(connection, [_entry(EntryType.SOURCE_SUSPENDED, name, hold)], now_us)


def resume(connection: Connection, name: str, hold: Hold, now_us: int) -> bool:
    """Let it go on; whether it was suspended."""
    changed = connection.exec_driver_sql(
        "UPDATE source_control SET suspended_at = NULL, suspended_by = NULL,"
        " suspended_reason = NULL WHERE name = ? AND suspended_at IS NOT NULL",
        (name,),
    )
    if changed.rowcount:
        audit.append(connection, [_entry(EntryType.SOURCE_RESUMED, name, hold)], now_us)
    return bool(changed.rowcount)


def _entry(kind: EntryType, name: str, hold: Hold) -> Entry:
    return Entry(
        type=kind,
        actor=hold.actor,
        commit=hold.commit,
        resource=f"source/{name}",
        reason=hold.reason or None,
    )
