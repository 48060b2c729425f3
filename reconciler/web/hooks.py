"""`/hooks/NAME`: a delivery of a Git host wakes the repositories of its receiver.

    media type ─> body ─> proof over its raw bytes ─> seen before? ─> event, ref ─> wake
        415                      401                     409              200     202

A name that no receiver has and a proof that fails get the same answer after the same work.
Nothing of what was sent is used as an address, a ref or a name.
"""

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.web import payload, proof
from reconciler.web.message import Answer, Head, answer
from reconciler.web.rate import Rate
from reconciler.web.seen import Seen
from runner.contract import clock, errors, secret_file, telemetry
from runner.contract.settings import Settings
from runner.contract.web_settings import Receiver

PREFIX: Final = "/hooks/"
SECRET_CHARACTERS_MIN: Final = 16
Wake = Callable[[Sequence[str]], None]
_MEDIA_TYPE: Final = "application/json"
_PINGS: Final = frozenset({"ping", "Ping Hook"})
_SAID_MOST: Final = 30.0
_SAID_A_SECOND: Final = 0.1
_ID_CHARACTERS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What came in, for the receiver it names; None: there is no such one."""

    name: str
    receiver: Receiver | None
    head: Head
    body: bytes


class Hooks:
    """The receivers of the settings. Called from many threads."""

    def __init__(self, settings: Settings, wake: Wake) -> None:
        self._settings = settings
        self._wake = wake
        self._seen = Seen()
        self._said = Rate(_SAID_MOST, _SAID_A_SECOND)
        self._lock = threading.Lock()
        self._nobodys_secret = secrets.token_hex(32)

    def check(self) -> None:
        """See that every receiver has a secret; SettingsInvalid."""
        for name, receiver in self._settings.receivers.items():
            self._secret(name, receiver)

    def judge(self, head: Head) -> Answer | None:
        """Refuse what is no JSON before its body is read."""
        media_type = (head.header("content-type") or "").partition(";")[0].strip().lower()
        if media_type != _MEDIA_TYPE:
            return answer(415, error=f"send {_MEDIA_TYPE}")
        return None

    def handle(self, head: Head, body: bytes) -> Answer:
        """Wake what the delivery is for, if it is proved, new and about what is followed."""
        name = head.path.removeprefix(PREFIX)
        delivery = _Delivery(name, self._settings.receivers.get(name), head, body)
        receiver, problem = delivery.receiver, self._problem(delivery)
        if receiver is None or problem is not None:
            self._say_refused(delivery, problem if receiver else "there is no such receiver")
            return answer(401, error="refused")
        with self._lock:
            fresh = self._seen.first(_keys(delivery, receiver))
        if not fresh:
            self._say_refused(delivery, "it was seen before")
            return answer(409, earned=True, error="this delivery was seen before")
        return self._accepted(delivery, receiver)

    def _problem(self, delivery: _Delivery) -> str | None:
        receiver, head, body = delivery.receiver, delivery.head, delivery.body
        kind, secret = "github", self._nobodys_secret
        if receiver is not None:
            kind = receiver.kind
            try:
                secret = self._secret(delivery.name, receiver)
            except errors.SettingsInvalid as error:
                return str(error)
        return proof.examine(kind, head, body, secret, clock.now_us() // 1_000_000)

    def _secret(self, name: str, receiver: Receiver) -> str:
        """Read each time, so that a new one counts at once."""
        setting = f"receivers.{name}.secret_file"
        secret = secret_file.read(self._settings.home, receiver.secret_file, setting)
        if len(secret) < SECRET_CHARACTERS_MIN:
            raise errors.SettingsInvalid(
                f"{setting}: a secret of fewer than {SECRET_CHARACTERS_MIN} characters can be"
                " guessed; make one with: openssl rand -hex 32"
            )
        return secret

    def _accepted(self, delivery: _Delivery, receiver: Receiver) -> Answer:
        woken = _woken(self._settings, receiver, delivery)
        if not woken:
            return answer(200, earned=True, status="ignored")
        self._wake(woken)
        telemetry.log(
            "hook_accepted",
            "A delivery wakes its repositories.",
            receiver=delivery.name,
            sources=woken,
        )
        return answer(202, earned=True, status="accepted")

    def _say_refused(self, delivery: _Delivery, problem: str | None) -> None:
        """Into our log, and not too often: strangers must not fill a disk."""
        with self._lock:
            wanted = self._said.take("", clock.boot_us())
        if wanted:
            telemetry.log(
                "hook_refused",
                f"A delivery was refused: {problem}.",
                level=logging.WARNING,
                receiver=delivery.name if delivery.receiver is not None else None,
                address=delivery.head.address,
            )


def _woken(settings: Settings, receiver: Receiver, delivery: _Delivery) -> list[str]:
    """The repositories that a proved delivery wakes."""
    event = proof.event(receiver, delivery.head)
    if event in _PINGS or (receiver.events and event not in receiver.events):
        return []
    ref = payload.pushed_ref(delivery.body)
    return [
        name
        for name, source in settings.followed.items()
        if name in (receiver.sources or settings.followed) and payload.concerns(ref, source)
    ]


def _keys(delivery: _Delivery, receiver: Receiver) -> list[str]:
    """What a delivery is known by: its id, and what was signed.

    No host signs the id, so that a copy could carry another one; the body is signed. Where
    nothing is, whoever could make a copy knows the secret, and two alike are two.
    """
    id = proof.delivery_id(receiver, delivery.head)
    keys = [f"{delivery.name} {id[:_ID_CHARACTERS_MAX]}"] if id else []
    if receiver.kind in proof.SIGNED:
        time = delivery.head.header("x-timestamp") if receiver.kind == "generic-hmac" else ""
        content = f"{delivery.name}\n{time}\n".encode("latin-1") + delivery.body
        keys.append(hashlib.sha256(content).hexdigest())
    return keys
