"""Results of controls as OSCAL Assessment Results 1.2. Pure.

Source: pages.nist.gov/OSCAL, the JSON schema of release 1.2.3. One `result` for each
framework; an `observation` for each piece of evidence; a `finding` where something can be said.

OSCAL knows `satisfied` and `not-satisfied` only. So `evidenced` is satisfied; `exception` and
`not-evidenced` are not, with another `reason`; `deployer` and `n-a` have no finding, since
either word would be an opinion on what nobody looked at. Our own status is a property.

Identifiers are UUIDs of version 5 under the root of the checkpoint: the same export has the
same ones. Names are NCNames, values one line, as the schema asks.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

from reconciler.evidence.evaluation import (
    ControlResult,
    EvidenceResult,
    FrameworkResult,
    Status,
)
from runner.contract import clock

VERSION: Final = "1.2.3"
NAMESPACE: Final = "https://orloj.dev/ns/oscal"
_STATES: Final = {
    Status.EVIDENCED: ("satisfied", "pass"),
    Status.EXCEPTION: ("not-satisfied", "fail"),
    Status.NOT_EVIDENCED: ("not-satisfied", "other"),
}
_METHODS: Final = {"query": "EXAMINE", "assert": "TEST", "proof": "TEST"}
_NO_PLAN: Final = (
    "There is no assessment plan in OSCAL. What was looked at stands in the mappings, which"
    " are named with their digests; how often and by whom is the assessor's to plan."
)


def document(results: Sequence[FrameworkResult]) -> dict[str, Any]:
    """The whole file; at least one framework."""
    first = results[0]
    names = _Names(results)
    at = clock.iso(first.period.until_us)
    plan = names.of("plan")
    resources = [{"uuid": plan, "title": "No assessment plan", "description": _NO_PLAN}]
    resources += [_resource(result, names) for result in results]
    return {
        "assessment-results": {
            "uuid": names.of("document"),
            "metadata": {
                "title": _line(f"Evidence of the audit log {first.period.log}"),
                "last-modified": at,
                "version": "1",
                "oscal-version": VERSION,
                "props": [
                    _property("checkpoint-origin", first.checkpoint.origin),
                    _property("checkpoint-size", str(first.checkpoint.size)),
                    _property("checkpoint-root", first.checkpoint.root.hex()),
                ],
                "remarks": (
                    "Made from an audit log by fixed checks; it is evidence for an assessor's"
                    " conclusion, and no conclusion. `verify.py` shows that the entries are"
                    " those of the signed checkpoint."
                ),
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [_result(result, names) for result in results],
            "back-matter": {"resources": resources},
        }
    }


class _Names:
    """Identifiers that are a function of the checkpoint, the period and the mappings."""

    def __init__(self, results: Sequence[FrameworkResult]) -> None:
        checkpoint, period = results[0].checkpoint, results[0].period
        root = uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}/{checkpoint.root.hex()}")
        scope = f"{checkpoint.origin}/{checkpoint.size}/{period.since_us}-{period.until_us}"
        digests = "/".join(result.framework.digest for result in results)
        self._base = uuid.uuid5(root, f"{scope}/{digests}")

    def of(self, *path: str) -> str:
        """The identifier of what stands at a path."""
        return str(uuid.uuid5(self._base, "/".join(path)))


def token(framework: str, control: str) -> str:
    """A control's id as an NCName: `hipaa_164.312.b` for 164.312(b)."""
    return f"{framework}_" + re.sub(r"[^A-Za-z0-9_-]+", ".", control).strip(".")


def _resource(result: FrameworkResult, names: _Names) -> dict[str, Any]:
    content = result.framework.content
    return {
        "uuid": names.of("mapping", content.framework),
        "title": _line(f"{content.title}, mapping version {content.version}"),
        "description": _line(f"Of {content.source.edition}; the results in full."),
        "props": [_property("mapping-digest", result.framework.digest)],
        "rlinks": [
            {
                "href": f"controls/{content.framework}.json",
                "media-type": "application/json",
            },
            {"href": content.source.address},
        ],
    }


