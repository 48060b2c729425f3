"""Whether the log is what was written, and if not, what was done to it.

entries ──every byte──> tree ──at every checkpoint──> root, signature, chain of keys
                          └──what others keep────> roots that were published
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from reconciler.proof import (
    checkpoint,
    checkpoints,
    comparison,
    dating,
    keys,
    narrowing,
    note,
)
from reconciler.proof.comparison import Mark
from reconciler.proof.finding import Attack, Finding, Report
from reconciler.proof.note import VerifierKey
from reconciler.proof.policy import Policy
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
    policy: Policy | None = None,
    progress: Progress = lambda _: None,
    settings: Settings | None = None,
) -> Report:
    """What holds of a log, as one read transaction sees it.

    `pinned` are keys that the reader got elsewhere; `kept` are checkpoints that others keep;
    `policy` says whose cosignatures are asked for. `progress` is told how many entries were
    read; with `settings`, two processes read.
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
        if _compared(mark, roots, report):
            report.signed = max(report.signed, mark.said.size)
    _narrow(connection, walked, marks, report)
    comparison.compare(marks, others, roots, report)
    if policy is not None:
        comparison.cosigned([*marks, *others], policy, report)
    _take_dates(connection, [*marks, *others], policy, report)
    _look_beside(connection, walked, pinned, report)
    return report


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
) -> Iterator[Mark]:
    """The checkpoints of this database, as far as they are signed."""
    for stored in checkpoints.between(connection, 0, 2**62):
        try:
            said = checkpoints.trusted(stored, known, log)
        except errors.AuditBroken as error:
            report.findings.append(Finding(Attack.SIGNATURE, str(error), stored.size))
            continue
        yield Mark(said, stored.signed_at, "this database", stored.note)


def _kept(
    kept: Sequence[Witnessed], known: Sequence[VerifierKey], log: str, report: Report
) -> Iterator[Mark]:
    for one in kept:
        try:
            said, _ = checkpoints.opened(one.note, known, log)
        except ValueError as error:
            if not any(found.attack is Attack.WRONG_KEY for found in report.findings):
                report.findings.append(_unopened(one, log, error))
            continue
        yield Mark(said, one.at_us, one.where, one.note)


def _unopened(one: Witnessed, log: str, error: ValueError) -> Finding:
    """What a checkpoint that others keep says of us when no key of ours signed it."""
    try:
        found = note.parse(one.note)
        said, signers = checkpoint.parse(found.text), found.signatures
    except ValueError:
        return Finding(Attack.SIGNATURE, f"what {one.where} keeps is no checkpoint: {error}")
    if said.origin != log or not any(line.name == log for line in signers):
        sentence = f"a checkpoint kept at {one.where} does not hold: {error}"
        return Finding(Attack.SIGNATURE, sentence)
    sentence = (
        f"{one.where} keeps a checkpoint of {said.size} entries that no key of this database"
        " has signed: the log was written anew without its key, or somebody else wrote there"
    )
    return Finding(Attack.WRONG_KEY, sentence, 1, said.size)


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


def _compared(mark: Mark, roots: dict[int, bytes], report: Report) -> bool:
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
    if not any(found.attack is Attack.REWRITE for found in report.findings):
        sentence = f"the first {size} entries are not those that were signed"
        report.findings.append(Finding(Attack.REWRITE, sentence, report.signed + 1, size))
    return False


def _narrow(
    connection: Connection, walked: Walked, marks: Sequence[Mark], report: Report
) -> None:
    """Say more exactly where a rewrite begins, where that can be told."""
    for at, found in enumerate(report.findings):
        if found.attack is not Attack.REWRITE or found.seq is None or found.until is None:
            continue
        exact = narrowing.strange(connection, found.seq, found.until)
        if exact is None:
            said = next(one.said for one in marks if one.said.size == found.until)
            first, until = narrowing.span(connection, walked, said, found.seq)
            exact = replace(found, seq=first, until=until)
        report.findings[at] = exact


def _take_dates(
    connection: Connection, marks: Sequence[Mark], policy: Policy | None, report: Report
) -> None:
    """Entries that say a time before that of a checkpoint which they came after."""
    report.warnings += [
        f"entry {seq} says a time before the {seq - 1} entries before it were signed: a clock"
        " was put back, or the entry is back-dated"
        for seq in dating.doubtful(connection)
    ]
    witnessed = list(comparison.cosigned_at(marks, policy)) if policy else []
    for seq in dating.older(connection, witnessed):
        sentence = (
            f"a witness had seen the {seq - 1} entries before it, and no more, at a later time"
            " than the entry says"
        )
        report.findings.append(Finding(Attack.BACK_DATING, sentence, seq))


def _look_beside(
    connection: Connection,
    walked: Walked,
    pinned: Sequence[VerifierKey],
    report: Report,
) -> None:
    """What is asked only of entries that hold: their tasks, and the values beside them."""
    if report.holds and (found := narrowing.gap(connection)):
        report.findings.append(found)
    if report.holds and (bad := disclosures.first_bad(connection, walked.beside)):
        seq, sentence = bad
        report.findings.append(Finding(Attack.DISCLOSURE, sentence, seq))
    if report.checkpoints or not report.entries:
        return
    if pinned and report.holds:
        sentence = (
            "the key given signs this log, and no checkpoint is there: they were taken out"
        )
        report.findings.append(Finding(Attack.SIGNATURE, sentence))
    report.warnings.append(
        "no checkpoint is there: whoever writes the database could have written all of it anew"
    )
