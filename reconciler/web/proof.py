"""Whether a delivery proves that its sender knows the secret. Pure.

    github        X-Hub-Signature-256: sha256=HEX     HMAC-SHA256(secret, body)
    gitea         X-Gitea-Signature: HEX              HMAC-SHA256(secret, body)
    generic-hmac  X-Signature: sha256=HEX             HMAC-SHA256(secret, time ‖ "." ‖ body)
                  X-Timestamp: SECONDS                at most five minutes off
    gitlab        X-Gitlab-Token: SECRET
    generic       Authorization: Bearer SECRET

The bytes that came are what is signed, and nothing is parsed before. Every comparison takes
the same time wherever the difference is.
"""

import hashlib
import hmac
import re
from typing import Final

from reconciler.web.message import Head
from runner.contract.web_settings import Receiver

SKEW_S: Final = 300
SIGNED: Final = frozenset({"github", "gitea", "generic-hmac"})
"""Kinds that sign the body; the others tell the secret itself."""
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_IDS: Final = {
    "github": "x-github-delivery",
    "gitea": "x-gitea-delivery",
    "gitlab": "x-gitlab-event-uuid",
    "generic-hmac": "x-delivery",
    "generic": "x-delivery",
}
_EVENTS: Final = {
    "github": "x-github-event",
    "gitea": "x-gitea-event",
    "gitlab": "x-gitlab-event",
    "generic-hmac": "x-event",
    "generic": "x-event",
}


def examine(kind: str, head: Head, body: bytes, secret: str, now_s: int) -> str | None:
    """Why a delivery does not prove that its sender knows the secret; None: it does."""
    match kind:
        case "github":
            signature = (head.header("x-hub-signature-256") or "").removeprefix("sha256=")
            return _signed(signature, secret, body)
        case "gitea":
            return _signed(head.header("x-gitea-signature") or "", secret, body)
        case "generic-hmac":
            return _signed_in_time(head, body, secret, now_s)
        case "gitlab":
            return _told(head.header("x-gitlab-token") or "", secret)
    given = head.header("authorization") or ""
    return _told(given[7:] if given[:7].lower() == "bearer " else "", secret)


def delivery_id(receiver: Receiver, head: Head) -> str | None:
    """What the sender calls this delivery; it is not signed by any of them."""
    return head.header(_IDS[receiver.kind])


def event(receiver: Receiver, head: Head) -> str | None:
    """The name of the event; it is not signed by any of them."""
    return head.header(_EVENTS[receiver.kind])


def _signed_in_time(head: Head, body: bytes, secret: str, now_s: int) -> str | None:
    time = head.header("x-timestamp") or ""
    signature = (head.header("x-signature") or "").removeprefix("sha256=")
    if problem := _signed(signature, secret, time.encode("latin-1") + b"." + body):
        return problem
    # Looked at after the signature: who does not know the secret learns nothing of our clock.
    if not _SECONDS.fullmatch(time) or abs(now_s - int(time)) > SKEW_S:
        return "its time is missing or too far from ours"
    return None


def _signed(signature: str, secret: str, content: bytes) -> str | None:
    digest = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    given = signature if _HEX.fullmatch(signature) else "-" * 64
    same = hmac.compare_digest(digest, given)
    return None if same else "its signature is missing or wrong"


def _told(given: str, secret: str) -> str | None:
    # Digests, so that the time says nothing of the length of the secret either.
    known = hashlib.sha256(secret.encode()).digest()
    same = hmac.compare_digest(known, hashlib.sha256(given.encode("latin-1")).digest())
    return None if same else "its token is missing or wrong"
