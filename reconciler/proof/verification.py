"""Whether the log is what was written, and if not, what was done to it.

entries ──every byte──> tree ──at every checkpoint──> root, signature, chain of keys
                          └──what others keep────> roots that were published
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.finding import Attack, Finding, Report
from reconciler.proof.note import VerifierKey
from reconciler.proof.walk import Progress, Walked, walk
from runner.contract import audit, disclosures, errors, merkle
from runner.contract.settings import Settings


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that somebody else keeps, as its note, and since when (microseconds)."""

    note: str
    at_us: int
    where: str


def verify(
    connection: Connection,
    now_us: int,
    *,
    pinned: Sequence[VerifierKey] = (),
    kept: Sequence[Witnessed] = (),
    progress: Progress = lambda _: None,
    settings: Settings | None = None,
) -> Report:
    """What holds of a log, as one read transaction sees it.

    `pinned` are keys that the reader got elsewhere; `kept` are checkpoints that others keep.
    `progress` is told how many entries were read; with `settings`, two processes read.
    """
    report = Report()
    log = audit.name(connection)
    _take_keys(connection, pinned, report)
    known = [*report.keys, *pinned]
    marks = list(_own(connection, known, log, report))
    others = list(_kept(kept, known, log, report))
    walked = walk(
        connection,
        {one.said.size for one in (*marks, *others)},
        max((mark.said.size for mark in marks), default=0),
        now_us,
        progress=progress,
        settings=settings,
    )
    roots = walked.roots() | {0: merkle.EMPTY}
    report.entries, report.head = walked.size, roots[walked.size].hex()
    report.checkpoints, report.witnessed = len(marks), len(others)
    _take_walk(walked, report)
    for mark in marks:
        if _compared(mark, roots, report, Attack.REWRITE):
            report.signed = max(report.signed, mark.said.size)
    _compare_kept(marks, others, roots, report)
    if report.holds and (bad := disclosures.first_bad(connection)):
        seq, sentence = bad
        report.findings.append(Finding(Attack.DISCLOSURE, sentence, seq))
    if not report.checkpoints and report.entries:
        report.warnings.append(
            "no checkpoint was ever signed: whoever writes the database could have rewritten it"
        )
    return report


@dataclass(frozen=True, slots=True)
class _Mark:
    """A checkpoint that a key of the log has signed, and since when it is known where."""

    said: Checkpoint
    at_us: int
    where: str
    note: str


def _take_keys(connection: Connection, pinned: Sequence[VerifierKey], report: Report) -> None:
    try:
        report.keys = [one.key for one in keys.known(connection)]
    except errors.AuditBroken as error:
        report.findings.append(Finding(Attack.WRONG_KEY, str(error)))
    if pinned and report.keys and not set(pinned) & set(report.keys):
        found = ", ".join(key.key_id.hex() for key in report.keys)
        report.findings.append(
            Finding(Attack.WRONG_KEY, f"the log is signed with {found}, not with the key given")
        )


def _own(
    connection: Connection, known: Sequence[VerifierKey], log: str, report: Report
) -> Iterator[_Mark]:
    """The checkpoints of this database, as far as they are signed."""
    for stored in checkpoints.between(connection, 0, 2**62):
        try:
            said = checkpoints.trusted(stored, known, log)
        except errors.AuditBroken as error:
            report.findings.append(Finding(Attack.SIGNATURE, str(error), stored.size))
            continue
        yield _Mark(said, stored.signed_at, "this database", stored.note)


def _kept(
    kept: Sequence[Witnessed], known: Sequence[VerifierKey], log: str, report: Report
) -> Iterator[_Mark]:
    for one in kept:
        try:
            said, _ = checkpoints.opened(one.note, known, log)
        except ValueError as error:
            sentence = f"a checkpoint kept at {one.where} does not hold: {error}"
            report.findings.append(Finding(Attack.SIGNATURE, sentence))
            continue
        yield _Mark(said, one.at_us, one.where, one.note)


def _take_walk(walked: Walked, report: Report) -> None:
    """What the entries say by themselves."""
    if walked.late is not None:
        sentence = "the entry says a time that is still to come"
        report.findings.append(Finding(Attack.BACK_DATING, sentence, walked.late))
    report.warnings += [
        f"entry {seq} says an earlier time than one before it: a clock was put back, or the"
        " entry is back-dated"
        for seq in walked.early
    ]
    if walked.problem is not None:
        attack, sentence = Attack(walked.problem.attack), walked.problem.sentence
        report.findings.append(Finding(attack, sentence, walked.size + 1))


def _compared(mark: _Mark, roots: dict[int, bytes], report: Report, attack: Attack) -> bool:
    """Whether the log is, up to a checkpoint, what was signed; else what was done to it."""
    size = mark.said.size
    if size > report.entries:
        if not any(found.seq == report.entries + 1 for found in report.findings):
            sentence = (
                f"{size} entries were signed and {report.entries} are there: the end of the"
                " log was cut off"
            )
            report.findings.append(Finding(Attack.TRUNCATION, sentence, report.entries + 1))
        return False
    if roots[size] == mark.said.root:
        return True
    if not any(found.attack is attack for found in report.findings):
        first = report.signed + 1
        sentence = f"the first {size} entries are not those that were signed"
        report.findings.append(Finding(attack, sentence, first, size))
    return False


def _compare_kept(
    marks: Sequence[_Mark], others: Sequence[_Mark], roots: dict[int, bytes], report: Report
) -> None:
    """Compare with what others keep; what only they show is a rollback, a fork, a rewrite."""
    own = {mark.said.size: mark for mark in marks}
    for other in sorted(others, key=lambda mark: mark.said.size):
        size = other.said.size
        if size > report.entries and report.holds:
            sentence = (
                f"{other.where} keeps a checkpoint of {size} entries and the log ends at"
                f" {report.entries}: it was put back to an older copy"
            )
            report.findings.append(Finding(Attack.ROLLBACK, sentence, report.entries + 1))
        elif size in own and own[size].said.root != other.said.root:
            sentence = (
                f"two checkpoints of {size} entries were signed with the log's key, which"
                f" proves that it was forked:\n{own[size].note}\n{other.note}"
            )
            report.findings.append(Finding(Attack.FORK, sentence, None, size))
        elif size <= report.entries and roots[size] != other.said.root:
            sentence = (
                f"{other.where} keeps another root over the first {size} entries: the log was"
                " written anew, and signed with its own key"
            )
            report.findings.append(Finding(Attack.REWRITE_WITH_KEY, sentence, 1, size))
