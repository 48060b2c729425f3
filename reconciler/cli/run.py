"""`orloj run`: run an agent once and show its answer."""

import difflib
from dataclasses import replace
from typing import Final

import click
from sqlalchemy import Connection

from reconciler import recorded
from reconciler.cli.context import Context, json_option
from reconciler.cli.decide import settled
from reconciler.cli.parameters import Length, Pair
from reconciler.resource import Recorded, person_owner
from reconciler.views import tasks as view
from runner.contract import clock, errors, service, settings, submission, wake
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds import Key, Task, spec_of
from runner.contract.kinds.base import DEFAULT_NAMESPACE, named
from runner.contract.submission import Submission
from runner.task_record import TaskRecord

NAMES_SHOWN: Final = 10
_FLAGS: Final = {"Agent": "", "AgentSystem": "--system", "Task": "--task"}


@click.command()
@click.argument("name", metavar="AGENT")
@click.option("--input", "inputs", type=Pair(), multiple=True, help="An input of the task.")
@click.option("--system", is_flag=True, help="AGENT names an AgentSystem.")
@click.option("--task", is_flag=True, help="AGENT names a Task: its work, with these inputs.")
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
    task: bool,
    detach: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Run AGENT, given as NAME or NAMESPACE/NAME, and print its answer.

    Exit code 0 when it succeeded, 1 when it did not.
    """
    if system and task:
        raise click.UsageError("--system and --task say what AGENT names: give one")
    kind = "AgentSystem" if system else "Task" if task else "Agent"
    key = named(kind, name, DEFAULT_NAMESPACE)
    with context.database.read() as connection:
        check_known(connection, key, tasks=True)
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
    (ended,) = settled(context, [task_id], timeout)
    if as_json:
        context.show_json(view.task_json(ended))
    elif ended.state == "succeeded":
        click.echo(view.answer(ended))
    if ended.state == "succeeded":
        return 0
    context.say(_why_not(ended))
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
        work = _work(key, subject, person_owner(settings.person()), inputs)
        (task_id,) = submission.submit(connection, [work], commit or NO_COMMIT, clock.now_us())
    context.database.knock(wake.RUNNER)
    return task_id


def _work(key: Key, subject: Recorded | None, actor: str, inputs: dict[str, str]) -> Submission:
    """What is asked for; a Task's own inputs stand where none are given."""
    if key.kind != "Task":
        return Submission(subject=key, actor=actor, input=inputs)
    if subject is None:
        raise errors.NotFound(f"no Task {key.namespace}/{key.name} is applied any more")
    task = spec_of("Task", subject.body)
    assert isinstance(task, Task)
    work = submission.of_task(key, task, actor)
    return replace(work, input=work.input | inputs)


def check_known(connection: Connection, key: Key, *, tasks: bool = False) -> None:
    """NotFound with the names that come close, or with the flag that was meant.

    `tasks`: whether there is a flag for a Task.
    """
    if recorded.resources_with(connection, [key]):
        return
    message = f"no {key.kind} {key.namespace}/{key.name} is applied"
    for other, flag in _FLAGS.items():
        if other in (key.kind, "" if tasks else "Task"):
            continue
        if key.name in recorded.names(connection, other, key.namespace):
            hint = f"add {flag}" if flag else f"leave out {_FLAGS[key.kind]}"
            raise errors.NotFound(f"{message}; {other} {key.name} is: {hint}")
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
