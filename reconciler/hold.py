"""Suspend a repository, and let it go on: in its row, in the log and among the events.

Works with and without a daemon. Once `suspend` has returned nothing is applied any more: each
apply looks again while it holds the row that a suspension writes.
"""

from typing import Final

from sqlalchemy import Connection

from reconciler import control, recorded
from reconciler.condition import RECONCILING, Conditions
from reconciler.control import Control, Hold
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.git.pointer import Wanted
from reconciler.report import SUSPENDED, Report
from runner.contract import audit_entry
from runner.contract.database import Database
from runner.contract.source_settings import Source

RESUMED: Final = "Resumed"


class Holder:
    """Holds one repository back, or lets it go on, in the name of a person."""

    def __init__(self, name: str, source: Source, database: Database, actor: str) -> None:
        self._name = name
        self._database = database
        self._actor = actor
        shown = Wanted(source.ref, source.semver, source.commit).shown()
        self._conditions = Conditions(name, source, database, shown)

    def suspend(self, reason: str, now_us: int) -> Control:
        """Stop applying it; what stands then. A second suspension takes the first's place."""
        with self._database.write() as connection:
            hold = self._hold(connection, reason)
            control.suspend(connection, self._name, hold, now_us)
            standing = control.control(connection, self._name)
            self._tell(connection, hold, SUSPENDED, standing.why, now_us)
        Report(self._conditions, self._database).suspended(standing, now_us)
        return standing

    def resume(self, reason: str, now_us: int) -> bool:
        """Let it go on; whether it was suspended. The next look finds the newest commit."""
        message = f"{self._actor} let it go on{f': {reason}' if reason else ''}"
        with self._database.write() as connection:
            hold = self._hold(connection, reason)
            resumed = control.resume(connection, self._name, hold, now_us)
            if resumed:
                self._tell(connection, hold, RESUMED, message, now_us)
        if resumed:
            state = self._conditions.saying(RECONCILING, RESUMED, f"{message}; not looked yet")
            self._conditions.write(state, now_us)
        return resumed

    def _hold(self, connection: Connection, reason: str) -> Hold:
        state = recorded.source(connection, self._name)
        applied = state.applied_commit if state else None
        return Hold(self._actor, reason, applied or audit_entry.NO_COMMIT)

    def _tell(
        self, connection: Connection, hold: Hold, reason: str, message: str, now_us: int
    ) -> None:
        commit = None if hold.commit == audit_entry.NO_COMMIT else hold.commit
        event = Event(
            source=self._name,
            severity=EventSeverity.INFO,
            reason=reason,
            message=message,
            commit=commit,
        )
        events.record(connection, event, now_us)
