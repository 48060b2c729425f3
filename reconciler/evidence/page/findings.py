"""Sections 11 to 13: what stood out, controls and their evidence, exceptions and retention."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.evidence.page import words
from reconciler.evidence.page.markup import (
    Child,
    Markup,
    code,
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
from reconciler.evidence.population.exceptions import DISPOSED, ERASURES, READINGS, WORDS
from reconciler.evidence.populations import Evidence

SHOWN_MAX: Final = 50
CONTROLS_MAX: Final = 200
_EXCEPTIONS_MAX: Final = 5
_SETTLED: Final = (*DISPOSED.values(), *ERASURES, *READINGS)
_STATUSES: Final = ("evidenced", "exception", "not-evidenced", "deployer", "n-a")
_MEANINGS: Final = (
    ("evidenced", "the entries of the period show it, without an exception"),
    ("exception", "the entries show at least one case that is not as it should be"),
    ("not-evidenced", "the entries of the period do not show it"),
    ("deployer", "whoever runs Orloj has to do it and to show it"),
    ("n-a", "there was nothing in the period that it applies to"),
)


def anomalies(evidence: Evidence) -> Markup:
    """Section 11: what stood out, and what became of it."""
    counts = evidence.exceptions.counts
    kinds = [kind for kind in WORDS if kind not in _SETTLED and counts[kind]]
    seen = evidence.coverage
    return join(
        [
            table(
                "What stood out",
                [program("Type"), "What it means", number("Entries"), "Settled by"],
                (
                    (kind, WORDS[kind], words.count(counts[kind]), _settled(kind, evidence))
                    for kind in kinds
                ),
            ),
            table(
                "Writers that started again without having been stopped",
                [program("Writer"), number("Started with entry"), number("Again with entry")],
                (
                    (text(gap.writer), words.count(gap.started), words.count(gap.again))
                    for gap in seen.gaps[:SHOWN_MAX]
                ),
                total=seen.gap_count,
            ),
            table(
                "Tasks whose entries are not complete",
                [program("Task"), number("Entry"), "What is wrong"],
                (
                    (text(one.task), words.count(one.seq), text(one.what))
                    for one in seen.faults[:SHOWN_MAX]
                ),
                total=seen.fault_count,
            ),
            facts(
                [
                    (
                        "Starts and stops of writers",
                        f"{words.count(seen.starts)} and {words.count(seen.stops)};"
                        f" {words.count(seen.writing)} were writing when the period ended",
                    ),
                    ("Longest time without an entry", _quiet(evidence)),
                ]
            ),
            paragraph(
                "What is new or rare is for a person to look at, and by itself no fault.",
                class_="note",
            ),
        ]
    )


def _settled(kind: str, evidence: Evidence) -> Child:
    by = DISPOSED.get(kind)
    if by is None:
        return "-"
    return join([words.count(evidence.exceptions.counts[by]), " x ", code(by)])


def _quiet(evidence: Evidence) -> str:
    quiet = evidence.coverage.quiet
    if not quiet.before:
        return "-"
    between = f"between entries {words.count(quiet.after)} and {words.count(quiet.before)}"
    return f"{words.lasted(quiet.length_us)}, {between}"


def controls(frameworks: Sequence[Mapping[str, Any]]) -> Markup:
    """Section 12: what the entries show of each control; as `controls/*.json` say."""
    if not frameworks:
        return paragraph("This export was made without mappings of controls.", class_="none")
    meanings = facts((name, words_of) for name, words_of in _MEANINGS)
    overview = table(
        "Frameworks",
        [
            "Framework",
            number("Version"),
            *(number(name) for name in _STATUSES),
            program("Digest of the mapping"),
        ],
        (_framework(one) for one in frameworks),
    )
    note = paragraph(
        "A mapping is reviewed data: its digest shows a change of it. No status says that"
        " anybody complies with a framework; that is for the reader to judge."
    )
    return join([note, meanings, overview, *(_matrix(one) for one in frameworks)])


def _framework(found: Mapping[str, Any]) -> tuple[Child, ...]:
    counts = found.get("counts", {})
    draft = " (draft)" if found.get("status") == "draft" else ""
    return (
        text(f"{found.get('title', found.get('framework'))}{draft}"),
        text(found.get("version", "")),
        *(words.count(int(counts.get(name, 0))) for name in _STATUSES),
        text(found.get("mapping_digest", "")),
    )


def _matrix(found: Mapping[str, Any]) -> Markup:
    shown = list(found.get("controls", []))
    rows = (_control(one) for one in shown[:CONTROLS_MAX])
    name = f"{found.get('framework')}.json"
    title = text(found.get("title", found.get("framework")))
    return join(
        [
            tag("h3", title),
            table(
                f"Controls and evidence: {found.get('framework')}",
                [
                    program("Control"),
                    "Question",
                    "Status",
                    "Whose",
                    number("Looked at"),
                    "Exceptions and notes",
                    program("Entries"),
                ],
                rows,
                total=len(shown),
                rest=f"controls/{name}",
            ),
        ]
    )


def _control(one: Mapping[str, Any]) -> tuple[Child, ...]:
    status = str(one.get("status", ""))
    look = {"evidenced": "good", "exception": "bad"}.get(status, "open")
    seqs = [str(seq) for seq in one.get("entry_seqs", [])]
    more = f" and {len(seqs) - 6} more" if len(seqs) > 6 else ""
    return (
        text(one.get("id", "")),
        text(one.get("question", "")),
        tag("span", text(status), class_=f"mark {look}"),
        text(one.get("responsibility", "")),
        words.count(int(one.get("population", 0))),
        join(_remarks(one), "<br>") if any(_remarks(one)) else "-",
        text(", ".join(seqs[:6]) + more or "-"),
    )


def _remarks(one: Mapping[str, Any]) -> Iterator[Markup]:
    exceptions = list(one.get("exceptions", []))
    for remark in exceptions[:_EXCEPTIONS_MAX]:
        yield text(f"entry {remark.get('seq')}: {remark.get('what')}")
    left = int(one.get("exceptions_count", len(exceptions))) - len(exceptions[:_EXCEPTIONS_MAX])
    if left > 0:
        yield text(f"and {words.count(left)} more")
    for item in one.get("evidence", []):
        if item.get("reason"):
            yield text(f"{item.get('name')}: {item['reason']}")
    if one.get("note"):
        yield text(one["note"], 700)


def exceptions(evidence: Evidence) -> Markup:
    """Section 13: exceptions, erasures, legal holds and how far back the log goes."""
    return join(
        [
            _kept(evidence, "Commits that somebody let pass", "manifest.overridden"),
            _kept(evidence, "Commits that were refused", "manifest.rejected"),
            _kept(evidence, "States that were put back", "manifest.reverted"),
            _kept(evidence, "Calls with an unknown outcome", "action.unknown", "task.resolved"),
            _kept(evidence, "Drift, and what set it right", "drift.detected", "drift.healed"),
            _kept(
                evidence,
                "Trouble of the log itself",
                "log.publish_failed",
                "log.key_rotated",
                "state.copied",
            ),
            _kept(evidence, "Erasures, legal holds and archives", *ERASURES),
            _kept(evidence, "Who read, exported and reviewed the log", *READINGS),
            paragraph(
                "Retention: the first entry of this export has number ",
                code(words.count(evidence.scope.first)),
                ". Entries are never erased; values that stand beside them can be, and every"
                " proof holds afterwards. Number 1 is the beginning of the log.",
                class_="note",
            ),
        ]
    )


def _kept(evidence: Evidence, caption: str, *kinds: str) -> Markup:
    rows = list(evidence.exceptions.kept(*kinds))[:SHOWN_MAX]
    return table(
        caption,
        [
            number("Entry"),
            "Time, UTC",
            program("Type"),
            program("Who"),
            program("About"),
            "What was said",
        ],
        (_entry(one) for one in rows),
        total=sum(evidence.exceptions.counts[kind] for kind in kinds),
    )


def _entry(one: Mapping[str, Any]) -> tuple[Child, ...]:
    about = [one.get("resource"), one.get("task"), one.get("agent"), one.get("tool")]
    commit = one.get("commit", "none")
    about += [f"commit {words.short(commit)}"] if commit != "none" else []
    said = ": ".join(str(one[name]) for name in ("outcome", "reason") if one.get(name))
    return (
        words.count(one["seq"]),
        time(words.moment(one["time"])),
        text(one["type"]),
        text(one.get("actor", "")),
        text(" · ".join(str(part) for part in about if part) or "-"),
        text(said or "-"),
    )
