"""Publishes what was signed, in a thread of its own: a remote that hangs holds up nothing.

    look ─> due? ─> what stands there ─> agrees with our log? ─cosigned, pushed─> remembered
                                  disagrees: alarm, nothing is pushed until it agrees
            failed: told once, tried again after 1 s .. 15 min

The first look is made at once, whatever is due: a database that was put back to an old copy
is known by what it published before.
"""

import threading
from dataclasses import dataclass, replace
from typing import Final

from reconciler.proof import (
    agreement,
    beside,
    checkpoints,
    cosigning,
    keys,
    note,
    pace,
    publication,
    troubles,
    urgency,
)
from reconciler.proof.agreement import Disagreement
from reconciler.proof.checkpoints import Stored
from reconciler.proof.pace import Facts
from reconciler.proof.publication import Publication, Seen
from reconciler.proof.remote import Place
from reconciler.proof.request import Request
from reconciler.proof.troubles import Part, Trouble
from reconciler.proof.witnesses import Witnesses
from runner.contract import audit, clock, errors, telemetry
from runner.contract.database import Database
from runner.contract.settings import Settings

MOVES_MAX: Final = 3
"""Looks in a row at a remote that moves each time."""
GROWTH_FILE: Final = "growth"
"""Proves the checkpoint from the one published before: all that a witness in CI needs."""
LAST_WITNESS_S: Final = 2.0
"""How long a witness may take when the daemon ends, so that the last checkpoint gets out."""
_AGAIN_S: Final = 5.0
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint that stands at a remote now."""

    size: int
    text: str
    where: str


class Publisher:
    """Keeps one remote at the newest checkpoint; `look` from any thread."""

    def __init__(self, settings: Settings, database: Database, place: Place) -> None:
        self._settings, self._database, self._place = settings, database, place
        self._witnesses = Witnesses(settings, database)
        self._publication: Publication | None = None
        self._seen: Seen | None = None
        self._failures = 0
        self._retry_at: int | None = None
        self._woken = threading.Event()
        self._stopping = self._leading = self._asked = False
        self._thread = threading.Thread(target=self._work, name="audit-publisher", daemon=True)
        self.looked = threading.Event()
        """Set once the remote was asked, or could not be."""
        self.ours: Disagreement | None = None
        """What the remote says of our log that forbids to sign it."""

    def start(self) -> None:
        """Begin to wait for a look."""
        self._thread.start()

    def look(self, *, leading: bool = True) -> None:
        """Something may be due; only the daemon that leads publishes."""
        self._leading = leading
        self._woken.set()

    def stop(self, timeout_s: float) -> None:
        """Publish what is left, and end; a remote that takes longer is not waited for."""
        self._stopping = True
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def remembered(self) -> Disagreement | None:
        """How our own mirror, which no copy of the database takes back, speaks against it."""
        found = self._opened().remembered()
        if found is None:
            return None
        with self._database.read() as connection:
            where = f"{self._place.shown}, as this host remembers"
            return agreement.compared(connection, found.text, 0, where)

    def publish(self, *, anew: bool = False) -> Shown:
        """Publish the newest checkpoint now; OrlojError. `anew`: though it was put back there.

        AuditBroken when the remote and our log disagree.
        """
        with self._database.read() as connection:
            stored, known = checkpoints.newest(connection), keys.known(connection)
        if stored is None:
            raise errors.Refused("nothing is signed yet: there is no checkpoint to publish")
        opened, content = self._opened(), None
        seen, self._seen = (None if anew else self._seen), None
        with opened.alone():
            for _ in range(MOVES_MAX):
                seen = seen or self._looked(opened, anew=anew)
                if content is None:  # Nobody cosigns what the remote speaks against.
                    stored, more = self._completed(stored)
                    content = publication.files(stored.note, known) | more
                subject = f"Checkpoint of {stored.size} entries"
                if (now := opened.push(seen, content, subject)) is not None:
                    self._seen = now
                    return self._taken(stored)
                seen = None
        raise errors.SourceWaiting(
            "AuditRemoteBusy", f"{self._place.shown} moves at every try; somebody writes there"
        )

    def _completed(self, stored: Stored) -> tuple[Stored, dict[str, str]]:
        """The checkpoint with all its signatures, kept so; files that are published with it."""
        signed = note.parse(stored.note)
        with self._database.read() as connection:
            log = audit.name(connection)
            taken = checkpoints.taken(connection, self._place.shown)
            old = 0 if taken is None else min(taken.size, stored.size)
            proof = cosigning.growth(connection, old, stored.size)
        more = {GROWTH_FILE: Request(old, proof, signed).head}
        if (second := beside.signing(self._settings, log)) is not None:
            signed = beside.added(signed, second, clock.now_us())
            first = keys.signing(self._settings, log, make=False)
            more |= beside.files(first, second.verifier)
        wait_s = LAST_WITNESS_S if self._stopping else cosigning.TIMEOUT_S
        signed = self._witnesses.cosigned(signed, wait_s)
        if str(signed) != stored.note:
            with self._database.write() as connection:
                checkpoints.replace(connection, stored.size, signed)
        return replace(stored, note=str(signed)), more

    def _looked(self, publication: Publication, *, anew: bool) -> Seen:
        self._asked = True
        seen = publication.look()
        with self._database.read() as connection:
            taken = checkpoints.taken(connection, publication.where)
            text = None if seen.newest is None else seen.newest.text
            size = 0 if taken is None or anew else taken.size
            found = agreement.compared(connection, text, size, publication.where)
        self.ours = found if found is not None and found.ours else None
        if found is not None:
            raise _Disagrees(found)
        return seen

    def _taken(self, stored: checkpoints.Stored) -> Shown:
        now_us = clock.now_us()
        with self._database.write() as connection:
            checkpoints.mark_published(connection, stored.size, self._place.shown, now_us)
            troubles.over(connection, Part.PUBLISHING, now_us)
        self._failures, self._retry_at = 0, None
        return Shown(stored.size, stored.note, self._place.shown)

    # The thread.

    def _work(self) -> None:
        pause_s: float | None = None
        while True:
            self._woken.wait(pause_s)
            self._woken.clear()
            last = self._stopping
            pause_s = self._turn(last=last) if self._leading else None
            if last:
                return

    def _turn(self, *, last: bool) -> float | None:
        try:
            return self._try(last=last)
        except errors.DatabaseUnavailable:
            return _AGAIN_S  # The loop says so.
        except Exception:  # noqa: BLE001  # The boundary: record, wait, go on.
            telemetry.log_exception("audit_failed", "Publishing met an unforeseen error.")
            return _AGAIN_S
        finally:
            self.looked.set()

    def _try(self, *, last: bool) -> float | None:
        """Do what is due; how long until more is, as far as is known."""
        facts = self._facts()
        audit = self._settings.audit
        interval_us = int(audit.publish_interval_s * _SECOND_US)
        due_us = pace.due_us(facts, interval_us, int(audit.heartbeat_s * _SECOND_US))
        first = due_us is not None and not self._asked and self._retry_at is None
        if first or (last and facts.signed > facts.published):
            due_us = 0
        if due_us is None or (wait_us := due_us - clock.now_us()) > 0:
            return None if due_us is None else wait_us / _SECOND_US
        try:
            if first and not last:
                self._look_first()
            else:
                shown = self.publish()
                telemetry.log("audit_published", "A checkpoint is out.", entries=shown.size)
        except errors.DatabaseUnavailable:
            raise
        except errors.OrlojError as error:
            self._failed(error)
        return 0.0

    def _look_first(self) -> None:
        publication = self._opened()
        with publication.alone():
            self._seen = self._looked(publication, anew=False)

    def _facts(self) -> Facts:
        with self._database.read() as connection:
            signed = checkpoints.newest(connection)
            taken = checkpoints.taken(connection, self._place.shown)
            size = 0 if signed is None else signed.size
            published = 0 if taken is None else taken.size
            urgent = urgency.urgent(connection, published, size)
        return Facts(
            signed=size,
            published=published,
            published_at=None if taken is None else taken.published_at,
            urgent=urgent,
            retry_at=self._retry_at,
        )

    def _opened(self) -> Publication:
        if self._publication is None:
            with self._database.read() as connection:
                log = audit.name(connection)
            self._publication = Publication(self._place, self._settings.home, log)
        return self._publication

    def _failed(self, error: errors.OrlojError) -> None:
        self._failures += 1
        now_us = clock.now_us()
        self._retry_at = now_us + pace.pause_us(self._failures)
        alarm = isinstance(error, _Disagrees | errors.AuditBroken)
        reason = getattr(error, "reason", type(error).__name__)
        with self._database.write() as connection:
            trouble = Trouble(Part.PUBLISHING, reason, str(error), alarm=alarm)
            troubles.begin(connection, trouble, now_us)


class _Disagrees(errors.AuditBroken):
    """A remote and our log do not agree on what was published."""

    def __init__(self, found: Disagreement) -> None:
        super().__init__(found.message)
        self.reason = found.reason
