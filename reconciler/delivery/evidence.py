"""Whether a delivery proves that its sender knows the secret of a TaskWebhook. Pure.

    generic       X-Signature: sha256=HEX            HMAC-SHA256(secret, time ‖ "." ‖ body)
                  X-Timestamp: SECONDS
    github        X-Hub-Signature-256: sha256=HEX    HMAC-SHA256(secret, body)
    hmac          HEADER: PREFIX HEX|BASE64          HMAC-ALGORITHM(secret, as the format says)
                  HEADER: t=SECONDS,v1=HEX,v1=…      the same, as pairs
    shared_token  HEADER: PREFIX SECRET

The bytes that came are what is signed, and nothing is parsed before. Every comparison takes
the same time wherever the difference is. A header that is there twice is not there.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from runner.contract.kinds.task_webhook import WebhookAuth

PAIRS_MAX: Final = 16
_SECONDS: Final = re.compile(r"[0-9]{1,12}")

Header = Callable[[str], str | None]
"""The value of a header, asked for in lower case; None: not there, or there twice."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What stands in the headers: the time, and the proofs of which one must be right."""

    time: str
    proofs: tuple[str, ...]


def examine(
    auth: WebhookAuth, header: Header, body: bytes, secret: str, now_s: int
) -> str | None:
    """Why a delivery proves nothing; None: its sender knows the secret."""
    given = _given(auth, header)
    if auth.profile == "shared_token":
        # Digests, so that the time says nothing of the length of the secret either.
        known = hashlib.sha256(secret.encode()).digest()
        right = [_same(known, hashlib.sha256(_bytes(one)).digest()) for one in given.proofs]
        return None if any(right) else "its token is missing or wrong"
    digest = _signature(auth, secret, _content(auth, given.time, body))
    right = [_same(digest, _bytes(one)) for one in given.proofs]  # All of them, whichever is.
    if not any(right):
        return "its signature is missing or wrong"
    # Looked at after the signature: who does not know the secret learns nothing of our clock.
    if auth.timed and not _near(given.time, now_s, auth.skew_s):
        return "its time is missing or too far from ours"
    return None


def _given(auth: WebhookAuth, header: Header) -> _Given:
    said = header(auth.header.lower()) or ""
    if auth.header_format == "kv_pairs":
        pairs = [part.strip().partition("=") for part in said.split(",")[:PAIRS_MAX]]
        times = [value for key, _, value in pairs if key == auth.timestamp_key]
        proofs = [value for key, _, value in pairs if key == auth.signature_key]
        return _Given(times[0] if len(times) == 1 else "", tuple(proofs))
    time = (header(auth.time_header.lower()) or "") if auth.timed else ""
    if not said.startswith(auth.prefix):
        return _Given(time, ())
    return _Given(time, (said[len(auth.prefix) :],))


def _content(auth: WebhookAuth, time: str, body: bytes) -> bytes:
    """The bytes that are signed."""
    if not auth.timed:
        return body
    at = _bytes(time)
    if auth.payload_format != "prefix_timestamp_body":
        return at + b"." + body
    parts = (_bytes(auth.payload_prefix or ""), at, body)
    separator = "." if auth.payload_separator is None else auth.payload_separator
    return _bytes(separator).join(parts)


def _signature(auth: WebhookAuth, secret: str, content: bytes) -> bytes:
    digest = hmac.new(secret.encode(), content, auth.algorithm).digest()
    if auth.signature_encoding == "base64":
        return base64.b64encode(digest)
    return digest.hex().encode("ascii")


def _near(time: str, now_s: int, skew_s: int) -> bool:
    return _SECONDS.fullmatch(time) is not None and abs(now_s - int(time)) <= skew_s


def _bytes(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _same(left: bytes, right: bytes) -> bool:
    return hmac.compare_digest(left, right)
