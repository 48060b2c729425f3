"""A report in SARIF names stable rules and places that a review tool can show."""

import json
import re
from pathlib import Path

from reconciler.governance.finding import Finding, Severity
from reconciler.problem import Problem, Step
from reconciler.views.sarif import RULES, sarif
from runner.contract.kinds import Key

ROOT = Path(__file__).parents[3]
LEAK = Problem(
    "agents/a b.yaml", 3, 1, "lethal trifecta in agent/default/a", "take one away",
    rule="lethal-trifecta",
    flow=(Step("agents/a b.yaml", 8, "a takes in"), Step("agents/a b.yaml", 9, "a reads")),
)  # fmt: skip
GAIN = Finding(
    Severity.WIDENS, Key("default", "Agent", "a"), "a gains read:x", "a.yaml", 7, "grant-gained"
)
LOSS = Finding(
    Severity.NARROWS, Key("default", "Agent", "a"), "a loses read:y", "a.yaml", 5, "grant-lost"
)


def test_a_report_has_the_shape_that_the_standard_requires() -> None:
    report = sarif([LEAK], [GAIN, LOSS], "1.2.3")

    assert report["version"] == "2.1.0"
    (run,) = report["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("orloj", "1.2.3")
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == ["grant-gained", "grant-lost", "lethal-trifecta"]
    assert all(
        rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"]
    )
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert " " not in location["physicalLocation"]["artifactLocation"]["uri"]
    json.dumps(report)


def test_the_way_of_a_problem_is_a_flow() -> None:
    (result,) = sarif([LEAK], [], "1")["runs"][0]["results"]

    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps] == ["a takes in", "a reads"]
    place = steps[1]["location"]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "agents/a%20b.yaml"
    assert place["region"]["startLine"] == 9


def test_a_rule_that_is_described_is_one_that_somebody_reports() -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for folder in ("reconciler/governance", "reconciler/problem.py")
        for path in (
            [ROOT / folder] if folder.endswith(".py") else (ROOT / folder).glob("*.py")
        )
    ]
    reported = {name for text in texts for name in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', text)}
    assert set(RULES) <= reported
