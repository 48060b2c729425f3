"""What is wrong with the annotations that Orloj acts on. Pure.

A misspelled protection would protect nothing and say so to nobody, so that a name near to
one of ours is a mistake. Other names belong to other tools and are left alone.
"""

import difflib
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.manifest import wording
from reconciler.manifest.syntax import quoted
from reconciler.manifest.wording import Finding
from runner.contract.kinds import Metadata
from runner.contract.kinds.annotations import (
    DRAIN_TIMEOUT,
    IN_FLIGHT,
    KNOWN,
    PREFIX,
    PROTECT,
)
from runner.contract.kinds.base import seconds

DRAIN_MAX_S: Final = 86_400.0
_POLICIES: Final = ("continue", "cancel", "drain")
_NOT_IN_TASKS: Final = frozenset(
    {"Approver", "RetentionPolicy", "TaskSchedule", "TaskWebhook", "Worker"}
)
_NEAR: Final = 0.75


def mistakes(kind: str, metadata: Metadata) -> Iterator[Finding]:
    """Each mistake, at its annotation. No value is ever shown."""
    for name, value in metadata.annotations.items():
        path = ("metadata", "annotations", name)
        if name in _VALUES:
            if hint := _VALUES[name](value):
                yield Finding(path, False, f"{quoted(name)}: {hint}")
            elif kind in _NOT_IN_TASKS and name != PROTECT:
                yield Finding(path, True, f"{quoted(name)}: no task works under {kind}")
        elif name.startswith(PREFIX) and _near(name):
            hint = wording.did_you_mean(name, KNOWN)
            yield Finding(path, True, f"unknown annotation {quoted(name)}", hint)
    if DRAIN_TIMEOUT in metadata.annotations and metadata.annotations.get(IN_FLIGHT) != "drain":
        path = ("metadata", "annotations", DRAIN_TIMEOUT)
        yield Finding(path, True, f"{quoted(DRAIN_TIMEOUT)} needs {quoted(IN_FLIGHT)}: drain")


def _near(name: str) -> bool:
    """Whether a name was probably meant to be one of ours; the prefix alone is no likeness."""
    rest = name.removeprefix(PREFIX)
    ours = [known.removeprefix(PREFIX) for known in KNOWN]
    return bool(difflib.get_close_matches(rest, ours, n=1, cutoff=_NEAR))


def _truth(value: str) -> str | None:
    return None if value in ("true", "false") else 'it can only be "true" or "false"'


def _policy(value: str) -> str | None:
    return None if value in _POLICIES else f"it can only be {', '.join(_POLICIES)}"


def _patience(value: str) -> str | None:
    try:
        length_s = seconds(value)
    except ValueError as error:
        return str(error)
    return None if 0 < length_s <= DRAIN_MAX_S else "it is more than 0s, and 24h at most"


_VALUES: Final[dict[str, Callable[[str], str | None]]] = {
    PROTECT: _truth,
    IN_FLIGHT: _policy,
    DRAIN_TIMEOUT: _patience,
}
