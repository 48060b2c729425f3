"""What a plan is made of. Pure values; `Plan.id` is the hash of its content."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reconciler.governance.finding import Finding, Severity
from reconciler.impact import Impact
from reconciler.problem import Problem
from reconciler.resource import Recorded, Resource
from runner.contract.kinds import Key


class Action(StrEnum):
    """What happens to a resource. Unchanged ones are counted, not listed."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    MOVE = "move"
    """It goes on under another name, and keeps its history."""

    @property
    def sign(self) -> str:
        """The sign it is shown with."""
        return {"create": "+", "update": "~", "delete": "-", "move": ">"}[self.value]


class ReasonCode(StrEnum):
    """Why something happens to a resource, for programs. The names are promises."""

    CREATE_NEW = "create_new"
    """The record has nothing of this name."""
    UPDATE_MANIFEST_CHANGED = "update_manifest_changed"
    UPDATE_FILE_MOVED = "update_file_moved"
    """The same manifest stands in another file."""
    UPDATE_CHANGED_AND_FILE_MOVED = "update_changed_and_file_moved"
    UPDATE_TAKEN_OVER = "update_taken_over"
    """A person had applied it by hand, and the repository declares it now."""
    DELETE_FILE_REMOVED = "delete_file_removed"
    DELETE_FILE_IGNORED = "delete_file_ignored"
    """The settings hide its file now."""
    DELETE_MANIFEST_REMOVED = "delete_manifest_removed"
    """Its file is there, and does not declare it any more."""
    MOVE_DECLARED = "move_declared"
    """The annotation `orloj.dev/moved-from` says so."""
    MOVE_SAME_SPEC = "move_same_spec"
    """One resource of the kind went, one came, and they say the same."""
    MOVE_FILE_RENAMED = "move_file_renamed"
    """Git sees that the one file became the other."""
    UNSPECIFIED = "unspecified"
    """Whoever made the change gave no code."""


@dataclass(frozen=True, slots=True)
class Block:
    """Why a plan may not be applied as things stand.

    `reason` is a stable name (`PruneBudget`), the sentence says what and what to do. One that
    goes away by itself names when, `until_us`; all others wait for a person or a commit.
    `whose` says whose work it is about: shown to people, and kept out of the log.
    """

    reason: str
    sentence: str
    until_us: int | None = None
    whose: str = ""

    def __str__(self) -> str:
        """The sentence."""
        return self.sentence


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who vouches for the commits of a plan. Empty where nobody asked.

    `signature` is `good`, `none`, `bad` or `unknown` for the newest commit, `signer` whose
    it is and `key` its fingerprint; `reviewers` and `trailers` are what the commits between
    say of themselves, `remarks` what a reader should know besides.
    """

    signature: str = ""
    signer: str = ""
    key: str = ""
    reviewers: tuple[str, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: a dotted path, and its values before and after.

    None means absent. `words` holds the change inside a text, as pairs of a sign (`=`, `-`,
    `+`) and a run of words, where both values are long texts. `within` tells which item of a
    list it stands in (`tool: mail`) where the path only counts; `remark` says what a reader
    would not see: that only white space differs.
    """

    path: str
    before: object | None
    after: object | None
    words: tuple[tuple[str, str], ...] = ()
    within: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that is not as the repository says. `reason` says why, in words.

    `fields` is filled by `plan.explain` for those who will read it: the apply needs only
    the hashes, and a plan of ten thousand changes must not pay for prose nobody sees.
    """

    action: Action
    key: Key
    reason: str
    before: Recorded | None
    after: Resource | None
    fields: tuple[FieldChange, ...] = ()
    code: ReasonCode = ReasonCode.UNSPECIFIED

    @property
    def standing(self) -> Key:
        """The key under which it is recorded, and tasks know it; its own where it is new."""
        return self.before.key if self.before is not None else self.key

    @property
    def previous(self) -> Key | None:
        """The key it had before it moved; None for all that did not."""
        moved = self.action is Action.MOVE and self.before is not None
        return self.before.key if moved and self.before else None

    @property
    def respecified(self) -> bool:
        """Whether the resource itself differs, not only its place or its owner."""
        return (
            self.before is None
            or self.after is None
            or self.before.spec_hash != self.after.spec_hash
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a plan is for: an owner, and the commit it moves to; for a person, no commit.

    `commits` counts those between the two; None when that is not known. `fast_forward` is
    false when the history was rewritten, so that the old commit is no ancestor of the new.
    """

    owner: str
    source: str = ""
    ref: str = ""
    commit: str | None = None
    tree: str | None = None
    previous_commit: str | None = None
    serial: int = 0
    author: str = ""
    committer: str = ""
    subject: str = ""
    commits: int | None = None
    fast_forward: bool = True
    provenance: Provenance = Provenance()

    def at(self, serial: int) -> "Target":
        """The same target, starting from the state of this serial."""
        return replace(self, serial=serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an apply would do, bound to the commit and to the state it was made for.

    `partial` names what it shows, where it shows only a part of what applying the commit does;
    such a plan is for reading. `blocked` lists why it may not be applied. `examined` counts
    the manifests whose text was looked at, `parsed` the files that no cache knew.
    `relocated` are resources that only stand on other lines of the same file now: no change,
    but what is recorded follows, since every decision names its rule's line. `findings` say
    what the changes mean for who may do what; they follow from the resources, and are no part
    of the id. Nor is `impact`, which is there only for those who read the plan.
    """

    id: str
    target: Target
    changes: tuple[Change, ...]
    unchanged: int
    relocated: tuple[Resource, ...] = ()
    warnings: tuple[Problem, ...] = ()
    blocked: tuple[Block, ...] = ()
    findings: tuple[Finding, ...] = ()
    impact: Impact | None = None
    examined: int = 0
    parsed: int = 0
    partial: tuple[str, ...] = ()
    counts: Mapping[Action, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many resources of this owner there are once it is applied."""
        there = (Action.CREATE, Action.UPDATE, Action.MOVE)
        return self.unchanged + sum(self.counts[action] for action in there)

    @property
    def widenings(self) -> tuple[Finding, ...]:
        """The findings that more is possible once it is applied."""
        return tuple(item for item in self.findings if item.severity is Severity.WIDENS)

    @property
    def short_id(self) -> str:
        """The twelve hex digits it is called by."""
        return self.id.removeprefix("sha256:")[:12]
