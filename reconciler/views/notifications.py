"""Notifications as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import paragraphs, short, table, word
from reconciler.views.times import iso, moment

_STYLES: Final = {"waiting": "yellow", "sent": "green", "failed": "red", "overtaken": "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRecord:
    """What a target is told of an event, and how far that went; `due_at` while it waits."""

    id: str
    target: str
    source: str
    severity: str
    reason: str
    message: str
    commit: str | None
    resource: str | None
    status: str | None
    happened_at: int
    state: str
    attempts: int
    due_at: int | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What a target answered to a test; `problem` says why it was not told."""

    target: str
    told: bool
    status: int | None
    answer: str
    problem: str | None
    retried: bool


def notification_list(found: Sequence[NotificationRecord], targets: Sequence[str]) -> Text:
    """The list, newest first, with the last error of each that has one."""
    if not targets and not found:
        return Text("Nobody is told of events: there is no [notify.NAME] in orloj.toml.")
    if not found:
        return Text(
            f"Nothing to show for {', '.join(targets)}. Try one: orloj notify test {targets[0]}"
        )
    headers = ("TARGET", "STATE", "TRIES", "REASON", "SOURCE", "COMMIT", "NEXT (UTC)")
    errors = [
        Text(f"  {one.target} {plain(one.reason)}: {short(plain(one.error))}", style="dim")
        for one in found
        if one.error is not None
    ]
    return paragraphs(table(headers, map(_row, found)), Text() if errors else None, *errors)


def _row(one: NotificationRecord) -> tuple[str | Text, ...]:
    return (
        one.target,
        Text(one.state, style=_STYLES.get(one.state, "")),
        str(one.attempts),
        one.reason if one.status is None else f"{one.reason} ({one.status})",
        one.source,
        (one.commit or "-")[:12],
        moment(one.due_at),
    )


def notification_json(one: NotificationRecord) -> dict[str, Any]:
    """The stable fields of a notification."""
    fields = asdict(one)
    due_at = fields.pop("due_at")
    fields["happened_at"] = iso(one.happened_at)
    return fields | {"next": None if due_at is None else iso(due_at)}


def trial(one: TrialRecord) -> Text:
    """What a target answered to a test."""
    if not one.told:
        how = "The daemon would try again." if one.retried else "The daemon would give up."
        return Text.assemble(
            word("failed"), f"  {one.target} was not told: {plain(one.problem or '')}. {how}"
        )
    said = f": {plain(one.answer)}" if one.answer else ""
    return Text.assemble(word("done"), f"  {one.target} answered {one.status}{said}")


def trial_json(one: TrialRecord) -> dict[str, Any]:
    """The stable fields of an answer."""
    return asdict(one)
