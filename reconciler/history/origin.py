"""Where a resource comes from, as a value. Pure; a step that nobody recorded is None."""

from dataclasses import dataclass

from reconciler.change import Provenance
from reconciler.history.plan import KeptChange, Record
from reconciler.resource import Recorded


@dataclass(frozen=True, slots=True)
class Written:
    """The commit that last changed a file; `time` is the committer's, microseconds UTC."""

    commit: str
    author: str
    committer: str
    subject: str
    time: int


@dataclass(frozen=True, slots=True)
class LetPass:
    """What somebody let pass in the commit that would have been stopped."""

    kind: str
    subject: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """All that is known of where a resource comes from.

    `text` is the line it begins on, `record` the apply that brought it, `change` its own
    line in that plan, `entry` the number of its entry in the audit log.
    """

    resource: Recorded
    applied_at: int
    text: str | None
    source: str | None
    url: str | None
    ref: str | None
    written: Written | None
    record: Record | None
    change: KeptChange | None
    provenance: Provenance
    let_pass: tuple[LetPass, ...]
    entry: int | None
