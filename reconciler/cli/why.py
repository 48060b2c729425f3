"""`orloj why`: from a call back to its line, its commit and the people who answer for it.

`--json` prints what `reconciler.why.fields` makes; docs/why.md names the fields.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.text import Text
from sqlalchemy import Connection

from reconciler.cli import approval_beside
from reconciler.cli.asking import noted
from reconciler.cli.context import Context, json_option
from reconciler.cli.judging import Judge
from reconciler.views import why as view
from reconciler.why import call as calls
from reconciler.why import entries, lone, manifest, rows, walk, whole
from reconciler.why import fields as why_fields
from reconciler.why.call import Call
from reconciler.why.entries import Logged
from runner import tasks
from runner.contract.errors import NotFound

Fields = dict[str, Any]
Words = Callable[[Fields], Text]
_SEQ: Final = re.compile(r"[0-9]{1,19}")
_STEP: Final = re.compile(r"(?P<task>[^/]+)/(?P<number>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class _Subject:
    """What was asked about: a call, else a task, else one entry."""

    call: Call | None = None
    task: str | None = None
    entry: Logged | None = None


@click.command()
@click.argument("subject", metavar="TASK|TASK/STEP|SEQ")
@json_option
@click.pass_obj
def command(context: Context, subject: str, as_json: bool) -> int:
    """Say why a call was made: line, commit, author, approval, plan, and what proves it.

    TASK is a task, or a unique beginning of its ID; TASK/STEP one call of it. A number alone
    is an entry of the audit log; if it belongs to a call, the call is shown.
    """
    with context.database.read() as connection:
        found = _subject(connection, subject)
        code = _shown(context, connection, found, as_json)
    noted(context, "why", {"subject": subject}, None)
    return code


def _shown(context: Context, connection: Connection, found: _Subject, as_json: bool) -> int:
    if found.call is not None:
        return _call(context, connection, found.call, as_json)
    if found.task is not None:
        return _task(context, connection, found.task, as_json)
    assert found.entry is not None
    return _entry(context, connection, found.entry, as_json)


def _subject(connection: Connection, text: str) -> _Subject:
    if step := _STEP.fullmatch(text):
        return _Subject(_step(connection, step["task"], int(step["number"])))
    if _SEQ.fullmatch(text) and not _is_task(connection, text):
        entry = entries.one(connection, int(text))
        task, number = entry.text("task"), entry.whole("step")
        if task is not None and number is not None and entry.type.startswith("action."):
            return _Subject(_step(connection, task, number))
        return _Subject(task=task, entry=None if task else entry)
    return _Subject(task=tasks.resolve(connection, text))


def _is_task(connection: Connection, digits: str) -> bool:
    """Whether a number is the whole id of a task, which may be made of digits only."""
    query = "SELECT 1 FROM task WHERE id = ?"
    return connection.exec_driver_sql(query, (digits,)).one_or_none() is not None


def _step(connection: Connection, beginning: str, number: int) -> Call:
    task = tasks.resolve(connection, beginning)
    found = calls.step(entries.of_step(connection, task, number), task, number)
    if found is None:
        raise NotFound(f"the log has no call {number} of task {task}; `orloj why {task}`")
    return found


def _call(context: Context, connection: Connection, call: Call, as_json: bool) -> int:
    found = walk.walk(connection, context.settings, call)
    assert call.decided is not None, "a walk begins at a decision"
    judge = Judge(connection, context.settings)
    judged = judge.again(call.decided, found.held, found.task, found.arguments)
    fields = why_fields.call_json(
        found, judged.fields(), approval_beside.fields(connection, call)
    )
    return _show(context, fields, view.call_words, as_json=as_json)


def _task(context: Context, connection: Connection, task: str, as_json: bool) -> int:
    found = whole.whole(connection, context.settings, task)
    judge = Judge(connection, context.settings)
    judged = {}
    for call in found.calls:
        decided, held = call.decided, found.held
        if decided is None:
            continue
        if held is not None and decided.text("commit") != held.head.sha:
            held = manifest.holder(context.settings, (held.source,), decided.text("commit"))
        arguments = rows.arguments(connection, call)
        judged[call.step] = judge.again(decided, held, found.task, arguments).fields()
    return _show(context, why_fields.task_json(found, judged), view.task_words, as_json=as_json)


def _entry(context: Context, connection: Connection, entry: Logged, as_json: bool) -> int:
    found = lone.lone(connection, context.settings, entry)
    return _show(context, why_fields.entry_json(found), view.entry_words, as_json=as_json)


def _show(context: Context, fields: Fields, words: Words, *, as_json: bool) -> int:
    """Print it; 1 when something of it does not hold."""
    if as_json:
        context.show_json(fields)
    else:
        context.show(words(fields))
    return 0 if fields["holds"] else 1
