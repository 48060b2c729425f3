"""Which entries a control asks for: `type=action.decided decision=deny`. Pure.

Conditions on fields of an entry's header, with a space between; all of them must hold. A
value is compared letter by letter; `*` at its end stands for any ending, alone for any value;
`-` says that the entry has no such field. The language is closed on purpose: a mapping is
data, and nothing in it is ever run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runner.contract.audit_entry import EntryType

FIELDS: Final = (
    *("type", "code", "agent", "tool", "model", "permission", "decision", "rule"),
    *("approval", "resource", "outcome", "isolation", "tool_code", "task", "commit"),
)
"""What may stand before the `=`. Nothing that names people, or that anybody can choose: it may
be erased one day, and the answer must not change then."""
ANY: Final = "*"
NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions as (field, value), and the types of entry that can fulfil them."""

    text: str
    conditions: tuple[tuple[str, str], ...]
    types: frozenset[str]

    def takes(self, fields: Mapping[str, Any]) -> bool:
        """Whether an entry is one of those asked for."""
        return all(_holds(fields.get(name), value) for name, value in self.conditions)


def selection(text: str) -> Selection:
    """The selection that a text writes; ValueError says what is wrong with it."""
    conditions = tuple(_condition(word) for word in text.split())
    if not conditions:
        raise ValueError("a selection looks like type=action.decided decision=deny")
    types = {
        kind.value
        for kind in EntryType
        if all(_holds(kind.value, value) for name, value in conditions if name == "type")
    }
    if not types:
        raise ValueError(f"no entry has the type that {text} asks for")
    return Selection(text, conditions, frozenset(types))


def _condition(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign or not value:
        raise ValueError(f"{word} is no condition: write field=value")
    if name not in FIELDS:
        raise ValueError(f"no selection by {name}; fields: {', '.join(FIELDS)}")
    return name, value


def _holds(found: Any, value: str) -> bool:
    if value == NONE:
        return found is None
    if value.endswith(ANY):
        return isinstance(found, str) and found.startswith(value[:-1])
    return bool(found == value)
