"""How resources are, as a table, as the one sentence that matters, and as JSON. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.health.rules import Finding, Health
from reconciler.views.plain import plain
from reconciler.views.table import number, paragraphs, short, table

ROWS_MAX: Final = 200
_STYLES: Final = {
    Health.HEALTHY: "green",
    Health.PROGRESSING: "cyan",
    Health.DEGRADED: "bold red",
    Health.SUSPENDED: "dim",
    Health.MISSING: "bold red",
    Health.UNKNOWN: "yellow",
}
BAD: Final = frozenset({Health.DEGRADED, Health.MISSING, Health.UNKNOWN})
_WORST: Final = (
    Health.DEGRADED,
    Health.MISSING,
    Health.UNKNOWN,
    Health.PROGRESSING,
    Health.SUSPENDED,
    Health.HEALTHY,
)


def health_words(findings: Sequence[Finding], *, everything: bool = False) -> Text:
    """The worst first; of many, those that are well are counted only."""
    counts = Counter(finding.health for finding in findings)
    shown = [one for one in findings if everything or one.health is not Health.HEALTHY]
    if len(findings) == 1:
        shown = list(findings)
    shown.sort(key=lambda one: _WORST.index(one.health))
    rows = [
        (Text(one.health.value, _STYLES[one.health]), str(one.key), short(one.why, 100))
        for one in shown[:ROWS_MAX]
    ]
    total = ", ".join(
        f"{number(counts[health])} {health.value}" for health in _WORST if counts[health]
    )
    parts: list[Text | None] = [table(("HEALTH", "RESOURCE", "WHY"), rows)] if rows else []
    if (hidden := len(shown) - ROWS_MAX) > 0:
        parts.append(Text(f"and {number(hidden)} more; --json lists all", "dim"))
    parts.append(Text(total or "No resources.", "bold"))
    if shown and len(findings) > 1:
        parts.append(Text(f"Next: orloj trace {plain(str(shown[0].key))}", "dim"))
    return paragraphs(*parts)


def worst(findings: Sequence[Finding]) -> Finding | None:
    """The first resource that is ill; a missing one before whoever needs it."""
    bad = [finding for finding in findings if finding.health in BAD]
    return min(bad, key=lambda one: one.health is not Health.MISSING, default=None)


def health_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The stable fields: counts, and every resource."""
    counts = Counter(finding.health for finding in findings)
    return {
        "counts": {health.value: counts[health] for health in Health},
        "resources": [
            {"resource": str(one.key), "health": one.health.value, "why": one.why}
            for one in findings
        ],
    }
