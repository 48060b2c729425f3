"""What an audit entry says, in the one form that is hashed. Pure.

`raw` is canonical JSON: own ASCII field names, no floats, integers within ±(2^53-1),
sorted keys, no spaces. Under these limits it is byte-equal to RFC 8785. Verification
hashes the stored bytes (`merkle.leaf`) and never writes them anew.

The entries of a task are numbered among themselves (`task_seq`, from 1), and one that ends
it says how many there are by then (`entries`): an extract of one task is provably whole.

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

INTEGER_MAX: Final = 2**53 - 1
VERSION: Final = 2
"""1 had no `log`, `code`, `task_seq` and `entries`."""
NO_COMMIT: Final = "none"


class EntryType(StrEnum):
    """What happened. The names are stable; docs/operating.md lists them."""

    LOG_STARTED = "log.started"
    LOG_STOPPED = "log.stopped"
    LOG_PUBLISH_FAILED = "log.publish_failed"
    LOG_KEY_ROTATED = "log.key_rotated"
    LOG_ARCHIVED = "log.archived"
    LOG_BROKEN = "log.broken"
    ACCESS_READ = "access.read"
    ACCESS_EXPORTED = "access.exported"
    ACCESS_REVIEWED = "access.reviewed"
    ERASURE_DONE = "erasure.done"
    HOLD_SET = "hold.set"
    HOLD_RELEASED = "hold.released"
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
    TASK_PARKED = "task.parked"
    TASK_CHILD_QUEUED = "task.child_queued"
    STATE_COPIED = "state.copied"
    SCHEDULE_FIRED = "schedule.fired"
    SCHEDULE_SKIPPED = "schedule.skipped"
    SCHEDULE_MISSED = "schedule.missed"
    WEBHOOK_RECEIVED = "webhook.received"
    DRILL_DONE = "drill.done"
    EVAL_STARTED = "eval.started"
    EVAL_GRADED = "eval.graded"
    EVAL_FINISHED = "eval.finished"
    ACTION_REQUESTED = "action.requested"
    ACTION_DECIDED = "action.decided"
    ACTION_STARTED = "action.started"
    ACTION_EXECUTED = "action.executed"
    ACTION_FAILED = "action.failed"
    ACTION_UNKNOWN = "action.unknown"
    TURN_REPEATED = "turn.repeated"
    TURN_REPAIR = "turn.repair"
    TURN_VIOLATED = "turn.violated"
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


CODES: Final = {
    EntryType.LOG_STARTED: "LOG001I",
    EntryType.LOG_STOPPED: "LOG002I",
    EntryType.LOG_PUBLISH_FAILED: "LOG003E",
    EntryType.LOG_KEY_ROTATED: "LOG004W",
    EntryType.LOG_ARCHIVED: "LOG005I",
    EntryType.STATE_COPIED: "LOG006I",
    EntryType.LOG_BROKEN: "LOG008E",
    EntryType.DRILL_DONE: "LOG007I",
    EntryType.ACCESS_READ: "ACC001I",
    EntryType.ACCESS_EXPORTED: "ACC002I",
    EntryType.ACCESS_REVIEWED: "ACC003I",
    EntryType.ERASURE_DONE: "ERA001W",
    EntryType.HOLD_SET: "ERA002I",
    EntryType.HOLD_RELEASED: "ERA003W",
    EntryType.MANIFEST_APPLIED: "MAN001I",
    EntryType.MANIFEST_REJECTED: "MAN002W",
    EntryType.MANIFEST_WIDENED: "MAN003W",
    EntryType.MANIFEST_OVERRIDDEN: "MAN004W",
    EntryType.MANIFEST_REVERTED: "MAN005W",
    EntryType.SOURCE_SUSPENDED: "SRC001I",
    EntryType.SOURCE_RESUMED: "SRC002I",
    EntryType.DRIFT_DETECTED: "DRI001W",
    EntryType.DRIFT_HEALED: "DRI002I",
    EntryType.RESOURCE_CREATED: "RES001I",
    EntryType.RESOURCE_UPDATED: "RES002I",
    EntryType.RESOURCE_DELETED: "RES003I",
    EntryType.RESOURCE_MOVED: "RES004I",
    EntryType.TASK_QUEUED: "TSK001I",
    EntryType.TASK_CLAIMED: "TSK002I",
    EntryType.TASK_RELEASED: "TSK003I",
    EntryType.TASK_FINISHED: "TSK004I",
    EntryType.TASK_CANCELLED: "TSK005W",
    EntryType.TASK_RESOLVED: "TSK006I",
    EntryType.TASK_RETRIED: "TSK007I",
    EntryType.TASK_DROPPED: "TSK008I",
    EntryType.TASK_PARKED: "TSK009I",
    EntryType.TASK_CHILD_QUEUED: "TSK010I",
    EntryType.SCHEDULE_FIRED: "SCH001I",
    EntryType.SCHEDULE_SKIPPED: "SCH002I",
    EntryType.SCHEDULE_MISSED: "SCH003W",
    EntryType.WEBHOOK_RECEIVED: "WHK001I",
    EntryType.EVAL_STARTED: "EVA001I",
    EntryType.EVAL_GRADED: "EVA002I",
    EntryType.EVAL_FINISHED: "EVA003I",
    EntryType.ACTION_REQUESTED: "ACT001I",
    EntryType.ACTION_DECIDED: "ACT002I",
    EntryType.ACTION_STARTED: "ACT003I",
    EntryType.ACTION_EXECUTED: "ACT004I",
    EntryType.ACTION_FAILED: "ACT005E",
    EntryType.ACTION_UNKNOWN: "ACT006E",
    EntryType.TURN_REPEATED: "TRN001I",
    EntryType.TURN_REPAIR: "TRN002I",
    EntryType.TURN_VIOLATED: "TRN003W",
    EntryType.APPROVAL_REQUESTED: "APR001I",
    EntryType.APPROVAL_GRANTED: "APR002I",
    EntryType.APPROVAL_DENIED: "APR003W",
    EntryType.APPROVAL_WITHDRAWN: "APR004I",
    EntryType.APPROVAL_EXPIRED: "APR005W",
    EntryType.APPROVAL_CONSUMED: "APR006I",
    EntryType.NOTIFICATION_SENT: "NOT001I",
    EntryType.NOTIFICATION_FAILED: "NOT002E",
    EntryType.TOKENS_RESERVED: "TOK001I",
    EntryType.TOKENS_SETTLED: "TOK002I",
    EntryType.ALERT_TOKEN_OVERRUN: "TOK003W",
}
"""Seven characters that stay what they are, to search by: I is news, W is to be looked at,
E is an error. A denial (`action.decided` with `deny`) is `ACT002W`."""
_DENIED: Final = "ACT002W"
CLOSING: Final = frozenset({EntryType.TASK_FINISHED, EntryType.TASK_CANCELLED})
"""What ends a task, and says how many entries it has by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry before it has a place in the log.

    `commit` is the commit it happened under, 40 or 64 hex digits, or `none` while nothing
    has been applied from Git. `rule` is `path:line` of the manifest that decided, `chain`
    the agents whose work led to this one's, itself last. `manifests` is the digest of the
    whole manifest set the task works under. `isolation` is the sandbox that a tool ran in,
    `tool_code` why a tool call was denied or failed, `tries` how often it was made,
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
    tool_code: str | None = None
    tries: int | None = None
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: in which log, at which number, when; and within its task.

    `actor` is how the log calls who did it, where that is not what the entry says.
    """

    log: str
    seq: int
    time_us: int
    task_seq: int | None = None
    actor: str | None = None


def raw(entry: Entry, place: Place, commitments: dict[str, str]) -> bytes:
    """The bytes of an entry at its place in the log."""
    body: dict[str, Any] = {
        name: value
        for name, value in zip(_FIELDS, _values(entry), strict=True)
        if value is not None
    }
    body |= {"v": VERSION, "log": place.log, "seq": place.seq, "time": place.time_us}
    body |= {"type": entry.type.value, "code": code(entry)}
    if place.actor is not None:
        body["actor"] = place.actor
    if place.task_seq is not None:
        body["task_seq"] = place.task_seq
        if entry.type in CLOSING:
            body["entries"] = place.task_seq
    if commitments:
        body["private"] = commitments
    for value in (place.seq, place.time_us, *_integers(entry)):
        assert value is None or abs(value) <= INTEGER_MAX, "JSON readers would round it"
    return encoded(body)


def code(entry: Entry) -> str:
    """The stable code of what happened."""
    if entry.decision == "deny" and entry.type is EntryType.ACTION_DECIDED:
        return _DENIED
    return CODES[entry.type]


def encoded(fields: dict[str, Any]) -> bytes:
    """The one form of an entry's bytes."""
    return canonical(fields).encode("utf-8", "backslashreplace")


def parsed(raw: object) -> dict[str, Any] | None:
    """The fields of an entry; None for what no program of ours wrote."""
    try:
        value = json.loads(raw) if isinstance(raw, bytes) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
