"""When the daemon looks for drift, and what it does about what it finds.

    idle ──interval, or a pause after a heal──> looking, a slice at each turn of the loop
      ^                                              │ over
      └── told in log and events <── settle <────────┤
                                     heal, if the policy says so and nobody suspended it

The loop calls `step` between passes: a push waits for one slice at most. The database is
asked for nothing while no look is due.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Final

from reconciler import control
from reconciler.drift import settle, world
from reconciler.drift.heal import Healed, heal
from reconciler.drift.look import Looked, Looks
from reconciler.drift.pace import Pace
from reconciler.drift.settle import Seen
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.preview import Place
from runner.contract import clock, errors, telemetry
from runner.contract.seal import Sealer

FIRST_LOOK_US: Final = 1_000_000
"""After the start, so that the first passes come first."""
_SECOND_US: Final = 1_000_000


class DriftWatch:
    """Watches one repository. `first` also sees to what belongs to none, and to the world."""

    def __init__(
        self,
        place: Place,
        sealer: Sealer,
        settings_digest: str,
        *,
        first: bool,
        followed: Collection[str],
    ) -> None:
        self._place = place
        self._first = first
        self._looks = Looks(place, sealer, settings_digest, first=first, followed=followed)
        self._pace = Pace()
        self._due_us = clock.boot_us() + FIRST_LOOK_US
        self._complaint = ""

    def wait_s(self) -> float:
        """How long the loop may sleep, as far as this watch knows."""
        return max(0, self._due_us - clock.boot_us()) / _SECOND_US

    def demand(self) -> None:
        """Somebody asks for a look at the repository: look for drift as well."""
        self._due_us = min(self._due_us, clock.boot_us())

    def step(self) -> bool:
        """Go on with a look, if one is due; whether it was not over yet."""
        if clock.boot_us() < self._due_us:
            return False
        pause_s = self._place.settings.drift_interval_s
        try:
            looked = self._looks.step()
            if looked is None:
                return True
            pause_s = min(pause_s, self._settled(looked))
            self._complaint = ""
        except errors.OrlojError as error:
            self._complain(str(error))
        except Exception:  # noqa: BLE001  # The boundary: record, and look again later.
            telemetry.log_exception("drift_failed", "A look for drift met an unforeseen error.")
        self._due_us = clock.boot_us() + int(pause_s * _SECOND_US)
        return False

    def _settled(self, looked: Looked) -> float:
        """Tell what was found and set it right; in how many seconds to look again."""
        place, now_us = self._place, clock.now_us()
        seen = Seen(place.source, looked.commit, settle.RECORDED, looked.drifts)
        settled = settle.settle(place.database, seen, now_us)
        if settled.fresh:
            telemetry.log(
                "drift_found",
                "Something is not as it was applied.",
                level=logging.WARNING,
                source=place.source,
                drifts=[f"{d.subject}: {d.kind.value}" for d in settled.fresh[:10]],
                count=len(settled.fresh),
            )
        if self._first:
            world.settle_world(place.database, place.source, looked.commit, now_us)
        if not looked.total or place.settings.on_drift != "heal" or self._suspended():
            return place.settings.drift_interval_s
        return self._heal(looked)

    def _heal(self, looked: Looked) -> float:
        place, pace = self._place, self._pace
        boot_us = clock.boot_us()
        subjects = [item.subject for item in looked.drifts if item.healable]
        due = pace.due(looked.commit or "", subjects, boot_us)
        healed = heal(place, self._looks, looked, due, now_us=clock.now_us())
        pause_s = place.settings.drift_interval_s
        if healed.subjects:
            pause_s = pace.healed(healed.subjects, boot_us)
            telemetry.log(
                "drift_healed",
                "Put back what a commit declares.",
                source=place.source,
                commit=looked.commit,
                restored=len(healed.restored),
                removed=len(healed.removed),
            )
        self._warn(looked, healed)
        left = pace.next_s((item for item in subjects if item not in due), boot_us)
        return pause_s if left is None else min(pause_s, left)

    def _warn(self, looked: Looked, healed: Healed) -> None:
        """Tell of what keeps drifting, and of what waits for a person."""
        place, messages = self._place, []
        fighting = self._pace.fighting(healed.subjects)
        if fighting:
            often = max(fighting.values())
            messages.append(
                (
                    "KeepsDrifting",
                    f"{settle.named(fighting)} drifted again and was put back {often} times"
                    " under this commit: find who changes it; it is put back ever more rarely",
                )
            )
        if healed.held_back:
            messages.append(
                (
                    "TooManyExtra",
                    f"{len(healed.held_back)} rows claim to be of this repository, and its"
                    " commit does not declare them: so many are not removed without a person;"
                    " see orloj drift, then orloj drift --heal",
                )
            )
        if not messages:
            return
        with place.database.write() as connection:
            for reason, message in messages:
                event = Event(
                    source=place.source,
                    severity=EventSeverity.WARNING,
                    reason=reason,
                    message=message,
                    commit=looked.commit,
                )
                events.record(connection, event, clock.now_us())

    def _suspended(self) -> bool:
        with self._place.database.read() as connection:
            return control.control(connection, self._place.source).suspended_at is not None

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            telemetry.log(
                "drift_failed", message, level=logging.WARNING, source=self._place.source
            )
        self._complaint = message


def watches(places: Sequence[tuple[Place, str]], sealer: Sealer) -> list[DriftWatch]:
    """A watch for each repository, with the digest of its settings."""
    followed = [place.source for place, _ in places]
    return [
        DriftWatch(place, sealer, digest, first=number == 0, followed=followed)
        for number, (place, digest) in enumerate(places)
    ]