def _result(result: FrameworkResult, names: _Names) -> dict[str, Any]:
    content, period = result.framework.content, result.period
    selected = [
        {"control-id": token(content.framework, found.control.id)} for found in result.controls
    ]
    made: dict[str, Any] = {
        "uuid": names.of("result", content.framework),
        "title": _line(content.title),
        "description": _line(
            f"What entries {period.first} to {period.last} show of"
            f" {len(result.controls)} controls of {content.title} ({content.source.edition})."
        ),
        "start": clock.iso(period.since_us),
        "end": clock.iso(period.until_us),
        "props": [
            _property("mapping-digest", result.framework.digest),
            _property("mapping-version", str(content.version)),
            _property("mapping-status", content.status),
        ],
        "reviewed-controls": {"control-selections": [{"include-controls": selected}]},
        "observations": list(_observations(result, names)),
    }
    findings = [
        _finding(found, content.framework, names)
        for found in result.controls
        if found.status in _STATES
    ]
    return made | ({"findings": findings} if findings else {})


def _observations(result: FrameworkResult, names: _Names) -> Iterator[dict[str, Any]]:
    framework, at = result.framework.id, clock.iso(result.period.until_us)
    for found in result.controls:
        for item in found.evidence:
            yield _observation(item, found, framework, names) | {"collected": at}
        if not found.evidence:
            yield {
                "uuid": names.of("observation", framework, found.control.id),
                "title": _line(found.control.question),
                "description": f"Not looked at: for the deployer. {found.control.note}",
                "methods": ["UNKNOWN"],
                "props": [*_of_control(found, framework), _property("status", "deployer")],
                "collected": at,
            }


def _observation(
    item: EvidenceResult, found: ControlResult, framework: str, names: _Names
) -> dict[str, Any]:
    told = [f"Entry {remark.seq}: {remark.what}." for remark in item.seen.exceptions]
    if (more := item.seen.exceptions_count - len(told)) > 0:
        told.append(f"And {more} more.")
    if item.reason is not None:
        told.append(f"Shows nothing: {item.reason}.")
    made: dict[str, Any] = {
        "uuid": names.of("observation", framework, found.control.id, item.evidence.name),
        "title": _line(item.evidence.name),
        "description": " ".join([item.meaning, *told]),
        "methods": [_METHODS[item.evidence.kind]],
        "types": ["control-objective"],
        "props": [
            *_of_control(found, framework),
            _property("status", item.status.value),
            _property("population", str(item.seen.population)),
            _property("exceptions", str(item.seen.exceptions_count)),
        ],
    }
    seqs = sorted({*item.seen.seqs, *(remark.seq for remark in item.seen.exceptions)})
    return made | ({"relevant-evidence": [_entries(seqs, item)]} if seqs else {})


def _entries(seqs: Sequence[int], item: EvidenceResult) -> dict[str, Any]:
    listed = ",".join(map(str, seqs))
    return {
        "href": "headers.jsonl",
        "description": f"The first of {item.seen.population} entries looked at, by number.",
        "props": [_property("entry-seqs", listed)],
    }


def _finding(found: ControlResult, framework: str, names: _Names) -> dict[str, Any]:
    control, (state, reason) = found.control, _STATES[found.status]
    return {
        "uuid": names.of("finding", framework, control.id),
        "title": _line(f"{control.id}: {found.status}"),
        "description": control.question + (f" {control.note}" if control.note else ""),
        "props": [
            _property("status", found.status.value),
            _property("responsibility", control.responsibility),
            _property("population", str(found.population)),
            _property("exceptions", str(found.exceptions_count)),
        ],
        "target": {
            "type": "objective-id",
            "target-id": token(framework, control.id),
            "status": {"state": state, "reason": reason},
        },
        "related-observations": [
            {
                "observation-uuid": names.of(
                    "observation", framework, control.id, item.evidence.name
                )
            }
            for item in found.evidence
        ],
    }


def _of_control(found: ControlResult, framework: str) -> list[dict[str, str]]:
    return [_property("control", token(framework, found.control.id))]


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": NAMESPACE, "value": _line(value)}


def _line(text: str) -> str:
    """A text as one line, without spaces around it; a dash for none."""
    return " ".join(text.split()) or "-"
