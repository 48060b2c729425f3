"""What a person is asked when a call needs an approval: exactly one call, as bytes. Pure.

    call + rule + who may say yes ─> canonical bytes (RFC 8785) ─> shown, digested, signed

The bytes are made once and stored; nobody writes them anew. What is shown is read out of
them, and an approval fits a call when what the bytes say of it is what the call is.

    pending ──approve──> approved ──the call begins──> consumed
       │  └────deny────────┴──> denied
       ├──request changes──> changes_requested (a review only)
       └──> expired, withdrawn <──┘
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal

import rfc8785

from runner.contract.errors import Refused

VERSION: Final = 1
REVIEW: Final = "orloj.review"
"""What is asked about an agent's output, as the tool of a call that nobody else can make."""
SIGNATURE_NAMESPACE: Final = "orloj-approval"
"""The namespace that SSH signatures over a request are made in: good for nothing else."""


class ApprovalState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    """Nobody has decided."""
    APPROVED = "approved"
    """A person said yes, and the call has not begun."""
    DENIED = "denied"
    """A person said no."""
    CHANGES = "changes_requested"
    """A person who reviewed an output wants it changed."""
    CONSUMED = "consumed"
    """The call began: this approval is used up."""
    EXPIRED = "expired"
    """Its time ran out first."""
    WITHDRAWN = "withdrawn"
    """Nothing waits for it any more: its task is over, or asks for another call."""


OPEN: Final = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED})
"""States in which something can still come of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCall:
    """All that must be the same when the call is made. `log` is the first leaf of the log."""

    log: str
    task: str
    step: int
    agent: str
    namespace: str
    chain: tuple[str, ...]
    tool: str
    permissions: tuple[str, ...]
    arguments: str
    """The digest of the arguments."""
    manifests: str
    commit: str


@dataclass(frozen=True, slots=True)
class Place:
    """A manifest line that governs the call: the rule, a grant or what the tool requires.

    `by` is the owner of what was applied by hand (`person:NAME`); None: it came from Git.
    """

    what: str
    at: str
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A request for a person's approval of one call. Times are microseconds, UTC."""

    id: str
    call: BoundCall
    arguments: Any
    reason: str
    rule: str
    grant: str | None
    places: tuple[Place, ...]
    approvers: tuple[str, ...]
    """Those declared when it was made; who may decide is looked up when they do."""
    four_eyes: bool
    assurance: Literal["login", "signature"]
    requested_at: int
    expires_at: int
    nonce: str

    def to_bytes(self) -> bytes:
        """The canonical bytes; Refused when the arguments have no canonical form."""
        fields = {**asdict(self), "v": VERSION, "kind": "orloj-approval", "uses": 1}
        return _canonical(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecord:
    """A request as it is stored, and what became of it. `digest` is that of its bytes."""

    id: str
    task: str
    step: int
    state: ApprovalState
    raw: bytes
    digest: str
    requested_at: int
    expires_at: int
    approver: str | None = None
    approver_hash: str | None = None
    assurance: str | None = None
    reason: str | None = None
    signature: str | None = None
    decided_at: int | None = None
    closed_at: int | None = None

    def request(self) -> ApprovalRequest:
        """What its bytes say; Refused when they are not those that were written."""
        if digest_of(self.raw) != self.digest:
            raise tampered(self.id)
        try:
            request = from_bytes(self.raw)
        except (ValueError, KeyError, TypeError) as error:
            raise tampered(self.id) from error
        if (request.id, request.call.task, request.call.step, request.expires_at) != (
            self.id,
            self.task,
            self.step,
            self.expires_at,
        ):
            raise tampered(self.id)
        return request


def tampered(id: str) -> Refused:
    """The error for a stored request that somebody edited."""
    return Refused(
        f"the request for approval {id} is not what was written: somebody edited the database;"
        " run `orloj audit verify`"
    )


def digest_of(raw: bytes) -> str:
    """The digest of a request's bytes, as it stands in the log."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """The digest of a call's arguments: SHA-256 of their RFC 8785 form; Refused."""
    return digest_of(_canonical(arguments))


def from_bytes(raw: bytes) -> ApprovalRequest:
    """What the bytes of a request say; ValueError, KeyError or TypeError when it is none."""
    value: dict[str, Any] = json.loads(raw)
    if value.pop("v") != VERSION or value.pop("kind") != "orloj-approval":
        raise ValueError("not a request for approval")
    if value.pop("uses") != 1:
        raise ValueError("an approval is good for one use")
    call: dict[str, Any] = value.pop("call")
    for name in ("chain", "permissions"):
        call[name] = tuple(call[name])
    places = tuple(Place(**place) for place in value.pop("places"))
    approvers = tuple(value.pop("approvers"))
    return ApprovalRequest(call=BoundCall(**call), places=places, approvers=approvers, **value)


def _canonical(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "the arguments have no canonical form (RFC 8785), so nobody can approve them: "
            "integers beyond 2^53 belong into a text"
        ) from error
