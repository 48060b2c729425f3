"""How a command begins a run of an evaluation, drives it, and says how far it is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context
from reconciler.evaluation import beginning, driving, record, rows
from reconciler.evaluation.beginning import Pin
from reconciler.evaluation.record import Run, RunState
from reconciler.evaluation.rows import New
from reconciler.repository import Repository
from reconciler.resource import Resource, person_owner
from reconciler.views import evaluations as view
from runner import decisions, evaluation_set
from runner.contract import clock, errors, service, settings
from runner.contract.kinds import EvalDataset, EvalRun, Key
from runner.evaluation_set import Declared
from runner.manifest_set import Placed

POLL_FIRST_S: Final = 0.02
POLL_MAX_S: Final = 0.3
CODES: Final = {RunState.PASSED: 0, RunState.FAILED: 2}


@dataclass(frozen=True, slots=True)
class Tree:
    """What a commit declares, of which the repository's name is known."""

    commit: str
    resources: Mapping[Key, Resource]
    owner: str

    def pin(self) -> Pin:
        """Keeps sets as this commit declares them."""
        placed = {key: _placed(item) for key, item in self.resources.items()}
        return partial(evaluation_set.pinned, declared=Declared(placed, self.owner))

    def exam(self, key: Key) -> tuple[EvalRun, EvalDataset] | None:
        """The EvalRun and its dataset, if the commit declares both."""
        found = self.resources.get(key)
        if found is None:
            return None
        run = beginning.run_of(found.body)
        dataset = self.resources.get(run.questions(key.namespace))
        return None if dataset is None else (run, beginning.dataset_of(dataset.body))


def tree(context: Context, source: str, commit: str) -> Tree:
    """A commit, read and not applied; SourceError, and Refused when nobody vouched for it."""
    repository = Repository(context.settings, context.database, source)
    place = repository.place
    place.git.fetch(repository.resolve())
    if place.settings.verify != "off" and (blocks := repository.preview(commit).blocks):
        raise errors.Refused(f"commit {commit[:12]} is not read: {'; '.join(map(str, blocks))}")
    found, resources = repository.declared(commit)
    return Tree(found, resources, place.owner)


def refuse_without_runner(context: Context, detach: bool) -> None:
    """Refused when nobody would answer."""
    here = service.is_running(context.settings.run, "runner")
    if not (detach or here or context.database.shared):
        raise errors.Refused(
            "no runner is running in this home; start one with `orloj worker` or `orloj up`,"
            " or leave the run to them with --detach"
        )


def begin(
    context: Context, key: Key, at: Tree | None, exam: tuple[EvalRun, EvalDataset] | None = None
) -> int:
    """Begin a run under what is applied, or as a commit declares it; its number.

    What is not applied calls no tool: nobody let it.
    """
    with context.database.write() as connection:
        if exam is None:
            exam = at.exam(key) if at else None
        run, dataset = exam or beginning.recorded_exam(connection, key)
        if at is not None:
            run = run.model_copy(update={"tools": "stubs", "real_tools": []})
        subject = run.subject(key.namespace)
        commit = at.commit if at else beginning.commit_of(connection, subject)
        actor = person_owner(settings.person())
        beginning.check(run, dataset)
        new = New(key=key, commit=commit, actor=actor, spec=run, dataset=dataset)
        number = beginning.write(connection, new, clock.now_us())
        pin = at.pin() if at else evaluation_set.pinned
        fresh = rows.locked(connection, number)
        beginning.prepare(connection, fresh, pin, clock.now_us())
        _refuse_broken(connection, number)
    return number


def _refuse_broken(connection: Connection, number: int) -> None:
    run = rows.locked(connection, number)
    if run.state is RunState.BROKEN:
        raise errors.Refused(run.message)  # The transaction ends: nothing of it is left.


def follow(context: Context, numbers: list[int], timeout_s: float | None) -> list[Run]:
    """Drive runs until each is closed or waits for a person, or the time is over."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s, told = POLL_FIRST_S, ""
    while True:
        with context.database.read() as connection:
            runs = [rows.find(connection, str(number)) for number in numbers]
        for run in runs:
            if run.open:
                driving.step(
                    context.database,
                    run,
                    evaluation_set.pinned,
                    decisions.cancel,
                    now_us=clock.now_us(),
                )
        with context.database.read() as connection:
            runs = [rows.find(connection, str(number)) for number in numbers]
            found = [record.summary(rows.results(connection, run.id)) for run in runs]
        words = "; ".join(map(view.progress, runs, found))
        if words != told:
            context.say(words)
            told, pause_s = words, POLL_FIRST_S
        over = all(not run.open or run.state is RunState.REVIEW for run in runs)
        left_s = pause_s if deadline is None else deadline - time.monotonic()
        if over or left_s <= 0:
            return runs
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, POLL_MAX_S)


def key_of(name: str) -> Key:
    """The EvalRun that `[namespace/]name` stands for."""
    namespace, _, bare = name.rpartition("/")
    return Key(namespace or "default", "EvalRun", bare)


def _placed(item: Resource) -> Placed:
    return Placed(item.key, item.body, item.path, item.line, dict(item.lines))


source_option = click.option(
    "--source", default="default", show_default=True, help="The repository of the commit."
)
