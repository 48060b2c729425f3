"""Task webhooks as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import number, paragraphs, short, table, word
from reconciler.views.times import iso, moment
from runner.task_record import shown_state

_WHY_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    """A webhook, where it listens, and what it was sent. `problem` says why nothing gets in."""

    namespace: str
    name: str
    task: str
    profile: str
    suspended: bool
    url: str
    accepted: int
    duplicates: int
    refused: int
    delivered_at: int | None
    last_task: str | None
    last_state: str | None
    refused_at: int | None
    refusal: str | None
    problem: str | None

    @property
    def condition(self) -> str:
        """Whether it takes deliveries."""
        if self.suspended:
            return "suspended"
        return "stalled" if self.problem else "ready"


def webhook_list(found: Sequence[WebhookRecord], closed: str | None) -> Text:
    """The list of webhooks, their addresses, and why the last refusal was one."""
    if not found:
        return Text("No webhooks. A TaskWebhook manifest makes one.")
    headers = ("WEBHOOK", "STATE", "ACCEPTED", "AGAIN", "REFUSED", "LAST (UTC)", "TASK")
    listed = table(headers, map(_row, found))
    addresses = [Text(f"  {_called(one)}: {one.url}", style="dim") for one in found]
    reasons = [
        Text(f"  {_called(one)}: {plain(short(why, _WHY_MAX))}", style="dim")
        for one in found
        if (why := _why(one))
    ]
    shut = Text(f"\n{closed}") if closed else None
    following = Text("\nNext: orloj task TASK", style="dim")
    space = Text()
    return paragraphs(
        *(listed, space, *addresses, space if reasons else None, *reasons, shut, following)
    )


def _called(one: WebhookRecord) -> str:
    return f"{one.namespace}/{one.name}"


def _why(one: WebhookRecord) -> str | None:
    if one.problem:
        return one.problem
    if one.refusal:
        return f"last refused {moment(one.refused_at)}: {one.refusal}"
    return None


def _row(one: WebhookRecord) -> tuple[str | Text, ...]:
    return (
        _called(one),
        word(one.condition),
        number(one.accepted),
        number(one.duplicates),
        number(one.refused),
        moment(one.delivered_at),
        one.last_task or "-",
    )


def webhook_json(one: WebhookRecord) -> dict[str, Any]:
    """The stable fields of a webhook."""
    return {
        "namespace": one.namespace,
        "name": one.name,
        "task": one.task,
        "profile": one.profile,
        "condition": one.condition,
        "problem": one.problem,
        "url": one.url,
        "accepted": one.accepted,
        "duplicates": one.duplicates,
        "refused": one.refused,
        "last_delivery": {
            "at": iso(one.delivered_at),
            "task": one.last_task,
            "state": None if one.last_state is None else shown_state(one.last_state),
        },
        "last_refusal": {"at": iso(one.refused_at), "reason": one.refusal},
    }
