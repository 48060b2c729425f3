"""What somebody should look at in a period is SARIF 2.1.0, written as it goes by."""

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import control_entries as log
import jsonschema
import pytest
from control_entries import fact

from reconciler.evidence.findings_sarif import RULES, FindingsSarif
from runner.contract.audit import Stored
from runner.contract.audit_entry import EntryType

SCHEMA = Path(__file__).parents[1] / "data/sarif/sarif-schema-2.1.0.json"
DIGEST = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
CALL = {"task": "t1", "step": 2, "agent": "clerk", "tool": "tickets"}


@pytest.fixture(scope="module")
def validator() -> Any:
    raw = SCHEMA.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == DIGEST
    return jsonschema.Draft4Validator(json.loads(raw))


def written(entries: list[Stored], folder: Path) -> dict[str, Any]:
    with ExitStack() as files:
        part = FindingsSarif(log.scope(entries, folder), files)
        for entry in entries:
            part.take(entry)
        part.end()
    found: dict[str, Any] = json.loads((folder / "findings.sarif").read_text())
    return found


def test_a_finding_of_every_kind_is_what_the_schema_says(
    validator: Any, tmp_path: Path
) -> None:
    facts = [
        fact(kind, decision="deny" if kind is EntryType.ACTION_DECIDED else None,
             rule="agents/ä clerk.yaml:7", reason="Erika Mustermann", **CALL)
        for kind in EntryType
    ]  # fmt: skip
    report = written(log.stored(facts), tmp_path)
    assert not [error.message for error in validator.iter_errors(report)]
    (run,) = report["runs"]
    assert {one["ruleId"] for one in run["results"]} == {rule.id for rule in RULES.values()}
    for one in run["results"]:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
    assert "Mustermann" not in json.dumps(report)


def test_a_denial_points_at_the_line_that_denied(tmp_path: Path) -> None:
    denied = fact(EntryType.ACTION_DECIDED, decision="deny", rule="agents/a.yaml:9", **CALL)
    report = written(log.stored([denied]), tmp_path)
    (result,) = report["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "agents/a.yaml"
    assert place["region"]["startLine"] == 9


def test_what_was_allowed_is_no_finding(validator: Any, tmp_path: Path) -> None:
    allowed = fact(EntryType.ACTION_DECIDED, decision="allow", rule="a.yaml:9", **CALL)
    report = written(log.stored([allowed]), tmp_path)
    assert report["runs"][0]["results"] == []
    assert not list(validator.iter_errors(report))


@pytest.mark.parametrize("rule", ["", "a.yaml", ":3", "a.yaml:", "a.yaml:x", "a.yaml:٣"])
def test_a_rule_that_names_no_line_has_no_place(
    validator: Any, tmp_path: Path, rule: str
) -> None:
    denied = fact(EntryType.ACTION_DECIDED, decision="deny", rule=rule, **CALL)
    report = written(log.stored([denied]), tmp_path)
    assert "locations" not in report["runs"][0]["results"][0]
    assert not list(validator.iter_errors(report))


def test_a_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    hostile = {**CALL, "tool": "\x1b[2J"}
    denied = fact(EntryType.ACTION_DECIDED, decision="deny", **hostile)
    (result,) = written(log.stored([denied]), tmp_path)["runs"][0]["results"]
    assert "\x1b" not in result["message"]["text"]
