"""`/v1/webhook-deliveries/ID`: a delivery to a TaskWebhook queues its task.

    length, media type ─> find ─> proof over the raw bytes ─> suspended? ─> event ─> queue
      411 413 415         404      401, 503: no secret            503        400     202, 200

Whoever has proved nothing learns only whether there is such an address. Nothing is let in
while the secret has no value: unknown is no.
"""

import logging
import threading
from dataclasses import dataclass
from typing import Final

from reconciler import recorded
from reconciler.delivery import evidence, receive
from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.event import BODY_BYTES_MAX
from reconciler.delivery.receive import Changed, Delivery, NoTask, Received
from reconciler.delivery.rows import Manifest
from reconciler.web.addresses import DELIVERIES as PREFIX
from reconciler.web.message import Answer, Head, answer
from reconciler.web.rate import Rate
from reconciler.web.tally import Tally
from runner import credentials
from runner.contract import clock, errors, seal, telemetry, wake
from runner.contract.database import Database
from runner.contract.kinds import Key, TaskWebhook, spec_of
from runner.contract.settings import Settings

ACCEPTED_MOST: Final = 1_000.0
ACCEPTED_A_SECOND: Final = 50.0
"""What one webhook may queue at once, and for long: its sender may have gone wild."""
_RETRY: Final = {"Retry-After": "60"}
_SAID_MOST: Final = 30.0
_SAID_A_SECOND: Final = 0.1
_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class _Found:
    """A webhook as it is recorded, and the value of its secret; None: it has none here."""

    manifest: Manifest
    spec: TaskWebhook
    secret: str | None


class Deliveries:
    """The webhooks of a database. Called from many threads."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._sealer = seal.sealer(settings.home)
        self.tally = Tally(database)
        self._accepted = Rate(ACCEPTED_MOST, ACCEPTED_A_SECOND)
        self._said = Rate(_SAID_MOST, _SAID_A_SECOND)
        self._lock = threading.Lock()
        self._serial: int | None = None
        self._keys: dict[str, Key] = {}

    def judge(self, head: Head) -> Answer | None:
        """Refuse what is no JSON of a known and fitting length before its body is read."""
        length = head.header("content-length")
        if length is None or not length.isascii() or not length.isdigit():
            return answer(411, error="send Content-Length, and no chunks")
        if int(length) > BODY_BYTES_MAX:
            return answer(413, error=f"send at most {BODY_BYTES_MAX} bytes")
        media_type = (head.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type == "application/json" or (
            media_type.startswith("application/") and media_type.endswith("+json")
        ):
            return None
        return answer(415, error="send application/json")

    def handle(self, head: Head, body: bytes) -> Answer:
        """Queue the task of a delivery that is proved and new."""
        try:
            found = self._find(head.path.removeprefix(PREFIX))
            if found is None:
                self._say_refused(head, None, "there is no such webhook")
                return answer(404, error="not found")
            return self._judged(head, body, found)
        except errors.DatabaseUnavailable as error:
            self._say_refused(head, None, str(error))
            return answer(503, error="try again later", headers=_RETRY)

    def _judged(self, head: Head, body: bytes, found: _Found) -> Answer:
        key, spec = found.manifest.key, found.spec
        if found.secret is None:
            named, entry = spec.auth.secret(key.namespace)
            problem = f"{named} has no value for {entry} on this host"
            return self._refuse(head, key, problem, 503, problem=problem)
        now_us = clock.now_us()
        unproved = evidence.examine(
            *(spec.auth, head.header, body, found.secret), now_s=now_us // 1_000_000
        )
        if unproved is not None:
            return self._refuse(head, key, unproved, 401)
        if spec.suspend:
            return self._refuse(head, key, "its manifest suspends it", 503, earned=True)
        with self._lock:
            bounded = not self._accepted.take(str(key), clock.boot_us())
        if bounded:
            return self._refuse(head, key, "too many deliveries", 429, earned=True)
        delivery = Delivery(found.manifest, spec, head.header, body)
        try:
            with self._database.write() as connection:
                received = receive.receive(connection, delivery, now_us)
        except Changed as error:
            return self._refuse(head, key, str(error), 503, earned=True)
        except NoTask as error:
            return self._refuse(head, key, str(error), 503, earned=True, problem=str(error))
        except errors.Refused as error:
            return self._refuse(head, key, str(error), 400, earned=True)
        return self._accept(key, received)

    def _accept(self, key: Key, received: Received) -> Answer:
        if not received.duplicate:
            self._database.knock(wake.RUNNER)
        telemetry.log(
            "delivery_accepted",
            "A delivery was known already."
            if received.duplicate
            else "A delivery queued its task.",
            webhook=str(key),
            task=received.task,
        )
        return answer(
            200 if received.duplicate else 202,
            earned=True,
            accepted=True,
            duplicate=received.duplicate,
            task=received.task,
        )

    def _refuse(
        self,
        head: Head,
        key: Key,
        why: str,
        status: int,
        *,
        earned: bool = False,
        problem: str | None = None,
    ) -> Answer:
        """Count it, and say why to whoever has shown that they know the secret."""
        self.tally.refused(key, why, problem)
        self._say_refused(head, key, why)
        headers = _RETRY if status in (429, 503) else {}
        said = why if earned else "try again later" if status == 503 else _REFUSED
        return answer(status, earned=earned, headers=headers, error=said)

    def _find(self, identity: str) -> _Found | None:
        """The webhook of an address, with its secret; None: there is none that can be read."""
        with self._database.read() as connection:
            serial = recorded.serial(connection)
            if serial != self._serial:
                self._keys = _addresses(recorded.keys(connection, delivery_rows.KIND))
                self._serial = serial
            key = self._keys.get(identity)
            manifest = delivery_rows.manifest(connection, key) if key else None
            if manifest is None:
                return None
            try:
                spec = spec_of(delivery_rows.KIND, manifest.body)
            except errors.Refused:
                return None
            assert isinstance(spec, TaskWebhook)
            secret = credentials.recorded(
                *(connection, spec.auth, manifest.key.namespace),
                sealer=self._sealer,
                where=self._settings,
            )
        return _Found(manifest, spec, secret or None)

    def _say_refused(self, head: Head, key: Key | None, problem: str) -> None:
        """Into our log, and not too often: strangers must not fill a disk."""
        with self._lock:
            wanted = self._said.take("", clock.boot_us())
        if wanted:
            telemetry.log(
                "delivery_refused",
                f"A delivery was refused: {problem}.",
                level=logging.WARNING,
                webhook=str(key) if key else None,
                address=head.address,
            )


def _addresses(keys: list[Key]) -> dict[str, Key]:
    """By the id of each webhook, and by the first half of it, which some write."""
    found: dict[str, Key] = {}
    for key in keys:
        id = delivery_rows.identity(key)
        found |= {id: key, id[: delivery_rows.SHORT_ID_CHARACTERS]: key}
    return found
