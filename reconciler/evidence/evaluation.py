"""What the entries of a period say of a framework's controls. Pure.

    exception       something that was looked at was not as it should be
    not-evidenced   nothing happened that could show it, or it cannot be told from these entries
    n-a             nothing happened that it applies to, and the mapping says so
    evidenced       everything that was looked at was as it should be
    deployer        whoever runs it has to show it; what we counted stands beside it

An auditor concludes; we never do. Whether a framework as a whole is met is not computed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reconciler.evidence.checks import CHECKS, Asked
from reconciler.evidence.framework import Control, Evidence, Framework
from reconciler.evidence.observation import (
    EXCEPTIONS_MAX,
    SEQS_MAX,
    Observation,
    Period,
    Remark,
)
from reconciler.proof.checkpoint import Checkpoint


class Status(StrEnum):
    """What can be said of a control, the gravest first."""

    EXCEPTION = "exception"
    NOT_EVIDENCED = "not-evidenced"
    EVIDENCED = "evidenced"
    NOT_APPLICABLE = "n-a"
    DEPLOYER = "deployer"


@dataclass(frozen=True, slots=True)
class EvidenceResult:
    """What one piece of evidence came to; `reason` says why it shows nothing."""

    evidence: Evidence
    status: Status
    seen: Observation
    reason: str | None = None

    @property
    def meaning(self) -> str:
        """What was looked at, as a sentence or a selection."""
        if self.evidence.expr is None:
            return f"Entries with {self.evidence.select}."
        return CHECKS[self.evidence.expr].meaning


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What can be said of a control."""

    control: Control
    status: Status
    evidence: tuple[EvidenceResult, ...]

    @property
    def population(self) -> int:
        """How many entries were looked at, the most of any piece of evidence."""
        return max((item.seen.population for item in self.evidence), default=0)

    @property
    def exceptions_count(self) -> int:
        """How many exceptions there are, the same one in two pieces of evidence twice."""
        return sum(item.seen.exceptions_count for item in self.evidence)

    @property
    def exceptions(self) -> tuple[Remark, ...]:
        """The first of them, each once."""
        found = {remark for item in self.evidence for remark in item.seen.exceptions}
        return tuple(sorted(found, key=lambda remark: (remark.seq, remark.what)))[
            :EXCEPTIONS_MAX
        ]

    @property
    def entry_seqs(self) -> tuple[int, ...]:
        """The numbers of the first entries it rests on, those with exceptions before others."""
        marked = [remark.seq for remark in self.exceptions]
        others = sorted({seq for item in self.evidence for seq in item.seen.seqs})
        return tuple(sorted(list(dict.fromkeys([*marked, *others]))[:SEQS_MAX]))


@dataclass(frozen=True, slots=True)
class FrameworkResult:
    """What can be said of each control of a framework, over a period, under a checkpoint."""

    framework: Framework
    period: Period
    checkpoint: Checkpoint
    controls: tuple[ControlResult, ...]

    def count(self, status: Status) -> int:
        """How many controls have a status."""
        return sum(control.status is status for control in self.controls)


def evaluate(
    framework: Framework,
    seen: Mapping[Asked, Observation],
    period: Period,
    checkpoint: Checkpoint,
) -> FrameworkResult:
    """Every control of a framework against what was seen; `seen` answers all that it asks."""
    controls = tuple(_control(control, seen) for control in framework.content.controls)
    return FrameworkResult(framework, period, checkpoint, controls)


def _control(control: Control, seen: Mapping[Asked, Observation]) -> ControlResult:
    evidence = tuple(_evidence(item, seen[item.asked]) for item in control.evidence)
    status = Status.DEPLOYER
    if control.responsibility != "deployer":
        status = _together([item.status for item in evidence])
    return ControlResult(control, status, evidence)


def _evidence(item: Evidence, seen: Observation) -> EvidenceResult:
    if seen.exceptions_count:
        return EvidenceResult(item, Status.EXCEPTION, seen)
    if seen.untold is not None:
        return EvidenceResult(item, Status.NOT_EVIDENCED, seen, seen.untold)
    if not seen.population:
        return EvidenceResult(item, Status(item.empty), seen, "nothing of it in the period")
    return EvidenceResult(item, Status.EVIDENCED, seen)


def _together(found: Sequence[Status]) -> Status:
    """The gravest. What does not apply takes nothing away, but shows nothing either."""
    for status in Status:
        if status in found:
            return status
    raise AssertionError("a control that is not the deployer's has evidence")


def as_json(result: FrameworkResult) -> dict[str, Any]:
    """The content of `controls/<framework>.json`; its fields are promises."""
    content = result.framework.content
    return {
        "format": "orloj-controls/1",
        "framework": content.framework,
        "title": content.title,
        "version": content.version,
        "status": content.status,
        "source": {"edition": content.source.edition, "address": content.source.address},
        "mapping_digest": result.framework.digest,
        "log": result.period.log,
        "since_us": result.period.since_us,
        "until_us": result.period.until_us,
        "counts": {status.value: result.count(status) for status in Status},
        "controls": [_control_json(control, result) for control in result.controls],
    }


def _control_json(found: ControlResult, result: FrameworkResult) -> dict[str, Any]:
    control, checkpoint = found.control, result.checkpoint
    return {
        "id": control.id,
        "question": control.question,
        "status": found.status.value,
        "responsibility": control.responsibility,
        "frequency": control.frequency,
        "note": control.note,
        "population": found.population,
        "exceptions": _remarks(found.exceptions),
        "exceptions_count": found.exceptions_count,
        "entry_seqs": list(found.entry_seqs),
        "evidence": [_evidence_json(item) for item in found.evidence],
        "checkpoint": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
        },
        "evaluated_at": result.period.until_us,
        "mapping_digest": result.framework.digest,
    }


def _evidence_json(item: EvidenceResult) -> dict[str, Any]:
    evidence = item.evidence
    return {
        "kind": evidence.kind,
        "name": evidence.name,
        "select": evidence.select,
        "expr": evidence.expr,
        "days": evidence.days,
        "seconds": evidence.seconds,
        "meaning": item.meaning,
        "status": item.status.value,
        "reason": item.reason,
        "population": item.seen.population,
        "entry_seqs": list(item.seen.seqs),
        "exceptions": _remarks(item.seen.exceptions),
        "exceptions_count": item.seen.exceptions_count,
    }


def _remarks(remarks: Iterable[Remark]) -> list[dict[str, Any]]:
    return [{"seq": remark.seq, "what": remark.what} for remark in remarks]
