"""What verification of the audit log found, as words and as JSON. Pure."""

from typing import Any

from rich.text import Text

from reconciler.proof.finding import Finding, Report
from reconciler.views.plain import plain, plain_lines
from reconciler.views.problems import counted
from reconciler.views.table import number, paragraphs

_BAD = "bold red"


def report_words(report: Report, *, compared: bool) -> Text:
    """Whether the log holds, how far that is proved, and what cannot be seen from here."""
    parts = [_finding(found) for found in report.findings]
    if report.holds:
        parts.append(
            Text(
                f"{number(report.entries)} entries hold: no byte, order or number was changed."
            )
        )
        parts.append(_covered(report))
    elif report.signed:
        parts.append(Text(f"The first {number(report.signed)} are those that were signed."))
    parts += [Text(f"Note: {plain(warning)}", "yellow") for warning in report.warnings]
    if report.head:
        parts.append(Text(f"Head: {report.head}"))
    if report.holds and not compared:
        parts.append(
            Text(
                "Whoever holds the key and the database could have written all of it anew:"
                " compare with --against published, or a copy that you keep.",
                style="dim",
            )
        )
    if not report.holds:
        parts.append(Text("Keep the database file as it is.", _BAD))
    return paragraphs(*parts)


def _finding(found: Finding) -> Text:
    where = "" if found.seq is None else f" at entry {found.seq}"
    if found.until is not None and found.seq is not None:
        where = f" between entries {found.seq} and {found.until}"
    words = plain_lines(found.sentence)
    return Text(f"BROKEN ({found.attack.value}){where}: {words}.", _BAD)


def _covered(report: Report) -> Text:
    if not report.checkpoints:
        return Text("None of them is signed.", "yellow")
    keys = ", ".join(key.key_id.hex() for key in report.keys)
    words = (
        f"{number(report.signed)} are covered by {counted(report.checkpoints, 'checkpoint')},"
        f" signed by {keys}{_newer(report, report.signed)}."
    )
    if report.witnessed:
        words += (
            f" Kept elsewhere: {counted(report.witnessed, 'checkpoint')} up to entry"
            f" {number(report.kept)}{_newer(report, report.kept)}."
        )
    if report.cosigned is not None:
        words += (
            f" A quorum cosigned {number(report.cosigned)}{_newer(report, report.cosigned)}."
        )
    return Text(words)


def _newer(report: Report, covered: int) -> str:
    """The open window: what nothing shows yet if it is changed."""
    more = report.entries - covered
    return f"; {number(more)} newer" if more else ""


def report_json(report: Report) -> dict[str, Any]:
    """The same for programs; docs/cli.md names the fields."""
    first = report.findings[0] if report.findings else None
    return {
        "holds": report.holds,
        "told": report.told,
        "entries": report.entries,
        "head": report.head,
        "signed": report.signed,
        "checkpoints": report.checkpoints,
        "witnessed": report.witnessed,
        "kept": report.kept,
        "cosigned": report.cosigned,
        "keys": [str(key) for key in report.keys],
        "bad_seq": None if first is None else first.seq,
        "problem": None if first is None else first.sentence,
        "findings": [
            {
                "attack": found.attack.value,
                "seq": found.seq,
                "until": found.until,
                "sentence": found.sentence,
            }
            for found in report.findings
        ],
        "warnings": report.warnings,
    }
