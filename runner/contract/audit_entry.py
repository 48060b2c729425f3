"""What an audit entry says, and the hashes that chain it. Pure.

    leaf  = SHA-256(0x00 ‖ raw)                 the leaf hash of RFC 6962, section 2.1
    chain = SHA-256(previous chain ‖ leaf)      32 zero bytes before the first

`raw` is canonical JSON: own ASCII field names, no floats, integers within ±(2^53-1),
sorted keys, no spaces. Under these limits it is byte-equal to RFC 8785. Verification
hashes the stored bytes and never writes them anew.

A value that may be personal never stands in an entry. Its commitment does:
HMAC-SHA256(salt, field ‖ 0x00 ‖ canonical value), salted afresh, so that a guess cannot be
confirmed and deleting salt and value erases it while every hash still holds.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

CHAIN_START: Final = bytes(32)
INTEGER_MAX: Final = 2**53 - 1
VERSION: Final = 1
NO_COMMIT: Final = "none"


class EntryType(StrEnum):
    """What happened. The names are stable; docs/operating.md lists them."""

    LOG_STARTED = "log.started"
    MANIFEST_APPLIED = "manifest.applied"
    MANIFEST_REJECTED = "manifest.rejected"
    MANIFEST_WIDENED = "manifest.widened"
    MANIFEST_OVERRIDDEN = "manifest.overridden"
    MANIFEST_REVERTED = "manifest.reverted"
    SOURCE_SUSPENDED = "source.suspended"
    SOURCE_RESUMED = "source.resumed"
    DRIFT_DETECTED = "drift.detected"
    DRIFT_HEALED = "drift.healed"
    RESOURCE_CREATED = "resource.created"
    RESOURCE_UPDATED = "resource.updated"
    RESOURCE_DELETED = "resource.deleted"
    RESOURCE_MOVED = "resource.moved"
    TASK_QUEUED = "task.queued"
    TASK_CLAIMED = "task.claimed"
    TASK_RELEASED = "task.released"
    TASK_FINISHED = "task.finished"
    TASK_CANCELLED = "task.cancelled"
    TASK_RESOLVED = "task.resolved"
    TASK_RETRIED = "task.retried"
    TASK_DROPPED = "task.dropped"
    STATE_COPIED = "state.copied"
    SCHEDULE_FIRED = "schedule.fired"
    SCHEDULE_SKIPPED = "schedule.skipped"
    SCHEDULE_MISSED = "schedule.missed"
    TASK_PARKED = "task.parked"
    DRILL_DONE = "drill.done"
    ACTION_REQUESTED = "action.requested"
    ACTION_DECIDED = "action.decided"
    ACTION_EXECUTED = "action.executed"
    ACTION_FAILED = "action.failed"
    ACTION_UNKNOWN = "action.unknown"
    APPROVAL_REQUESTED = "action.approval_requested"
    APPROVAL_GRANTED = "action.approval_granted"
    APPROVAL_DENIED = "action.approval_denied"
    APPROVAL_WITHDRAWN = "action.approval_withdrawn"
    APPROVAL_EXPIRED = "action.expired"
    APPROVAL_CONSUMED = "action.consumed"
    NOTIFICATION_SENT = "notification.sent"
    NOTIFICATION_FAILED = "notification.failed"
    TOKENS_RESERVED = "tokens.reserved"
    TOKENS_SETTLED = "tokens.settled"
    ALERT_TOKEN_OVERRUN = "alert.token_overrun"  # noqa: S105 - a name, no secret.


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry before it has a place in the log.

    `commit` is the commit it happened under, 40 or 64 hex digits, or `none` while nothing
    has been applied from Git. `rule` is `path:line` of the manifest that decided, `chain`
    the agents whose work led to this one's, itself last. `manifests` is the digest of the
    whole manifest set the task works under. `isolation` is the sandbox that a tool ran in,
    `approval` the request for a person's approval that it is about or rests on.
    `private` holds values that go in as commitments only. `charges` says what counts under
    limits, each as (dimension, scope, amount, limit), from the moment `at` on their clock.
    """

    type: EntryType
    actor: str
    commit: str
    task: str | None = None
    attempt: int | None = None
    step: int | None = None
    agent: str | None = None
    chain: tuple[str, ...] | None = None
    tool: str | None = None
    model: str | None = None
    permission: str | None = None
    decision: str | None = None
    rule: str | None = None
    reason: str | None = None
    approval: str | None = None
    manifests: str | None = None
    resource: str | None = None
    digest: str | None = None
    outcome: str | None = None
    isolation: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    duration_us: int | None = None
    at: int | None = None
    charges: tuple[tuple[str, str, int, int], ...] | None = None
    private: tuple[tuple[str, Any], ...] = ()


_FIELDS: Final = tuple(
    name for name in Entry.__dataclass_fields__ if name not in {"type", "private"}
)
_values: Final = attrgetter(*_FIELDS)
_integers: Final = attrgetter(
    *(name for name, field in Entry.__dataclass_fields__.items() if field.type == int | None)
)
_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical(value: Any) -> str:
    """Canonical JSON of a value; ValueError on NaN and infinities.

    Equal to RFC 8785 for values without floats and without keys above U+D7FF.
    """
    return _ENCODER.encode(value)


def commitment(salt: bytes, field: str, value: str) -> str:
    """`hmac-sha256:` and the hex commitment to a canonical value under a salt."""
    message = field.encode() + b"\x00" + value.encode("utf-8", "surrogatepass")
    return "hmac-sha256:" + hmac.new(salt, message, hashlib.sha256).hexdigest()


def raw(entry: Entry, seq: int, time_us: int, commitments: dict[str, str]) -> bytes:
    """The bytes of an entry at its place in the log."""
    body: dict[str, Any] = {
        name: value
        for name, value in zip(_FIELDS, _values(entry), strict=True)
        if value is not None
    }
    body |= {"v": VERSION, "seq": seq, "time": time_us, "type": entry.type.value}
    if commitments:
        body["private"] = commitments
    for value in (seq, time_us, *_integers(entry)):
        assert value is None or abs(value) <= INTEGER_MAX, "JSON readers would round it"
    return encoded(body)


def encoded(fields: dict[str, Any]) -> bytes:
    """The one form of an entry's bytes."""
    return canonical(fields).encode("utf-8", "backslashreplace")


def leaf(raw_bytes: bytes) -> bytes:
    """The leaf hash of an entry's bytes."""
    return hashlib.sha256(b"\x00" + raw_bytes).digest()


def chain(previous: bytes, leaf_hash: bytes) -> bytes:
    """The hash over everything up to and including an entry."""
    return hashlib.sha256(previous + leaf_hash).digest()
