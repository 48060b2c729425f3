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

    @property
    def sign(self) -> str:
        """The sign it is shown with."""
        return {"create": "+", "update": "~", "delete": "-"}[self.value]


@dataclass(frozen=True, slots=True)
class Block:
    """Why a plan may not be applied as things stand.

    `reason` is a stable name (`PruneBudget`), the sentence says what and what to do. One that
    goes away by itself names when, `until_us`; all others wait for a person or a commit.
    """

    reason: str
    sentence: str
    until_us: int | None = None

    def __str__(self) -> str:
        """The sentence."""
        return self.sentence


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who vouches for the commits of a plan. Empty where nobody asked.

    `signature` is `good`, `none`, `bad` or `unknown` for the newest commit, `signer` whose
    it is; `reviewers` and `trailers` are what the commits between say of themselves.
    """

    signature: str = ""
    signer: str = ""
    key: str = ""
    reviewers: tuple[str, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: a dotted path, and its values before and after.

    None means absent. `words` holds the change inside a text, as pairs of a sign (`=`, `-`,
    `+`) and a run of words, where both values are long texts.
    """

    path: str
    before: object | None
    after: object | None
    words: tuple[tuple[str, str], ...] = ()


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

    `blocked` lists why it may not be applied. `examined` counts the manifests whose text
    was looked at, `parsed` the files that no cache knew. `relocated` are resources that
    only stand on other lines of the same file now: no change, but what is recorded follows,
    since every decision names its rule's line. `findings` say what the changes mean for who
    may do what; they follow from the resources, and are no part of the id. Nor is `impact`,
    which is there only for those who read the plan.
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
    counts: Mapping[Action, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many resources of this owner there are once it is applied."""
        return self.unchanged + self.counts[Action.CREATE] + self.counts[Action.UPDATE]

    @property
    def widenings(self) -> tuple[Finding, ...]:
        """The findings that more is possible once it is applied."""
        return tuple(item for item in self.findings if item.severity is Severity.WIDENS)

    @property
    def short_id(self) -> str:
        """The twelve hex digits it is called by."""
        return self.id.removeprefix("sha256:")[:12]
