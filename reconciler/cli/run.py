"""`orloj run`: run an agent once and show its answer."""

import difflib
from typing import Final

import click
from sqlalchemy import Connection

from reconciler import recorded
from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import settled
from reconciler.cli.parameters import Length, Pair
from reconciler.resource import person_owner
from reconciler.views import tasks as view
from runner.contract import clock, errors, service, settings, submission, wake
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds import Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE, named
from runner.contract.submission import Submission
from runner.task_record import TaskRecord

NAMES_SHOWN: Final = 10


@click.command()
@click.argument("name", metavar="AGENT")
@click.option("--input", "inputs", type=Pair(), multiple=True, help="An input of the task.")
@click.option("--system", is_flag=True, help="AGENT names an AgentSystem.")
@click.option("--detach", is_flag=True, help="Queue it, print its ID and do not wait.")
@click.option("--timeout", type=Length(), help="Wait no longer than 30s, 5m; it goes on.")
@json_option
@click.pass_obj
def command(
    context: Context,
    name: str,
    *,
    inputs: tuple[tuple[str, str], ...],
    system: bool,
    detach: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Run AGENT, given as NAME or NAMESPACE/NAME, and print its answer.

    Exit code 0 when it succeeded, 1 when it did not.
    """
    key = named("AgentSystem" if system else "Agent", name, DEFAULT_NAMESPACE)
    with context.database.read() as connection:
        check_known(connection, key)
    here = service.is_running(context.settings.run, "runner")
    if not (detach or here or context.database.shared):
        raise errors.Refused(
            "no runner is running in this home; start one with `orloj worker` or `orloj up`, "
            "or queue the task with --detach"
        )
    task_id = _submit(context, key, dict(inputs))
    if detach:
        _say_queued(context, task_id, as_json)
        return 0
    (task,) = settled(context, [task_id], timeout)
    if as_json:
        context.show_json(view.task_json(task))
    elif task.state == "succeeded":
        click.echo(view.answer(task))
    if task.state == "succeeded":
        return 0
    context.say(_why_not(task))
    return 1


def _why_not(task: TaskRecord) -> str:
    """Why a task has no answer, and what to type next."""
    if task.state == "unknown_outcome":
        return f"{view.failure(task)}. Decide with: orloj task resolve {task.id}"
    if task.state == "waiting_approval":
        return f"{view.failure(task)}. Decide with: orloj approvals"
    if not task.finished:
        return f"Task {task.id} is {task.state} and goes on: orloj logs -f {task.id}"
    return f"Task {task.id} {task.state}: {view.failure(task)}"


def _submit(context: Context, key: Key, inputs: dict[str, str]) -> str:
    with context.database.write() as connection:
        subject = recorded.resources_with(connection, [key]).get(key)
        commit = recorded.commit_of(connection, subject.owner) if subject else None
        actor = person_owner(settings.person())
        (task_id,) = submission.submit(
            connection,
            [Submission(subject=key, actor=actor, input=inputs)],
            commit or NO_COMMIT,
            clock.now_us(),
        )
    context.database.knock(wake.RUNNER)
    return task_id


def check_known(connection: Connection, key: Key) -> None:
    """NotFound with the names that come close, or with the flag that was meant."""
    if recorded.resources_with(connection, [key]):
        return
    message = f"no {key.kind} {key.namespace}/{key.name} is applied"
    other = {"Agent": "AgentSystem", "AgentSystem": "Agent"}[key.kind]
    if key.name in recorded.names(connection, other, key.namespace):
        hint = "add --system" if other == "AgentSystem" else "leave out --system"
        raise errors.NotFound(f"{message}; an {other} of that name is: {hint}")
    names = recorded.names(connection, key.kind, key.namespace)
    if close := difflib.get_close_matches(key.name, names, n=1):
        raise errors.NotFound(f"{message}; did you mean {close[0]}?")
    listed = ", ".join(names[:NAMES_SHOWN]) or "none; `orloj apply -f FILE` applies one"
    raise errors.NotFound(f"{message}; applied in {key.namespace}: {listed}")


def _say_queued(context: Context, task_id: str, as_json: bool) -> None:
    if as_json:
        context.show_json({"id": task_id, "state": "pending"})
    else:
        click.echo(task_id)
        context.say(f"Queued. Follow it with: orloj logs -f {task_id}")
