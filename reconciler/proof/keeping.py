"""The keeper inside the daemon: a thread that signs, beside one that publishes.

    begin (self-test) ──> start ──> look … look ──> stop (last entry, signed, published)

    every half second, or when the loop looked: sign ──> wake the publisher

Nothing is signed before our own memory and, if it answers soon, the remote were asked what
they hold of this log; nor while either holds more of it than the database does.
"""

import threading
from typing import Final

from reconciler.proof import remote, self_test, troubles
from reconciler.proof.agreement import Disagreement
from reconciler.proof.keeper import Keeper
from reconciler.proof.publisher import Publisher
from reconciler.proof.troubles import Part, Trouble
from runner.contract import audit, clock, errors, telemetry
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.settings import Settings

POLL_S: Final = 0.5
"""How soon an entry of another process is seen; those of the daemon wake us."""
AGAIN_S: Final = 5.0
FIRST_LOOK_S: Final = 5.0
LET_GO_S: Final = 5.0
"""How long a stop waits for the last checkpoint to be out."""
_BROKEN: Final = "AuditLogBroken"


class Keeping:
    """Signs and publishes the log of a home while its daemon leads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._keeper = Keeper(settings, database, clock.now_us)
        place = remote.place(settings) if settings.audit.publish else None
        self._publisher = None if place is None else Publisher(settings, database, place)
        self._woken = threading.Event()
        self._leading = self._stopping = self._began = False
        self._told: str | None = None
        self._known = False
        self._remembered: Disagreement | None = None
        self._thread = threading.Thread(target=self._work, name="audit-keeper", daemon=True)

    def begin(self) -> None:
        """Log that a daemon begins, and see that the log works; OrlojError when it does not."""
        self._remember()  # Before anything is added to a log that may be an old copy.
        self_test.begin(self._settings, self._database, clock.now_us())
        self._began = True

    def start(self) -> None:
        """Wait for a look."""
        self._thread.start()
        if self._publisher is not None:
            self._publisher.start()

    def look(self, *, leading: bool) -> None:
        """Something may have been logged; only the daemon that leads signs."""
        self._leading = leading
        if self._publisher is not None:
            self._publisher.look(leading=leading)
        if leading:
            self._woken.set()

    def stop(self) -> None:
        """Log that the daemon ends, sign it, and publish it if the remote takes it soon."""
        self._stopping = True
        self._woken.set()
        if self._publisher is not None:
            self._publisher.looked.set()
        self._thread.join(LET_GO_S)
        if not self._began or self._thread.is_alive():
            return
        try:
            with self._database.write() as connection:
                entry = Entry(type=EntryType.LOG_STOPPED, actor="daemon", commit=NO_COMMIT)
                audit.append(connection, [entry], clock.now_us())
            if self._leading and self._known:
                self._sign(at_once=True)
        except errors.DatabaseUnavailable as error:
            telemetry.log("audit_signing_failed", str(error), reason="DatabaseUnavailable")
        if self._publisher is not None:
            self._publisher.stop(LET_GO_S)

    def _work(self) -> None:
        wait_s: float | None = None
        while not self._stopping:
            self._woken.wait(wait_s)
            self._woken.clear()
            if not self._stopping:
                wait_s = self._turn() if self._leading else None

    def _turn(self) -> float:
        try:
            if not self._known:
                self._ask()
            return self._sign(at_once=False) if self._known else POLL_S
        except errors.DatabaseUnavailable:
            return AGAIN_S  # The loop says so.
        except Exception:  # noqa: BLE001  # The boundary: record, wait, go on.
            telemetry.log_exception("audit_failed", "Signing met an unforeseen error.")
            return AGAIN_S

    def _ask(self) -> None:
        """What the remote says, if it says it soon, before the first checkpoint."""
        if self._publisher is not None:
            self._publisher.looked.wait(FIRST_LOOK_S)
        if self._stopping:
            return  # Nothing is known yet: the next daemon signs.
        with self._database.read() as connection:
            standing = troubles.standing(connection).get(Part.SIGNING)
        self._told = None if standing is None else standing.reason
        self._known = True

    def _remember(self) -> None:
        with self._database.read() as connection:
            begun = audit.name(connection)
        if self._publisher is None or not begun:
            return
        try:
            self._remembered = self._publisher.remembered()
        except errors.SourceError as error:
            # Without the mirror nothing is known here; the remote is asked soon.
            telemetry.log("audit_publishing_failed", str(error), reason=error.reason)

    def _sign(self, *, at_once: bool) -> float:
        """Sign what is due; how long to wait until the next look."""
        against = self._remembered or (self._publisher.ours if self._publisher else None)
        try:
            if against is not None:
                raise errors.AuditBroken(against.message)
            signed = self._keeper.step(at_once=at_once)
        except errors.AuditBroken as error:
            self._tell(Trouble(
                Part.SIGNING, against.reason if against else _BROKEN, str(error), alarm=True
            ))  # fmt: skip
            return AGAIN_S
        except errors.SettingsInvalid as error:
            self._tell(Trouble(Part.SIGNING, "KeyUnusable", str(error)))
            return AGAIN_S
        if signed is not None and self._told is not None:
            self._told = None
            with self._database.write() as connection:
                troubles.over(connection, Part.SIGNING, clock.now_us())
        if signed is not None and self._publisher is not None:
            self._publisher.look()
        return POLL_S

    def _tell(self, trouble: Trouble) -> None:
        if self._told != trouble.reason:
            self._told = trouble.reason
            with self._database.write() as connection:
                troubles.begin(connection, trouble, clock.now_us())
