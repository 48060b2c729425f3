"""What a change means for who may do what: the part of a plan after its changes. Pure.

Widenings first, since they are what a reviewer came for. A finding is a line with its sign,
its sentence and its place; `!` is a protection that is turned off for many.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.governance.finding import Finding, Severity
from reconciler.views.plain import plain
from reconciler.views.problems import counted
from reconciler.views.table import number

SHOWN_MAX: Final = 100
_SIGNS: Final = {Severity.WIDENS: "+", Severity.NARROWS: "-", Severity.NEUTRAL: " "}
_STYLES: Final = {Severity.WIDENS: "yellow", Severity.NARROWS: "green", Severity.NEUTRAL: "dim"}


def finding_lines(findings: Sequence[Finding]) -> list[Text]:
    """The findings for people; nothing where there are none."""
    if not findings:
        return []
    lines = [Text(), Text(summary(findings), "bold")]
    lines += [_line(finding) for finding in findings[:SHOWN_MAX]]
    if (hidden := len(findings) - SHOWN_MAX) > 0:
        lines.append(Text(f"  … and {number(hidden)} more; --json lists all", "dim"))
    return lines


def summary(findings: Sequence[Finding]) -> str:
    """`Permissions: 2 widened, 1 narrowed`."""
    counts = Counter(finding.severity for finding in findings)
    words = [f"{number(counts[Severity.WIDENS])} widened"]
    words.append(f"{number(counts[Severity.NARROWS])} narrowed")
    if counts[Severity.NEUTRAL]:
        words.append(counted(counts[Severity.NEUTRAL], "note"))
    return f"Permissions: {', '.join(words)}"


def permissions_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """`{widened, narrowed, findings}` for machines."""
    counts = Counter(finding.severity for finding in findings)
    return {
        "widened": counts[Severity.WIDENS],
        "narrowed": counts[Severity.NARROWS],
        "findings": [
            {
                "severity": finding.severity.value,
                "rule": finding.rule,
                "resource": str(finding.resource),
                "sentence": finding.sentence,
                "path": finding.path,
                "line": finding.line,
                "loud": finding.loud,
            }
            for finding in findings
        ],
    }


def _line(finding: Finding) -> Text:
    style = "bold red" if finding.loud else _STYLES[finding.severity]
    sign = "!" if finding.loud else _SIGNS[finding.severity]
    return Text.assemble(
        (f"  {sign} {plain(finding.sentence)}", style),
        (f"  {plain(finding.path)}:{finding.line}", "cyan"),
    )
