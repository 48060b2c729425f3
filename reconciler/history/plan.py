"""A plan as the history keeps it: its changes without bodies, and back again. Pure.

What comes back is a `Plan` that the same view prints, so that the past looks as it looked
then. Long values are cut; a keyed digest is all that ever stood for a secret.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

from reconciler.change import Action, Block, Change, FieldChange, Plan, Provenance, Target
from reconciler.governance.finding import Finding
from reconciler.governance.finding import Severity as FindingSeverity
from reconciler.problem import Problem, Severity
from reconciler.resource import Recorded, Resource
from runner.contract.kinds import Key
from runner.contract.kinds.base import named

FIELDS_MAX: Final = 20
VALUE_MAX: Final = 400
WORDS_MAX: Final = 4_000
REMARKS_MAX: Final = 100
"""Findings, warnings and reasons of one plan that are kept, of each."""
_NO_BODY: Final = "null"


@dataclass(frozen=True, slots=True)
class KeptChange:
    """One change as it is kept. `fields` is a JSON list.

    `previous` is `namespace/name` of what moved, empty for all else.
    """

    history: int
    position: int
    key: Key
    action: str
    reason: str
    generation: int
    path: str
    line: int
    spec_hash: str
    fields: str
    previous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row of the history. Times are microseconds UTC; `source` is empty for a person's."""

    id: int
    source: str
    owner: str
    cause: str
    actor: str
    result: str
    message: str
    commit_sha: str | None
    previous_commit: str | None
    fast_forward: bool
    plan_id: str
    serial: int
    author: str
    subject: str
    created: int
    updated: int
    deleted: int
    unchanged: int
    provenance: str
    detail: str
    audit_seq: int | None
    duration_us: int | None
    recorded_at: int

    @property
    def vouched(self) -> Provenance:
        """Who vouches for the commit, as it was found when it was applied."""
        found = json.loads(self.provenance)
        trailers = tuple((name, value) for name, value in found.pop("trailers", []))
        reviewers = tuple(found.pop("reviewers", []))
        return Provenance(**found, reviewers=reviewers, trailers=trailers)

    @property
    def plan(self) -> dict[str, Any]:
        """What is kept of the plan besides its changes."""
        kept: dict[str, Any] = json.loads(self.detail)
        return kept


def kept(planned: Plan, history: int, changes_max: int) -> list[KeptChange]:
    """The changes of a plan as the history keeps them, the first of them."""
    return [
        _kept(change, history, position)
        for position, change in enumerate(planned.changes[:changes_max])
    ]


def detail(planned: Plan) -> str:
    """What is kept of a plan besides its changes."""
    value: dict[str, Any] = {
        "ref": planned.target.ref,
        "examined": planned.examined,
        "parsed": planned.parsed,
        "changes": len(planned.changes),
    }
    if moved := planned.counts.get(Action.MOVE, 0):
        value["moved"] = moved
    if planned.findings:
        value["findings"] = [_finding_json(item) for item in planned.findings[:REMARKS_MAX]]
    if planned.warnings:
        value["warnings"] = [_problem_json(item) for item in planned.warnings[:REMARKS_MAX]]
    if planned.blocked:
        value["blocked"] = [asdict(item) for item in planned.blocked[:REMARKS_MAX]]
    return json.dumps(value, ensure_ascii=False)


def again(
    target: Target, plan_id: str, unchanged: int, about: dict[str, Any], rows: list[KeptChange]
) -> Plan:
    """The plan as it was shown then, as far as it is kept."""
    changes = tuple(_change(row, target) for row in rows)
    counts = Counter(change.action for change in changes)
    return Plan(
        id=plan_id,
        target=target,
        changes=changes,
        unchanged=unchanged,
        warnings=tuple(_problem(item) for item in about.get("warnings", [])),
        blocked=tuple(Block(**item) for item in about.get("blocked", [])),
        findings=tuple(_finding(item) for item in about.get("findings", [])),
        examined=about.get("examined", 0),
        parsed=about.get("parsed", 0),
        counts={action: counts[action] for action in Action},
    )


def _kept(change: Change, history: int, position: int) -> KeptChange:
    place = change.after or change.before
    assert place is not None
    before = change.before.generation if change.before else 0
    return KeptChange(
        *(history, position, change.key, change.action.value, change.reason),
        before + (change.after is not None and change.respecified),
        *(place.path, place.line, place.spec_hash),
        json.dumps([_field_json(item) for item in change.fields[:FIELDS_MAX]]),
        f"{change.previous.namespace}/{change.previous.name}" if change.previous else "",
    )


def _field_json(field: FieldChange) -> list[Any]:
    words = field.words if sum(len(text) for _, text in field.words) <= WORDS_MAX else ()
    return [field.path, _cut(field.before), _cut(field.after), words]


def _cut(value: object) -> object:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= VALUE_MAX else text[:VALUE_MAX] + "…"


def _change(row: KeptChange, target: Target) -> Change:
    action = Action(row.action)
    fields = tuple(
        FieldChange(path, before, after, tuple((sign, text) for sign, text in words))
        for path, before, after, words in json.loads(row.fields)
    )
    was = row.key if not row.previous else named(row.key.kind, row.previous, "")
    before = Recorded(
        *(was, target.owner, target.previous_commit, row.path, row.line),
        *(row.spec_hash, _NO_BODY, row.generation),
    )
    after = Resource(row.key, row.path, row.line, 1, row.spec_hash, _NO_BODY, {})
    return Change(
        action,
        row.key,
        row.reason,
        None if action is Action.CREATE else before,
        None if action is Action.DELETE else after,
        fields,
    )


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "resource": list(finding.resource)}


def _finding(value: dict[str, Any]) -> Finding:
    resource, severity = Key(*value["resource"]), FindingSeverity(value["severity"])
    return Finding(**{**value, "resource": resource, "severity": severity})


def _problem_json(problem: Problem) -> list[Any]:
    return [
        *(problem.path, problem.line, problem.column),
        *(problem.message, problem.hint, problem.severity.value),
    ]


def _problem(value: list[Any]) -> Problem:
    path, line, column, message, hint, severity = value
    return Problem(path, line, column, message, hint, Severity(severity))
