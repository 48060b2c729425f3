"""What a person says of an answer: it is scored by that, and the log says who said it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from reconciler.evaluation import closing, rows
from reconciler.evaluation.record import CLOSED, Result, ResultState, RunState
from reconciler.evaluation.scoring import FULL, REASON_MAX
from runner.contract import audit, errors
from runner.contract.audit_entry import Entry, EntryType

_GRADABLE: Final = frozenset({RunState.RUNNING, RunState.REVIEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A person's word on the answer to a sample; no repetition named: on all that wait."""

    sample: str
    passed: bool
    score: int | None = None
    reason: str = ""
    repetition: int | None = None


def grade(
    connection: Connection, named: str, given: Grade, person: str, now_us: int
) -> tuple[int, int, RunState]:
    """
    Score answers that wait for a person: the run, how many, and what the run is now.

    NotFound when there is no such sample; Refused when none of its answers waits.
    """
    run = rows.locked(connection, rows.find(connection, named).id)
    results = rows.results(connection, run.id)
    chosen = _chosen(results, given, run.id)
    if run.state not in _GRADABLE:
        raise errors.Refused(f"run {run.id} is {run.state.value}, and takes no grade any more")
    score = (FULL if given.passed else 0) if given.score is None else given.score
    graded = [
        replace(
            one,
            state=ResultState.SCORED,
            passed=given.passed,
            score=score,
            reason=given.reason[:REASON_MAX],
            scorer=person,
        )
        for one in chosen
    ]
    rows.save(connection, run.id, graded)
    verdict = "pass" if given.passed else "fail"
    entries = [
        Entry(
            type=EntryType.EVAL_GRADED,
            actor=person,
            commit=run.commit,
            task=one.task,
            resource=str(run.key),
            outcome=verdict,
            reason=f"run {run.id}, sample {one.sample}, repetition {one.repetition}",
        )
        for one in graded
    ]
    audit.append(connection, entries, now_us)
    after = rows.results(connection, run.id)
    if all(one.state in CLOSED for one in after):
        return run.id, len(graded), closing.finish(connection, run, after, now_us)
    return run.id, len(graded), run.state


def _chosen(results: Sequence[Result], given: Grade, number: int) -> list[Result]:
    of_sample = [
        one
        for one in results
        if one.sample == given.sample and given.repetition in (None, one.repetition)
    ]
    if not of_sample:
        known = ", ".join(sorted({one.sample for one in results})[:10]) or "none yet"
        raise errors.NotFound(
            f"run {number} has no answer to {given.sample!r}; its samples: {known}"
        )
    waiting = [one for one in of_sample if one.state is ResultState.REVIEW]
    if not waiting:
        states = ", ".join(sorted({one.state.value for one in of_sample}))
        raise errors.Refused(f"no answer to {given.sample} waits for a grade: {states}")
    return waiting
