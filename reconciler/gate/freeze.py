"""A window in which nothing is applied, by the settings of the repository. Pure.

    deny    frozen inside each of these windows
    allow   frozen outside all of these, where there are any

The block names the moment at which the repository is free again: the look of that moment
applies what then is the newest commit. A plan that changes nothing is not held up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from reconciler.change import Block
from reconciler.gate.request import GateRequest
from reconciler.override import OverrideKind
from runner.contract.source_settings import Freeze
from runner.contract.timetable import Timetable

REASON: Final = "Frozen"
_STEPS_MAX: Final = 100
"""Windows in a row that are looked through for an end: one a minute would have none."""
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Window:
    """A window of the settings, and its moments."""

    settings: Freeze
    timetable: Timetable

    def end(self, at_us: int) -> int | None:
        """When it closes, if it is open; one that opens again meanwhile closes later."""
        length_us = self.settings.length_us
        opened = self.timetable.latest(at_us - length_us, at_us)
        return None if opened is None else opened + length_us


def blocks(request: GateRequest) -> Iterable[Block]:
    """The block of a plan that falls into a frozen time."""
    if not request.plan.changes or not request.settings.freeze:
        return
    if any(item.kind is OverrideKind.FREEZE for item in request.overrides):
        return
    windows = [_window(item) for item in request.settings.freeze]
    free_us = _free(windows, request.now_us)
    if free_us != request.now_us:
        why = _why(windows, request.now_us)
        yield Block(REASON, _sentence(request.plan.target.source, why, free_us), free_us)


@cache
def _window(settings: Freeze) -> _Window:
    return _Window(settings, Timetable(settings.cron, settings.time_zone))


def _free(windows: Sequence[_Window], now_us: int) -> int | None:
    """The first moment from now on at which nothing is frozen; None if none is in sight."""
    denying = [window for window in windows if window.settings.kind == "deny"]
    allowing = [window for window in windows if window.settings.kind == "allow"]
    at_us = now_us
    for _ in range(_STEPS_MAX):
        closing = [end for window in denying if (end := window.end(at_us)) is not None]
        if closing:
            at_us = max(closing)
            continue
        if not allowing or any(window.end(at_us) is not None for window in allowing):
            return at_us
        opening = [
            moment
            for window in allowing
            if (moment := window.timetable.after(at_us)) is not None
        ]
        if not opening:
            return None
        at_us = min(opening)
    return None


def _why(windows: Sequence[_Window], now_us: int) -> str:
    """The window that freezes now, as the settings have it."""
    for window in windows:
        if window.settings.kind == "deny" and window.end(now_us) is not None:
            return f"inside the deny window {_shown(window.settings)}"
    allowing = [item.settings for item in windows if item.settings.kind == "allow"]
    return "outside the allow window " + " and ".join(map(_shown, allowing))


def _shown(settings: Freeze) -> str:
    return f"'{settings.cron}' for {settings.duration} ({settings.time_zone})"


def _sentence(source: str, why: str, free_us: int | None) -> str:
    override = f"orloj reconcile {source} --override-freeze --reason TEXT"
    if free_us is None:
        return f"frozen, {why}, and no end is in sight; apply it now with: {override}"
    at = datetime.fromtimestamp(free_us // _SECOND_US, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"frozen until {at} UTC, {why}: the newest commit is applied then by itself, or now"
        f" with: {override}"
    )
