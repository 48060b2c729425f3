"""Which of several daemons reconciles: the one that holds the database's lock.

    standing by ──the lock is free──> leading ──the session is lost──> standing by

A home of its own has one daemon, which leads. Where daemons of many hosts share a database,
one leads and the others stand by. One that has lost the lock and does not know it yet can
do no harm: every apply names the commit and the serial of the state that it starts from.
"""

from typing import Final

from runner.contract import telemetry
from runner.contract.database import Database, Leadership

TURN_S: Final = 2.0
"""How often a daemon that stands by asks whether it is its turn."""


class Leader:
    """One daemon's part in the election."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leadership: Leadership | None = None
        self._said_waiting = False

    def leads(self) -> bool:
        """Whether this daemon may act now; DatabaseUnavailable."""
        if self._leadership is not None:
            if self._leadership.held():
                return True
            self.resign()
            telemetry.log("leader_lost", "Another daemon may reconcile now.")
        self._leadership = self._database.lead()
        if self._leadership is None:
            if not self._said_waiting:
                telemetry.log(
                    "leader_waiting", "Another daemon reconciles; this one stands by."
                )
            self._said_waiting = True
            return False
        if self._database.shared:
            telemetry.log("leader_elected", "This daemon reconciles from now on.")
        self._said_waiting = False
        return True

    def resign(self) -> None:
        """Let another daemon lead."""
        if self._leadership is not None:
            self._leadership.close()
            self._leadership = None
