"""Notifications as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.notify.notice import Notice, NoticeState
from reconciler.notify.post import Reply
from reconciler.views.plain import plain
from reconciler.views.table import paragraphs, short, table, word
from reconciler.views.times import iso, moment

_STYLES: Final = {
    NoticeState.WAITING: "yellow",
    NoticeState.SENT: "green",
    NoticeState.FAILED: "red",
    NoticeState.OVERTAKEN: "dim",
}


def notification_list(found: Sequence[Notice], targets: Sequence[str]) -> Text:
    """The list, newest first, with the last error of each that has one."""
    if not targets:
        return Text("Nobody is told of events: there is no [notify.NAME] in orloj.toml.")
    if not found:
        return Text(
            f"Nothing was sent yet to {plain(', '.join(targets))}."
            f" Try one: orloj notify test {plain(targets[0])}"
        )
    headers = ("TARGET", "STATE", "TRIES", "REASON", "SOURCE", "COMMIT", "NEXT (UTC)")
    errors = [
        Text(f"  {notice.target} {notice.event.reason}: {short(plain(notice.error))}", "dim")
        for notice in found
        if notice.error is not None
    ]
    rows = table(headers, map(_row, found))
    return paragraphs(rows, Text() if errors else None, *errors)


def _row(notice: Notice) -> tuple[str | Text, ...]:
    event, waiting = notice.event, notice.state is NoticeState.WAITING
    state = Text(notice.state.value, style=_STYLES[notice.state])
    return (
        notice.target,
        state,
        str(notice.attempts),
        event.reason if notice.status is None else f"{event.reason} ({notice.status})",
        event.source,
        (event.commit or "-")[:12],
        moment(notice.due_at) if waiting else "-",
    )


def notification_json(notice: Notice) -> dict[str, Any]:
    """The stable fields of a notification."""
    event = notice.event
    return {
        "id": notice.id,
        "target": notice.target,
        "source": event.source,
        "severity": event.severity.value,
        "reason": event.reason,
        "message": event.message,
        "commit": event.commit,
        "resource": event.resource,
        "status": notice.status,
        "happened_at": iso(notice.happened_at),
        "state": notice.state.value,
        "attempts": notice.attempts,
        "next": iso(notice.due_at) if notice.state is NoticeState.WAITING else None,
        "error": notice.error,
    }


def reply(name: str, found: Reply) -> Text:
    """What a target answered to a test."""
    if found.problem is not None:
        again = "The daemon would try again." if found.again else "The daemon would give it up."
        return Text.assemble(
            word("failed"), f"  {plain(name)} was not told: {plain(found.problem)}. {again}"
        )
    said = f": {plain(found.said)}" if found.said else ""
    return Text.assemble(word("done"), f"  {plain(name)} answered {found.status}{said}")


def reply_json(name: str, found: Reply) -> dict[str, Any]:
    """The stable fields of an answer."""
    return {
        "target": name,
        "told": found.problem is None,
        "status": found.status,
        "answer": found.said,
        "problem": found.problem,
        "retried": found.again,
    }
