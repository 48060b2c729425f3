"""How a run begins: what is asked, from which manifests, and what cannot be asked.

applied, or `orloj eval run` ──> pending ──pin──> running, every question waiting
                                    └── cannot be pinned ──> broken, with the reason
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from reconciler import canary_verdict, recorded
from reconciler.change import Plan
from reconciler.evaluation import rows
from reconciler.evaluation.record import Result, ResultState, Run, RunState
from reconciler.evaluation.rows import New
from reconciler.resource import Recorded
from runner.contract import audit, errors
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.kinds import EvalDataset, EvalRun, Key, spec_of

Pin = Callable[[Connection, Key, EvalRun, EvalDataset], Mapping[str, tuple[str, str | None]]]
"""Keeps the manifest set of each sample and of its judge; their digests. NotFound, Refused."""


def recorded_exam(connection: Connection, key: Key) -> tuple[EvalRun, EvalDataset]:
    """An EvalRun and its dataset as recorded; NotFound."""
    found = recorded.resources_with(connection, [key])
    if key not in found:
        known = ", ".join(recorded.names(connection, "EvalRun", key.namespace)[:10]) or "none"
        raise errors.NotFound(
            f"no EvalRun {key.namespace}/{key.name} is applied; applied there: {known}"
        )
    run = run_of(found[key].body)
    questions = run.questions(key.namespace)
    dataset = recorded.resources_with(connection, [questions]).get(questions)
    if dataset is None:
        raise errors.NotFound(f"{questions} is not applied, and {key} asks its samples")
    return run, dataset_of(dataset.body)


def run_of(body: str) -> EvalRun:
    """The EvalRun in a stored text."""
    spec = spec_of("EvalRun", body)
    assert isinstance(spec, EvalRun)
    return spec


def dataset_of(body: str) -> EvalDataset:
    """The samples in a stored text."""
    spec = spec_of("EvalDataset", body)
    assert isinstance(spec, EvalDataset)
    return spec


def write(connection: Connection, new: New, now_us: int) -> int:
    """Write a run and log it; its number."""
    number = rows.insert(connection, new, now_us)
    entry = Entry(
        type=EntryType.EVAL_STARTED,
        actor=new.actor,
        commit=new.commit,
        resource=str(new.key),
        reason=f"run {number}",
    )
    audit.append(connection, [entry], now_us)
    return number


def check(run: EvalRun, dataset: EvalDataset) -> None:
    """Refused when a sample cannot be scored, or when it is too much to ask."""
    if (why := run.cannot_ask(dataset)) is not None:
        raise errors.Refused(why)


def prepare(connection: Connection, run: Run, pin: Pin, now_us: int) -> bool:
    """Pin a pending run and write its questions, in the caller's transaction, which has it
    locked; False when it is broken.
    """
    try:
        check(run.spec, run.dataset)
        sets = pin(connection, run.key, run.spec, run.dataset)
    except errors.OrlojError as error:
        rows.close(connection, run.id, RunState.BROKEN, str(error), now_us)
        return False
    rows.write_results(
        connection,
        run.id,
        [
            Result(
                sample=sample.name,
                repetition=repetition,
                state=ResultState.WAITING,
                manifest_set=sets[sample.name][0],
                judge_set=sets[sample.name][1],
            )
            for sample in run.dataset.samples
            for repetition in range(1, run.spec.repetitions + 1)
        ],
    )
    rows.move(connection, run.id, RunState.RUNNING)
    return True


def queue(connection: Connection, planned: Plan, commit: str, now_us: int) -> list[int]:
    """Write the runs that new or changed EvalRun manifests ask for; their numbers.

    What marks one as part of the canary of its revision is begun by that.
    """
    found = []
    for change in planned.changes:
        if change.key.kind != "EvalRun" or change.after is None or not change.respecified:
            continue
        spec = run_of(change.after.body)
        canary = canary_verdict.timeout_s(canary_verdict.annotations(change.after.body))
        if not spec.suspended and canary is None:
            owner = planned.target.owner
            found.append(applied(connection, change.key, owner, commit, now_us))
    return found


def applied(connection: Connection, key: Key, owner: str, commit: str, now_us: int) -> int:
    """Write a run of an EvalRun that was just applied; its number."""
    run, dataset = recorded_exam(connection, key)
    new = New(key=key, commit=commit, actor=owner, spec=run, dataset=dataset)
    return write(connection, new, now_us)


def commit_of(connection: Connection, subject: Key) -> str:
    """The commit that a subject is recorded at."""
    found: Recorded | None = recorded.resources_with(connection, [subject]).get(subject)
    return (recorded.commit_of(connection, found.owner) if found else None) or NO_COMMIT
