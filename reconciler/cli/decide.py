"""How a person's decision reaches tasks: ids by their beginnings, one transaction, a knock."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context
from reconciler.resource import person_owner
from reconciler.views import decisions as view
from runner import tasks
from runner.contract import clock, settings, wake
from runner.task_record import Decided, TaskRecord

POLL_FIRST_S: Final = 0.02
POLL_MAX_S: Final = 0.3


class Act(Protocol):
    """One of the decisions in `runner.decisions`."""

    def __call__(
        self, connection: Connection, ids: Sequence[str], /, *, actor: str, now_us: int
    ) -> Sequence[Decided]:
        """What was decided about each of the tasks, all of them or none."""


def decide(context: Context, beginnings: Sequence[str], act: Act) -> list[Decided]:
    """What `act` did about the tasks whose ids begin so."""
    return decide_on(
        context,
        lambda connection: [tasks.resolve(connection, beginning) for beginning in beginnings],
        act,
    )


def decide_on(
    context: Context, find: Callable[[Connection], list[str]], act: Act
) -> list[Decided]:
    """The same about the tasks that `find` names, found in the very same transaction."""
    with context.database.write() as connection:
        ids = find(connection)
        actor = person_owner(settings.person())
        decided = list(act(connection, ids, actor=actor, now_us=clock.now_us()))
    context.database.knock(wake.RUNNER)
    return decided


def show(context: Context, decided: Sequence[Decided], as_json: bool) -> None:
    """Print what was decided, and what to type next."""
    if as_json:
        context.show_json([view.decided_json(item) for item in decided])
        return
    context.show(view.decided_lines(decided))
    if following := view.next_command(decided):
        context.say(following)


def settled(context: Context, ids: Sequence[str], timeout_s: float | None) -> list[TaskRecord]:
    """The tasks once each is finished or waits for a person, or the time is over."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = POLL_FIRST_S
    known: dict[str, TaskRecord] = {}
    while True:
        with context.database.read() as connection:
            for id in ids:
                if id not in known or not over(known[id]):
                    known[id] = tasks.record(connection, id)
        left_s = pause_s if deadline is None else deadline - time.monotonic()
        if left_s <= 0 or all(over(task) for task in known.values()):
            return [known[id] for id in ids]
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, POLL_MAX_S)


def over(task: TaskRecord) -> bool:
    """Whether waiting longer changes nothing."""
    return task.finished or task.waits_for_person


ids_argument = click.argument("ids", metavar="ID...", nargs=-1, required=True)
