"""What is not as it was applied: as words and as JSON. Pure.

A line for each drift, the fields of what was edited, what stands outside Git apart, and what
to do next. Everything comes from rows that somebody may have written, and is neutralised.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.change import FieldChange
from reconciler.drift.drift import WORLD, Drift, DriftKind
from reconciler.views.plain import plain
from reconciler.views.plan_fields import one_field
from reconciler.views.plan_line import texts
from reconciler.views.problems import counted
from reconciler.views.table import heading, paragraphs, table
from reconciler.views.times import ago, iso

FIELDS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class DriftShown:
    """A drift with what is known besides: since when, its manifest line, its fields."""

    drift: Drift
    since: int | None = None
    place: str = ""
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDrift:
    """What a look at one repository found."""

    name: str
    commit: str | None
    examined: int
    drifts: Sequence[DriftShown]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """Everything that `orloj drift` says. `heals` are those that the policy puts back."""

    now_us: int
    sources: Sequence[SourceDrift]
    world: Sequence[DriftShown]
    elapsed_ms: float

    @property
    def standing(self) -> list[DriftShown]:
        """What somebody has to act on."""
        found = [shown for source in self.sources for shown in source.drifts]
        return [shown for shown in [*found, *self.world] if shown.drift.counts]

    @property
    def by_hand(self) -> list[DriftShown]:
        """What stands outside Git, and nothing is wrong with it."""
        found = [shown for source in self.sources for shown in source.drifts]
        return [shown for shown in found if not shown.drift.counts]


def drift_words(report: DriftReport) -> Text:
    """The report for people."""
    failed = [source for source in report.sources if source.error]
    return paragraphs(
        *[Text(f"{source.name}: {plain(str(source.error))}", "red") for source in failed],
        _table(report) if report.standing else None,
        *_fields(report.standing),
        _by_hand(report.by_hand),
        Text(_summary(report), "bold"),
        Text(f"Next: {_next(report)}", "dim") if report.standing or failed else None,
    )


def _table(report: DriftReport) -> Text:
    rows = [
        (
            shown.drift.subject,
            Text(shown.drift.kind.value, "yellow"),
            ago(shown.since, report.now_us) if shown.since else "now",
            shown.drift.sentence,
        )
        for shown in report.standing
    ]
    return table(("RESOURCE", "DRIFT", "SINCE", "WHAT"), rows)


def _fields(standing: Sequence[DriftShown]) -> Iterator[Text]:
    for shown in standing:
        if shown.fields:
            place = f"  {plain(shown.place)}" if shown.place else ""
            yield Text.assemble(
                ("\n" + plain(shown.drift.subject), "bold"),
                (place, "cyan"),
                ("  as applied → as recorded", "dim"),
            )
            for field in shown.fields[:FIELDS_MAX]:
                yield from texts(one_field(field))
            if (more := len(shown.fields) - FIELDS_MAX) > 0:
                yield Text(f"      ({counted(more, 'more field')} hidden)", "dim")


def _by_hand(found: Sequence[DriftShown]) -> Text | None:
    if not found:
        return None
    lines = [Text(f"  {plain(f'{s.drift.subject}: {s.drift.sentence}')}") for s in found]
    return paragraphs(heading("\nOutside Git, as the log says"), *lines)


def _summary(report: DriftReport) -> str:
    examined = sum(source.examined for source in report.sources)
    took = f"{counted(examined, 'resource')} compared in {report.elapsed_ms:.0f} ms"
    subjects = {shown.drift.subject for shown in report.standing}
    start = "\n" if subjects or report.by_hand else ""
    if not subjects:
        return f"{start}No drift: {took}."
    verb = "is" if len(subjects) == 1 else "are"
    return f"{start}{counted(len(subjects), 'thing')} {verb} not as applied; {took}."


def _next(report: DriftReport) -> str:
    if any(source.error for source in report.sources):
        return "orloj reconcile --wait"
    if any(shown.drift.healable for shown in report.standing):
        return "orloj audit verify, then orloj drift --heal"
    kinds = {shown.drift.kind for shown in report.standing}
    if kinds <= WORLD:
        changed = DriftKind.CHANGED in kinds
        return "mend it on the host" + (
            ", or take it as it is: orloj drift --accept" if changed else ""
        )
    return "orloj audit verify, then orloj reconcile --wait"


def drift_json(report: DriftReport) -> dict[str, Any]:
    """The stable fields of the report."""
    return {
        "sources": [
            {
                "name": source.name,
                "commit": source.commit,
                "examined": source.examined,
                "error": source.error,
                "drifts": [_json(shown) for shown in source.drifts if shown.drift.counts],
                "by_hand": [_json(s) for s in source.drifts if not s.drift.counts],
            }
            for source in report.sources
        ],
        "world": [_json(shown) for shown in report.world],
        "total": len({shown.drift.subject for shown in report.standing}),
    }


def _json(shown: DriftShown) -> dict[str, Any]:
    drift = shown.drift
    return {
        "resource": drift.subject,
        "drift": drift.kind.value,
        "since": iso(shown.since) if shown.since else None,
        "what": drift.sentence,
        "place": shown.place or None,
        "healable": drift.healable,
        "fields": [
            {"path": field.path, "applied": field.before, "recorded": field.after}
            for field in shown.fields
        ],
    }
