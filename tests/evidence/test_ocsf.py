"""What we export as OCSF is OCSF 1.9.0, event for event, and tells no more than a header."""

import hashlib
import json
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import control_entries as log
import jsonschema
import pytest
from control_entries import fact

from reconciler.evidence import ocsf_event
from reconciler.evidence.ocsf import Ocsf
from reconciler.evidence.ocsf_event import Proof
from runner.contract import audit_entry, merkle
from runner.contract.audit import Stored
from runner.contract.audit_entry import EntryType

SCHEMA = Path(__file__).parents[1] / "data/ocsf/api_activity_reduced.json"
DIGEST = "a12e1089755d9ff288d7abc622a50f39251dad0fa4dd31e4057bcbd834d5ddb3"
SECRET = "the patient is Erika Mustermann"
CALL = {"task": "t1", "step": 2, "agent": "clerk", "tool": "tickets", "attempt": 1}
PROOF = Proof(log.LOG, 9, "ab" * 32, (("orloj/test", "01020304"),))


@pytest.fixture(scope="module")
def validator() -> Any:
    raw = SCHEMA.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == DIGEST
    schema = json.loads(raw)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def every_type() -> list[Stored]:
    """An entry of every type there is, with what such entries say."""
    facts = []
    for kind in EntryType:
        more: dict[str, Any] = {"reason": SECRET, "outcome": SECRET}
        if kind.startswith("action."):
            more |= CALL | {"permission": "write:tickets", "rule": "a.yaml:3"}
            more |= {"duration_us": 1_500, "tokens_in": 3, "private": (("result", SECRET),)}
        if kind is EntryType.ACTION_DECIDED:
            more["decision"] = "deny"
        if kind.startswith("resource."):
            more["resource"] = "agent/default/clerk"
        facts.append(fact(kind, **more))
    asked = {**CALL, "tool": None, "model": "gpt-4"}
    facts.append(fact(EntryType.ACTION_REQUESTED, **asked))
    return log.stored(facts)


def written(entries: list[Stored], folder: Path) -> list[dict[str, Any]]:
    with ExitStack() as files:
        part = Ocsf(log.scope(entries, folder), files)
        for entry in entries:
            part.take(entry)
        part.end()
    lines = (folder / "ocsf.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def test_an_event_of_every_type_is_what_the_schema_says(validator: Any, tmp_path: Path) -> None:
    entries = every_type()
    events = written(entries, tmp_path)
    about = [
        e
        for e in entries
        if e.fields["type"].split(".")[0] in ("action", "manifest", "resource")
    ]
    assert [e["metadata"]["sequence"] for e in events] == [e.seq for e in about]
    for event in events:
        errors = [e.message for e in validator.iter_errors(event)]
        assert not errors, (event["metadata"]["type"], errors)
        assert event["type_uid"] == 600_300 + event["activity_id"]


def test_the_schema_would_notice_an_attribute_that_is_none(
    validator: Any, tmp_path: Path
) -> None:
    event = written(every_type(), tmp_path)[0]
    assert list(validator.iter_errors(event | {"invented": 1}))
    assert list(validator.iter_errors({k: v for k, v in event.items() if k != "api"}))


def test_no_free_text_and_no_value_leaves_the_log_with_an_event(tmp_path: Path) -> None:
    written(every_type(), tmp_path)
    assert "Mustermann" not in (tmp_path / "ocsf.jsonl").read_text()


@pytest.mark.parametrize(
    ("fields", "activity", "status", "severity"),
    [
        ({"type": "action.decided", "decision": "deny", "code": "ACT002W"}, 99, 2, 3),
        ({"type": "action.decided", "decision": "allow", "code": "ACT002I"}, 99, 1, 1),
        ({"type": "action.decided", "decision": "ask", "code": "ACT002I"}, 99, 0, 1),
        ({"type": "action.executed", "permission": "write:x", "code": "ACT004I"}, 3, 1, 1),
        ({"type": "action.executed", "permission": "read:x", "code": "ACT004I"}, 2, 1, 1),
        ({"type": "action.executed", "permission": "read:x write:y", "code": "A1I"}, 99, 1, 1),
        ({"type": "action.failed", "permission": "delete:x", "code": "ACT005E"}, 4, 2, 4),
        ({"type": "action.unknown", "code": "ACT006E"}, 99, 0, 4),
        ({"type": "action.approval_requested", "code": "APR001I"}, 1, 1, 1),
        ({"type": "action.approval_denied", "code": "APR003W"}, 3, 2, 3),
        ({"type": "manifest.rejected", "code": "MAN002W"}, 99, 2, 3),
        ({"type": "resource.deleted", "code": "RES003I"}, 4, 1, 1),
    ],
)
def test_what_happened_decides_activity_status_and_severity(
    fields: dict[str, Any], activity: int, status: int, severity: int
) -> None:
    made = ocsf_event.event(fields | {"seq": 1}, b"", PROOF, "1")
    assert made is not None
    got = (made["activity_id"], made["status_id"], made["severity_id"])
    assert got == (activity, status, severity)


def test_the_attestation_is_over_the_event_and_names_its_place_in_the_log(
    tmp_path: Path,
) -> None:
    (entry,) = log.stored([fact(EntryType.ACTION_EXECUTED, **CALL)])
    (event,) = written([entry], tmp_path)
    value = event["attestation"].pop("fingerprint")["value"]
    assert hashlib.sha256(audit_entry.encoded(event)).hexdigest() == value
    assert event["attestation"]["uid"] == f"{log.LOG}/1"
    proved = event["unmapped"]["transparency_log"]
    assert (proved["leaf_index"], proved["leaf_hash"]) == (0, merkle.leaf(entry.raw).hex())
    assert proved["checkpoint_size"] == 1


def test_people_are_users_and_programs_are_applications() -> None:
    entry = {"type": "manifest.applied", "seq": 1}
    person = ocsf_event.event(entry | {"actor": "person:u1"}, b"", PROOF, "1")
    program = ocsf_event.event(entry | {"actor": "git:default"}, b"", PROOF, "1")
    assert person is not None
    assert program is not None
    assert person["actor"] == {"user": {"uid": "person:u1"}}
    assert program["actor"] == {"application": {"uid": "git:default"}}


def test_events_are_written_as_entries_go_by(tmp_path: Path) -> None:
    (entry,) = log.stored([fact(EntryType.ACTION_EXECUTED, **CALL)])
    with ExitStack() as files:
        part = Ocsf(log.scope([entry], tmp_path), files)
        part.take(entry)
        tracemalloc.start()
        for _ in range(5_000):
            part.take(entry)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert held < 200_000, "5 000 events are some 6 MB"
