"""Events as people read them, one line each, and as JSON, one object a line. Pure."""

from typing import Any, Final

from rich.text import Text

from reconciler.event.event import EventRecord, EventSeverity
from reconciler.views.plain import plain
from reconciler.views.times import iso, length, moment

_STYLES: Final = {
    EventSeverity.INFO: "green",
    EventSeverity.WARNING: "yellow",
    EventSeverity.ERROR: "bold red",
}


def event_line(record: EventRecord) -> Text:
    """`2026-11-25 03:00:00  error  default  ManifestInvalid (x17 over 8m)  message  [abc]`."""
    event = record.event
    line = Text.assemble(
        (moment(record.last_at), "dim"),
        "  ",
        (event.severity.value.ljust(7), _STYLES[event.severity]),
        "  ",
        plain(event.source),
        "  ",
        (plain(event.reason), "bold"),
    )
    if record.count > 1:
        line.append(f" (x{record.count} over {_over(record)})", "yellow")
    if event.resource:
        line.append(f"  {plain(event.resource)}", "cyan")
    if event.message:
        line.append(f"  {plain(' '.join(event.message.split()))}")
    if event.commit:
        line.append(f"  [{plain(event.commit[:12])}]", "dim")
    return line


def event_json(record: EventRecord) -> dict[str, Any]:
    """The stable fields of an event."""
    event = record.event
    return {
        "id": record.id,
        "source": event.source,
        "severity": event.severity.value,
        "reason": event.reason,
        "message": event.message,
        "commit": event.commit,
        "resource": event.resource,
        "count": record.count,
        "first_at": iso(record.first_at),
        "last_at": iso(record.last_at),
    }


def _over(record: EventRecord) -> str:
    """How long it went on: `8m`, `2h 5m`."""
    passed = length(max(0, record.last_at - record.first_at))
    return passed.replace(" min", "m").replace(" s", "s").replace(" h", "h").replace(" d", "d")
