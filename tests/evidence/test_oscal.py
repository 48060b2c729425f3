"""What we export as OSCAL is OSCAL by NIST's schema, says no more than we know, and is the same
each time."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import control_entries as log
import jsonschema
import pytest
from control_entries import fact, queued

from reconciler.evidence import framework, framework_files, oscal
from reconciler.evidence.controls import Controls
from runner.contract.audit import Stored
from runner.contract.audit_entry import EntryType

SCHEMA = Path(__file__).parents[1] / "data/oscal/oscal_assessment-results_schema.json"
DIGEST = "37f41f6813c78e6d2c272b27030e17e93d7f92fee519c72e7531574fa0ecbb05"
OURS = framework_files.load().frameworks


@pytest.fixture(scope="module")
def validator() -> Any:
    raw = SCHEMA.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == DIGEST
    # Python's re knows no properties of Unicode: the classes of the same characters instead.
    text = raw.decode().replace("\\\\p{L}", "[^\\\\W\\\\d_]").replace("\\\\p{N}", "\\\\d")
    schema = json.loads(text)
    jsonschema.Draft7Validator.check_schema(schema)
    # An `$id` that is a fragment only names the definition as it is reached anyway.
    for definition in schema["definitions"].values():
        definition.pop("$id", None)
    return jsonschema.Draft7Validator(schema)


def written(entries: list[Stored], folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    part = Controls(log.scope(entries, folder), OURS)
    for entry in entries:
        part.take(entry)
    part.end()
    return (folder / "oscal-ar.json").read_bytes()


def faulty_log() -> list[Stored]:
    return log.stored(
        [
            log.applied(reviewed=False),
            fact(EntryType.MANIFEST_OVERRIDDEN, outcome="freeze", resource="source/default"),
            queued("t1", "person:ada"),
            *log.call("t1", 1)[:3],
            *log.approval("t1", after_us=1),
            log.finished("t1"),
            fact(EntryType.DRILL_DONE, outcome="failed"),
        ]
    )


LOGS: dict[str, Callable[[], list[Stored]]] = {
    "good": log.good_log,
    "faulty": faulty_log,
    "empty": list,
}


@pytest.mark.parametrize("name", LOGS)
def test_it_is_valid_by_the_published_schema(name: str, validator: Any, tmp_path: Path) -> None:
    document = json.loads(written(LOGS[name](), tmp_path))
    faults = [f"{list(one.path)}: {one.message}" for one in validator.iter_errors(document)]
    assert faults == []
    assert document["assessment-results"]["metadata"]["oscal-version"] == oscal.VERSION


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.pop("import-ap"),
        lambda found: found["results"][0]["findings"][0]["target"]["status"].update(
            state="n-a"
        ),
        lambda found: found["results"][0]["props"][0].update(name="not a token"),
        lambda found: found["results"][0]["props"][0].update(value="two\nlines "),
        lambda found: found["results"][0].update(uuid="no-uuid"),
        lambda found: found["results"][0].update(findings=[]),
    ],
    ids=["no-plan", "state", "name", "value", "uuid", "empty-list"],
)
def test_the_schema_would_find_what_others_get_wrong(
    spoil: Callable[[Any], object], validator: Any, tmp_path: Path
) -> None:
    document = json.loads(written(log.good_log(), tmp_path))
    spoiled = copy.deepcopy(document)
    spoil(spoiled["assessment-results"])
    assert validator.is_valid(document)
    assert not validator.is_valid(spoiled)


def results(entries: list[Stored], folder: Path) -> dict[str, Any]:
    document = json.loads(written(entries, folder))["assessment-results"]
    return {
        framework.id: result
        for framework, result in zip(OURS, document["results"], strict=True)
    }


def states(result: Any) -> dict[str, tuple[str, str]]:
    return {
        finding["target"]["target-id"]: (
            finding["target"]["status"]["state"],
            finding["target"]["status"]["reason"],
        )
        for finding in result["findings"]
    }


def test_evidenced_is_satisfied_and_what_is_not_ours_has_no_finding(tmp_path: Path) -> None:
    found = states(results(log.good_log(), tmp_path)["soc2"])
    assert found["soc2_CC6.1"] == ("satisfied", "pass")
    assert "soc2_CC7.4" not in found


def test_an_exception_is_not_satisfied_and_names_its_entries(tmp_path: Path) -> None:
    soc2 = results(faulty_log(), tmp_path)["soc2"]
    assert states(soc2)["soc2_CC8.1"] == ("not-satisfied", "fail")
    assert states(soc2)["soc2_CC7.2"] == ("not-satisfied", "other")
    (finding,) = [one for one in soc2["findings"] if one["target"]["target-id"] == "soc2_CC8.1"]
    observations = {one["uuid"]: one for one in soc2["observations"]}
    related = [observations[one["observation-uuid"]] for one in finding["related-observations"]]
    reviewed = next(one for one in related if one["title"] == "reviewed")
    assert "Entry 1: applied without a reviewer" in reviewed["description"]
    (evidence,) = reviewed["relevant-evidence"]
    assert evidence["props"][0]["value"] == "1"


def test_every_control_of_a_mapping_is_among_those_reviewed(tmp_path: Path) -> None:
    for one, result in zip(OURS, results([], tmp_path).values(), strict=True):
        (selection,) = result["reviewed-controls"]["control-selections"]
        named = [chosen["control-id"] for chosen in selection["include-controls"]]
        assert named == [oscal.token(one.id, control.id) for control in one.content.controls]


def test_the_same_export_is_the_same_bytes(tmp_path: Path) -> None:
    first = written(log.good_log(), tmp_path / "a")
    assert written(log.good_log(), tmp_path / "b") == first


def test_every_identifier_is_of_version_5_and_another_log_has_others(tmp_path: Path) -> None:
    pattern = re.compile(rb'"uuid":"([0-9a-f-]{36})"')
    first = pattern.findall(written(log.good_log(), tmp_path / "a"))
    other = pattern.findall(written(faulty_log(), tmp_path / "b"))
    assert all(found[14:15] == b"5" for found in first)
    assert len(set(first)) == len(first) > 100
    assert not set(first) & set(other)


def test_a_text_of_several_lines_is_written_on_one(validator: Any, tmp_path: Path) -> None:
    text = (Path(framework.__file__).parent / "frameworks/gdpr.yaml").read_text()
    text = text.replace("title: GDPR", 'title: "GDPR\\n and more "')
    own, mistakes = framework.read(text.encode(), "own.yaml")
    assert not mistakes
    assert own is not None
    part = Controls(log.scope([], tmp_path), [own])
    part.end()
    document = json.loads((tmp_path / "oscal-ar.json").read_text())
    assert validator.is_valid(document)
    assert document["assessment-results"]["results"][0]["title"] == "GDPR and more"
