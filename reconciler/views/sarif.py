"""A plan's problems and findings in SARIF 2.1.0, as code review tools read it. Pure.

Source: the OASIS standard, Static Analysis Results Interchange Format 2.1.0. A rule's id is
a promise; what is not listed here keeps its id and goes without a description. No value of a
manifest stands in it that the plan does not show.
"""

from collections.abc import Sequence
from typing import Any, Final

from reconciler import sarif_result
from reconciler.governance.finding import Finding, Severity
from reconciler.problem import Problem
from reconciler.problem import Severity as ProblemSeverity
from reconciler.views.plain import plain

_LEVELS: Final = {
    Severity.WIDENS: "warning",
    Severity.NARROWS: "note",
    Severity.NEUTRAL: "note",
    ProblemSeverity.ERROR: "error",
    ProblemSeverity.WARNING: "warning",
}
_GOVERNANCE_HELP: Final = (
    "Something is possible after this change that was not before, or the other way round."
    " Look whether that is what the change is for."
)

RULES: Final[dict[str, tuple[str, str]]] = {
    "manifest": (
        "A manifest has a mistake, or promises what is not kept",
        "The message says what is wrong. An error keeps the whole commit from being applied.",
    ),
    "lethal-trifecta": (
        "Private data, untrusted text and a way out come together",
        "A stranger's text can make a model send private data out. Take one of the three away:"
        " the tool that reads private data, the one that takes in strangers' text, or the one"
        " that reaches outside. Or let somebody answer for it with accept_risk, until a day.",
    ),
    "hand-off-unusable": (
        "An agent can never use a tool in a system",
        "Over a hand-off an agent keeps what those before it are granted too. Declare the"
        " permission under gains of the system, or take the tool away.",
    ),
    "compat-permissive": (
        "A namespace allows what no rule speaks of",
        "With compat: permissive a call that no rule speaks of is allowed, and hand-offs take"
        " nothing away. Keep it strict unless manifests of the public dialect need it.",
    ),
    "four-eyes-off": (
        "People may approve what they wrote themselves",
        "Without four eyes one person can grant a permission and approve its use.",
    ),
    "isolation-lost": (
        "A tool runs without a sandbox",
        "It can read what the runner's user can read, and reach what its host can reach.",
    ),
    "mcp-program": (
        "An MCP server is another program",
        "It runs with what its manifest gives it. Look at what is started, and with which"
        " arguments, as you would look at code of strangers.",
    ),
    "tool-program": (
        "A tool starts another program",
        "It runs with what its manifest gives it. Look at what is started, and with which"
        " arguments, as you would look at code of strangers.",
    ),
    "pin-changed": (
        "A tool of an MCP server says something else of itself",
        "A model is given its description, and may follow what stands in it. Read the new text;"
        " if nobody changed the server on purpose, do not merge it.",
    ),
    "pin-edited": (
        "A tool of an MCP server has a text that its server never said",
        "Somebody wrote it into the manifest. orloj mcp pin writes what the server says.",
    ),
}
"""Short description and help of the rules that deserve more than their name."""


def sarif(
    problems: Sequence[Problem], findings: Sequence[Finding], version: str
) -> dict[str, Any]:
    """One run with a result for each problem and each finding."""
    used = dict.fromkeys([*(p.rule for p in problems), *(f.rule for f in findings)])
    rules = sorted(used)
    results = [_problem(problem, rules) for problem in problems]
    results += [_finding(finding, rules) for finding in findings]
    return {
        "$schema": sarif_result.SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "orloj",
                        "version": version,
                        "rules": [_rule(name) for name in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(name: str) -> dict[str, Any]:
    words = name.replace("-", " ").capitalize()
    short, help_text = RULES.get(name, (words, _GOVERNANCE_HELP))
    return {
        "id": name,
        "shortDescription": {"text": f"{short}."},
        "help": {"text": help_text},
    }


def _problem(problem: Problem, rules: list[str]) -> dict[str, Any]:
    text = problem.message if problem.hint is None else f"{problem.message} ({problem.hint})"
    result = _result(problem.rule, _LEVELS[problem.severity], text, rules)
    result["locations"] = [sarif_result.location(problem.path, problem.line, problem.column)]
    if problem.flow:
        steps = [
            {
                "location": sarif_result.location(step.path, step.line)
                | {"message": _text(step.message)}
            }
            for step in problem.flow
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return result


def _finding(finding: Finding, rules: list[str]) -> dict[str, Any]:
    level = _LEVELS[finding.severity]
    result = _result(finding.rule, level, finding.sentence, rules)
    result["locations"] = [sarif_result.location(finding.path, finding.line)]
    result["properties"] = {
        "severity": finding.severity.value,
        "resource": str(finding.resource),
    }
    return result


def _result(rule: str, level: str, text: str, rules: list[str]) -> dict[str, Any]:
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": level,
        "message": _text(text),
    }


def _text(text: str) -> dict[str, str]:
    return {"text": plain(text)}
