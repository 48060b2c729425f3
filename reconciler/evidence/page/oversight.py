"""Sections 8 to 10: approvals, limits and denials."""

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
    tag,
    text,
    time,
)
from reconciler.evidence.page.opening import mark
from reconciler.evidence.population.oversight import Approval
from reconciler.evidence.population.spending import Spent
from reconciler.evidence.populations import Evidence

APPROVALS_MAX: Final = 100
LIMITS_MAX: Final = 100
DENIALS_MAX: Final = 100
_TAIL: Final = 60
_REQUESTS: Final = (
    program("Request"),
    program("Agent"),
    program("Tool"),
    program("Permission"),
    program("Rule"),
    "State",
    program("Approver"),
    "How it is known",
    number("Took"),
)


def approvals(evidence: Evidence) -> Markup:
    """Section 8: how people decided, and how fast."""
    seen, total = evidence.oversight, evidence.approval_count
    return join(
        [
            _summary(evidence),
            _latency_chart(evidence),
            table(
                "Time to decide",
                ["Time", number("Decisions"), number("Share")],
                (
                    (name, words.count(value), words.share(value, seen.decided))
                    for name, value in seen.buckets.items()
                )
                if seen.decided
                else (),
            ),
            table(
                "Approvers",
                [program("Approver"), number("Granted"), number("Denied")],
                (
                    (text(name), words.count(one["granted"]), words.count(one["denied"]))
                    for name, one in sorted(seen.approvers.items())[:APPROVALS_MAX]
                ),
                total=len(seen.approvers),
                rest="csv/approvals.csv",
            ),
            table(
                "Requests, oldest first",
                _REQUESTS,
                (_approval(one) for one in islice(evidence.approvals(), APPROVALS_MAX)),
                total=total,
                rest="csv/approvals.csv",
            ),
            paragraph(
                "An approval is worth one call with exactly its arguments. Who may not decide,"
                " or comes a second time, is refused before anything is written: such attempts"
                " change nothing and are not in the log.",
                class_="note",
            ),
        ]
    )


def _approval(one: Approval) -> tuple[Child, ...]:
    return (
        text(one.id[-_TAIL:]),
        text(one.agent or "-"),
        text(one.tool or "-"),
        text(one.permission or "-"),
        text(one.rule or "-"),
        text(one.state),
        text(one.approver or "-"),
        text(one.how or "-", 160),
        words.lasted(one.latency_us),
    )


def _latency_chart(evidence: Evidence) -> Markup:
    seen = evidence.oversight
    if not seen.decided:
        return Markup("")
    rows = [Bar(name, (value,), words.count(value)) for name, value in seen.buckets.items()]
    summary = (
        f"{words.plural(seen.decided, 'decision')}; the median took"
        f" {words.lasted(seen.median_us)}."
    )
    return charts.bars(
        "Time to decide on a request", summary, ("decisions",), rows, "chart-time"
    )


def limits(evidence: Evidence) -> Markup:
    """Section 9: what was used under every limit, in its worst window."""
    found = evidence.limits
    return join(
        [
            paragraph(
                "Recomputed from the entries: the window of a limit in which most of it was"
                " used, whichever 60 seconds or 24 hours that are. ",
                tag("code", "orloj limits --verify"),
                " computes the same from the log.",
            ),
            _limits_chart(found),
            table(
                "Limits",
                [
                    program("Limit"),
                    program("Of"),
                    number("Set aside"),
                    number("Used"),
                    number("Worst window"),
                    number("Limit then"),
                    "Ends at, UTC",
                    "Holds",
                    number("Calls"),
                    number("Overruns"),
                    number("Open"),
                ],
                (_limit(one) for one in found[:LIMITS_MAX]),
                total=len(found),
                rest="csv/limits.csv",
            ),
            paragraph(
                "A call counts with what it set aside until it is settled. Overrun: it used"
                " more than it had set aside, which nobody can take back; it is counted in"
                " full, and keeps others out. Calls set aside before the period are not"
                " counted in it.",
                class_="note",
            ),
        ]
    )


def _limit(one: Spent) -> tuple[Child, ...]:
    worst = one.worst
    amounts = (words.count(one.reserved), words.count(one.settled))
    if worst is None:
        rest: tuple[Child, ...] = ("-",) * 6
    else:
        rest = (
            words.count(worst.used),
            words.count(worst.bound),
            time(words.moment(worst.at_us)),
            mark("yes" if worst.holds else "no", good=worst.holds),
            words.count(worst.calls),
            words.count(worst.overruns),
        )
    return (text(one.field), text(one.scope), *amounts, *rest, words.count(one.open))


def _limits_chart(found: list[Spent]) -> Markup:
    """Each bar is a share of its own limit: limits count different things."""
    rows = []
    for one in found:
        if one.worst is not None and one.worst.bound > 0:
            percent = round(100 * one.worst.used / one.worst.bound)
            name = f"{one.field} {one.scope}"
            end = f"{words.count(one.worst.used)} of {words.count(one.worst.bound)}"
            rows.append(Bar(name, (percent,), end, mark=100))
    rows.sort(key=lambda row: (-row.parts[0], row.label))
    if not rows:
        return Markup("")
    left = (
        f" The fullest {charts.BARS_MAX} of {len(rows)}." if len(rows) > charts.BARS_MAX else ""
    )
    over = sum(1 for one in found if one.worst is not None and not one.worst.holds)
    summary = f"{words.plural(over, 'limit was', 'limits were')} exceeded.{left}"
    title = "Worst window of each limit, in percent of it (thick line: the limit)"
    return charts.bars(title, summary, ("used",), rows[: charts.BARS_MAX], "chart-limits")


def denials(evidence: Evidence) -> Markup:
    """Section 10: what was denied, by the rule that did."""
    found = evidence.denials
    return join(
        [
            paragraph(
                "Whatever the guard cannot read, does not know or is not told to allow is"
                " denied before it begins."
            ),
            table(
                "Denied calls by rule, most frequent first",
                [
                    number("Calls"),
                    program("Rule"),
                    program("Agent"),
                    program("Tool or model"),
                    program("Permission"),
                    "Reason given first",
                    number("First entry"),
                    number("Last entry"),
                ],
                (
                    (
                        words.count(one.count),
                        text(one.rule or "-"),
                        text(one.agent),
                        text(one.target or words.NAMELESS),
                        text(one.permission or "-"),
                        text(one.reason or words.BESIDE),
                        words.count(one.first),
                        words.count(one.last),
                    )
                    for one in found[:DENIALS_MAX]
                ),
                total=len(found),
                rest="csv/denials.csv",
            ),
        ]
    )


def _summary(evidence: Evidence) -> Markup:
    seen, total = evidence.oversight, evidence.approval_count
    granted = seen.decisions["granted"]
    return facts(
        [
            ("Requests", words.count(total)),
            ("Granted", words.count(granted)),
            ("Denied by a person", words.count(seen.decisions["denied"])),
            ("Expired", words.count(seen.states["expired"])),
            ("Withdrawn", words.count(seen.states["withdrawn"])),
            ("Used for one call", words.count(seen.states["consumed"])),
            ("Still open when the period ended", words.count(seen.states["requested"])),
            ("Time to decide, median", words.lasted(seen.median_us)),
            ("Time to decide, longest", words.lasted(seen.longest_us)),
            (
                "Granted within 5 s",
                f"{words.count(seen.quick)} ({words.share(seen.quick, granted)})",
            ),
        ]
    )
