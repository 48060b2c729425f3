"""Sections 6 and 7: changes and actions."""

from itertools import islice
from typing import Final

from reconciler.evidence.page import charts, words
from reconciler.evidence.page.charts import Bar
from reconciler.evidence.page.markup import (
    Child,
    Markup,
    facts,
    join,
    number,
    paragraph,
    program,
    table,
    text,
    time,
)
from reconciler.evidence.page.opening import mark
from reconciler.evidence.population.calls import Tally
from reconciler.evidence.population.changes import NO, UNKNOWN, YES, Change
from reconciler.evidence.populations import Evidence

CHANGES_MAX: Final = 100
CALLS_MAX: Final = 200
ORPHANS_MAX: Final = 50
_CHANGES: Final = (
    number("Entry"),
    "Applied at, UTC",
    program("Commit"),
    "Author",
    "Committer",
    "Reviewers",
    program("Signature"),
    "Four eyes",
    "Let pass by",
    number("+ ~ -"),
)
_CALLS: Final = (
    program("Agent"),
    program("Tool or model"),
    number("Requested"),
    number("Allowed"),
    number("Asked"),
    number("Denied"),
    number("Executed"),
    number("Failed"),
    number("Unknown"),
    number("Cut off"),
    number("Tokens"),
    number("Mean time"),
)


def changes(evidence: Evidence) -> Markup:
    """Section 6: every commit that was applied, and who had a look at it."""
    total = evidence.change_count
    shown = islice(evidence.changes(), CHANGES_MAX)
    verdicts = {name: 0 for name in (YES, NO, UNKNOWN)}
    overridden = reverted = rewritten = 0
    for change in evidence.changes():
        verdicts[change.four_eyes] += 1
        overridden += bool(change.overrides)
        reverted += change.reverted
        rewritten += change.fast_forward == NO
    return join(
        [
            facts(
                [
                    ("Changes applied", words.count(total)),
                    ("Reviewed by somebody else", words.count(verdicts[YES])),
                    ("Reviewed by nobody else", words.count(verdicts[NO])),
                    ("Cannot be told", words.count(verdicts[UNKNOWN])),
                    ("Let pass against a rule", words.count(overridden)),
                    ("Put an earlier state back", words.count(reverted)),
                    ("Of a rewritten history", words.count(rewritten)),
                    ("Commits refused", words.count(evidence.rejected)),
                ]
            ),
            table(
                "Changes, oldest first",
                _CHANGES,
                (_change(one) for one in shown),
                total=total,
                rest="csv/changes.csv",
            ),
            table(
                "Changes that nobody but their authors is known to have looked at",
                [number("Entry"), program("Commit"), "Why"],
                (
                    (words.count(one.seq), words.short(one.commit), text(one.why))
                    for one in islice(evidence.violations(), CHANGES_MAX)
                ),
                total=verdicts[NO],
                rest="csv/changes.csv",
            ),
            paragraph(
                "Names and reviewers are what the commits say of themselves. A signature is the"
                " fingerprint of its key; whether that key was trusted was decided before the"
                " commit was applied. Results of tests come from the forge and are not here.",
                class_="note",
            ),
        ]
    )


def _change(one: Change) -> tuple[Child, ...]:
    verdict = mark(one.four_eyes, good=one.four_eyes == YES, open=one.four_eyes == UNKNOWN)
    return (
        words.count(one.seq),
        time(words.moment(one.time_us)),
        words.short(one.commit),
        _people(one.authors),
        "the same" if one.committers == one.authors else _people(one.committers),
        _people(one.reviewers),
        _signature(one.signature),
        verdict,
        text(", ".join(one.overrides) or "-"),
        f"{one.created} {one.updated} {one.deleted}",
    )


def _people(names: tuple[str, ...]) -> Markup:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return text((", ".join(names[:3]) + more) or "-", 160)


def _signature(key: str) -> Markup:
    return text(key[:17] + "…" if key.startswith("SHA256:") else key)


def actions(evidence: Evidence) -> Markup:
    """Section 7: every call, and that none of them lacks a step."""
    calls, tallies = evidence.calls, evidence.tallies
    return join(
        [
            _calls_chart(tallies),
            table(
                "Calls by agent and by tool or model",
                _CALLS,
                (_tally(one) for one in tallies[:CALLS_MAX]),
                total=len(tallies),
                rest="csv/calls.csv",
            ),
            facts(
                [
                    (
                        "Calls without a complete record (must be 0)",
                        words.count(calls.orphan_count),
                    ),
                    (
                        "Under way, or waiting for a person, when the period ended",
                        words.count(calls.under_way),
                    ),
                    ("Begun before the period", words.count(calls.earlier)),
                ]
            ),
            table(
                "Calls without a complete record",
                [program("Task"), number("Step"), number("Entry"), "What is missing"],
                (
                    (text(one.task), one.step, words.count(one.seq), text(one.what))
                    for one in calls.orphans[:ORPHANS_MAX]
                ),
                total=calls.orphan_count,
            ),
            paragraph(
                "Asked: the guard let the call wait for a person; it is decided again"
                " afterwards, so allowed and denied count it once more. Cut off: the"
                " worker was lost or stopped during a call that may be repeated, and the log"
                " says so.",
                class_="note",
            ),
        ]
    )


def _tally(one: Tally) -> tuple[Child, ...]:
    ended = one.executed + one.failed
    return (
        text(one.agent or "-"),
        text(f"{one.target} ({one.kind})" if one.target else words.NAMELESS),
        *(
            words.count(value)
            for value in (one.requested, one.allow, one.ask, one.deny, one.executed, one.failed)
        ),
        words.count(one.unknown),
        words.count(one.interrupted),
        words.count(one.tokens_in + one.tokens_out),
        words.lasted(one.duration_us // ended) if ended else "-",
    )


def _calls_chart(tallies: list[Tally]) -> Markup:
    agents: dict[str, list[int]] = {}
    for one in tallies:
        sums = agents.setdefault(one.agent or "-", [0, 0, 0])
        for place, value in enumerate((one.allow, one.ask, one.deny)):
            sums[place] += value
    most = sorted(agents.items(), key=lambda item: (-sum(item[1]), item[0]))
    shown = most[: charts.BARS_MAX]
    if not shown:
        return Markup("")
    rows = [
        Bar(name, tuple(sums), " / ".join(words.count(one) for one in sums))
        for name, sums in shown
    ]
    left = (
        f" The {charts.BARS_MAX} busiest of {len(most)} agents."
        if len(most) > len(shown)
        else ""
    )
    total = [sum(sums[place] for sums in agents.values()) for place in range(3)]
    summary = (
        f"{words.count(total[0])} allowed, {words.count(total[1])} asked,"
        f" {words.count(total[2])} denied.{left}"
    )
    series = ("allowed", "asked", "denied")
    return charts.bars("Decisions by agent", summary, series, rows, "chart-calls")
