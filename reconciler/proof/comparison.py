"""A log against the checkpoints that others keep of it. Pure.

what others keep ──larger than the log──> rollback
                 ──other root, same size as one of ours──> fork, both notes are the proof
                 ──other root──> written anew, and signed with the key
                 ──same root, not here──> a checkpoint was taken out: a note
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.proof import note, policy
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.finding import Attack, Finding, Report
from reconciler.proof.policy import Policy

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """A checkpoint that a key of the log has signed, and since when it is known where."""

    said: Checkpoint
    at_us: int
    where: str
    note: str


def compare(
    marks: Sequence[Mark], others: Sequence[Mark], roots: Mapping[int, bytes], report: Report
) -> None:
    """Name what only the checkpoints of others show; `roots` are those of the log by size."""
    seen = {mark.said.size: mark for mark in marks}
    missing: list[Mark] = []
    for other in sorted(others, key=lambda mark: mark.said.size):
        size, root = other.said.size, other.said.root
        known = seen.setdefault(size, other)
        if known.said.root != root:
            _add(report, Finding(Attack.FORK, _forked(known, other), None, size))
        elif size > report.entries:
            if report.holds:
                report.findings.append(_rolled_back(other, report.entries))
        elif roots[size] != root:
            if not any(found.attack is Attack.REWRITE for found in report.findings):
                _add(report, _rewritten(other, report))
        else:
            report.kept = size
            if known is other:
                missing.append(other)
    _tell_missing(missing, len(marks), report)


def _add(report: Report, finding: Finding) -> None:
    """Take the first finding of its kind: all checkpoints after it say the same."""
    if not any(found.attack is finding.attack for found in report.findings):
        report.findings.append(finding)


def _forked(one: Mark, other: Mark) -> str:
    return (
        f"two checkpoints of {one.said.size} entries were signed with the log's key, which"
        f" proves that it was forked: that of {one.where}, and that of {other.where}:\n"
        f"{one.note}\n{other.note}"
    )


def _rolled_back(other: Mark, entries: int) -> Finding:
    sentence = (
        f"{other.where} keeps a checkpoint of {other.said.size} entries and the log ends at"
        f" {entries}: it was put back to an older copy"
    )
    return Finding(Attack.ROLLBACK, sentence, entries + 1)


def _rewritten(other: Mark, report: Report) -> Finding:
    sentence = (
        f"{other.where} keeps another root over the first {other.said.size} entries: the log"
        f" was written anew, and signed with its own key:\n{other.note}"
    )
    return Finding(Attack.REWRITE_WITH_KEY, sentence, report.kept + 1, other.said.size)


def _tell_missing(missing: Sequence[Mark], own: int, report: Report) -> None:
    if not missing:
        return
    first = missing[0]
    sentence = (
        f"{len(missing)} checkpoints that {first.where} keeps are not in this database, first"
        f" that of {first.said.size} entries: they were taken out; the entries under them hold"
    )
    if own:
        report.warnings.append(sentence)
    else:
        report.findings.append(Finding(Attack.SIGNATURE, sentence))


def cosigned(marks: Sequence[Mark], asked: Policy, report: Report) -> None:
    """Say how far a quorum cosigned the log; that it never did is a finding."""
    report.cosigned = max(
        (
            mark.said.size
            for mark in marks
            if mark.said.size <= report.entries
            and asked.met_by(policy.cosigners(note.parse(mark.note), asked))
        ),
        default=0,
    )
    if report.entries and not report.cosigned:
        sentence = "no checkpoint is cosigned by a quorum of the policy"
        report.findings.append(Finding(Attack.SIGNATURE, sentence))


def cosigned_at(marks: Iterable[Mark], asked: Policy) -> Iterator[tuple[int, int]]:
    """Sizes that witnesses saw, and when by their clocks (microseconds)."""
    for mark in marks:
        found = note.parse(mark.note)
        for witness in asked.witnesses:
            at_s = note.cosigned_at(found, witness.key)
            if at_s is not None:
                yield mark.said.size, at_s * _SECOND_US
