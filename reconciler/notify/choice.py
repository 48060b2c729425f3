"""Which events a target is told, and what they mean for a commit. Pure."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from reconciler.event.events import Event, EventSeverity
from reconciler.notify.notice import Status
from runner.contract.web_settings import Notify

NOT_TOLD: Final = "NotificationFailed"
"""The reason of an event about a notification; telling of it could go on for ever."""
WELL: Final = frozenset({"Applied", "Recovered"})
"""Reasons of events after which a repository is followed as it should be."""
_RANK: Final = {EventSeverity.INFO: 0, EventSeverity.WARNING: 1, EventSeverity.ERROR: 2}


def wanted(target: Notify, event: Event, *, troubled: bool) -> bool:
    """Whether a target is told; `troubled`: the last it heard of the repository was bad."""
    if event.reason == NOT_TOLD or (target.sources and event.source not in target.sources):
        return False
    if target.is_status and status(event) is None:
        return False
    if _matches(event.message, target.exclude):
        return False
    if troubled and _is_well(event):
        return True
    return (
        _RANK[event.severity] >= _RANK[EventSeverity(target.severity)]
        and (not target.reasons or _matches(event.reason, target.reasons))
        and (not target.include or _matches(event.message, target.include))
    )


def status(event: Event) -> Status | None:
    """What the event says of its commit; None: nothing.

    What is wrong with one resource is not wrong with the commit.
    """
    if event.commit is None or event.resource is not None:
        return None
    if event.severity is EventSeverity.ERROR:
        return Status.FAILURE
    if event.severity is EventSeverity.WARNING:
        return Status.PENDING
    return Status.SUCCESS if _is_well(event) else None


def is_news(new: Status, told: Status | None) -> bool:
    """Whether a status says more than the last one of the commit.

    A commit that was applied does not wait any more, whatever is said of it later.
    """
    return new is not told and not (told is Status.SUCCESS and new is Status.PENDING)


def _is_well(event: Event) -> bool:
    return event.severity is EventSeverity.INFO and event.reason in WELL


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
