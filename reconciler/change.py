"""What a plan is made of. Pure values; `Plan.id` is the hash of its content."""

from dataclasses import dataclass, field
from enum import StrEnum

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
    """One resource that is not as the repository says. `reason` says why, in words."""

    action: Action
    key: Key
    reason: str
    before: Recorded | None
    after: Resource | None
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a commit would do, bound to the commit and the state it was made for.

    `blocked` lists why it may not be applied. `examined` counts the manifests whose text
    was read, `parsed` those that no cache knew.
    """

    id: str
    source: str
    commit: str | None
    previous_commit: str | None
    serial: int
    changes: tuple[Change, ...]
    unchanged: int
    warnings: tuple[Problem, ...] = ()
    blocked: tuple[str, ...] = ()
    examined: int = 0
    parsed: int = 0
    subject: str = ""
    author: str = ""
    counts: dict[Action, int] = field(default_factory=dict)
