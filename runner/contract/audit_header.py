"""What may stand in an entry for ever, and what goes in as a commitment only. Pure.

An entry is never changed, so its header holds what identifies nobody: names of manifests,
digests, numbers, enumerations, `path:line` and pseudonyms. Whoever writes an entry need not
think of it: text that anybody can choose is withheld here, whatever it says. What is not
known to be harmless is withheld.
"""

import re
from dataclasses import replace
from typing import Any, Final

from runner.contract.audit_entry import Entry, EntryType

WITHHELD: Final = ("reason", "permission", "outcome", "tool")
"""Fields of the header that may be committed to instead; readers find them in their place."""
ERASED: Final = "(erased)"
"""What a reader finds in the place of a withheld value that is gone."""

_SYSTEM: Final = frozenset(
    {
        *("canary", "daemon", "dispatcher", "eval", "git", "keeper", "runner", "schedule"),
        *("task", "webhook", "worker"),
    }
)
"""How the actors begin that are no people. What they are called, a host as well, is not
personal."""
_SENTENCES: Final = frozenset(
    {
        "its task is over",
        "the agent's manifest allows the tool outright",
        "the agent's own model",
    }
)
"""Reasons that say the same of everybody: withholding them costs a row for each call."""
FILLED: Final = frozenset({EntryType.APPROVAL_GRANTED, EntryType.APPROVAL_DENIED})
"""Entries that name the permissions of a call as its arguments filled them."""
COUNTED: Final = frozenset(
    {
        EntryType.ERASURE_DONE,
        EntryType.LOG_ARCHIVED,
        EntryType.MANIFEST_APPLIED,
        EntryType.MANIFEST_REVERTED,
        EntryType.MEMORY_DELETED,
        EntryType.RESOURCE_MOVED,
    }
)
"""Entries whose outcome is made of numbers, or is the name of a manifest."""
_enumerated: Final = re.compile(r"[a-z0-9_-]{1,64}").fullmatch


def personal(actor: str) -> bool:
    """Whether an actor is, or may be, a person."""
    return actor.partition(":")[0] not in _SYSTEM


def split(entry: Entry) -> tuple[Entry, tuple[tuple[str, Any], ...]]:
    """The entry without what is withheld, and everything that it commits to."""
    found: dict[str, Any] = {}
    reason, permission, outcome = entry.reason, entry.permission, entry.outcome
    if reason is not None and not _said_of_all(reason, permission):
        found["reason"] = reason
    if permission is not None and entry.type in FILLED:
        found["permission"] = permission
    if outcome is not None and entry.type not in COUNTED and not _enumerated(outcome):
        found["outcome"] = outcome
    if not found:
        return entry, entry.private
    kept: dict[str, Any] = dict.fromkeys(found)
    return replace(entry, **kept, private=()), (*entry.private, *found.items())


def _said_of_all(reason: str, permission: str | None) -> bool:
    """Whether a reason says no more than the header does."""
    return reason in _SENTENCES or reason == f"{permission} is granted"
