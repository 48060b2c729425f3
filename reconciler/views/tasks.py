"""Tasks as words and as JSON: the list, one task, and what happened line by line. Pure.

The fields of the JSON forms are promises; docs/cli.md lists them. Times in JSON are ISO
8601 in UTC, lengths are microseconds.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import block, heading, number, pairs, paragraphs, short, table, word
from reconciler.views.times import iso, length, moment
from runner.task_record import AttemptRecord, ChildRecord, StepRecord, TaskAccount, TaskRecord

_WAITS: Final = frozenset({"waiting_approval", "waiting_tokens"})
_WAITS_MAX: Final = 200


def task_list(tasks: Sequence[TaskRecord]) -> Text:
    """The list of tasks, and what to type next."""
    if not tasks:
        return Text("No tasks. `orloj run AGENT --input k=v` queues one.")
    rows = [
        (
            task.id,
            word(task.state),
            task.subject,
            str(task.attempt),
            f"{number(task.tokens_in)} + {number(task.tokens_out)}",
            moment(task.created_at),
            length(_took(task.started_at, task.finished_at)),
        )
        for task in tasks
    ]
    headers = ("TASK", "STATE", "SUBJECT", "ATTEMPT", "TOKENS", "QUEUED (UTC)", "TOOK")
    waits = [
        Text(f"  {task.id} {_until(task)}: {_why(task)}", style="dim")
        for task in tasks
        if task.error and task.state in _WAITS
    ]
    following = Text("\nNext: orloj task ID", style="dim")
    return paragraphs(table(headers, rows), Text() if waits else None, *waits, following)


def _until(task: TaskRecord) -> str:
    return "waits" if task.waits_until is None else f"waits until {moment(task.waits_until)}"


def _why(task: TaskRecord) -> str:
    return plain(short(task.error or "no reason was written down", _WAITS_MAX))


def task_account(account: TaskAccount) -> Text:
    """One task with its attempts, steps and result."""
    task = account.task
    title = Text.assemble(("Task ", "bold"), (task.id, "bold"), "  ", word(task.state))
    facts = _facts(task)
    if account.parent is not None:
        queued = f"task {account.parent.task}, step {account.parent.step}"
        facts.insert(1, ("child of", queued))
    parts: list[Text | None] = [title, pairs(facts)]
    if account.attempts:
        parts += [heading("\nAttempts"), _attempts(account.attempts)]
    if account.steps:
        parts += [heading("\nSteps"), _steps(account.steps)]
    if account.children:
        parts += [heading("\nQueued by its steps"), _children(account.children)]
    if task.output is not None:
        parts += [heading("\nOutput"), block(task.output)]
    if task.error is not None:
        why = "\nWaits" if task.state in _WAITS else "\nError"
        parts += [heading(why), block(task.error)]
    parts.append(Text(f"\nNext: orloj audit log --task {task.id}", style="dim"))
    return paragraphs(*parts)


def _facts(task: TaskRecord) -> list[tuple[str, str | Text]]:
    queued = f"{moment(task.created_at)} UTC by {task.actor}"
    took = length(_took(task.started_at, task.finished_at))
    facts: list[tuple[str, str | Text]] = [("subject", task.subject)]
    if task.task_name is not None:
        facts.append(("declared by", f"task {task.task_name}"))
    facts += [
        ("commit", task.commit or "-"),
        ("manifests", task.manifest_set or "-"),
        ("queued", queued),
        ("started", f"{moment(task.started_at)}, took {took}"),
        ("tokens", f"{number(task.tokens_in)} in, {number(task.tokens_out)} out"),
    ]
    if task.waits_until is not None:
        facts.append(("waits", f"until {moment(task.waits_until)} UTC, or until it is woken"))
    return facts + [
        (f"input {plain(name)}", short(value)) for name, value in sorted(task.input.items())
    ]


def _attempts(attempts: Sequence[AttemptRecord]) -> Text:
    rows = [
        (
            str(at.fence),
            at.worker,
            word(at.outcome or "running"),
            moment(at.started_at),
            length(_took(at.started_at, at.ended_at)),
            short(at.error or ""),
        )
        for at in attempts
    ]
    return table(("FENCE", "WORKER", "OUTCOME", "STARTED (UTC)", "TOOK", ""), rows, "  ")


def _steps(steps: Sequence[StepRecord]) -> Text:
    rows = [
        (
            str(step.number),
            step.agent,
            step.kind,
            step.name,
            word(step.phase),
            f"{number(step.tokens_in)} + {number(step.tokens_out)}",
            length(_took(step.started_at, step.finished_at)),
            short(what(step)),
        )
        for step in steps
    ]
    return table(("#", "AGENT", "KIND", "NAME", "PHASE", "TOKENS", "TOOK", ""), rows, "  ")


def _children(children: Sequence[ChildRecord]) -> Text:
    rows = [
        (str(one.step), one.task, word(one.state), one.task_name or "-") for one in children
    ]
    return table(("STEP", "TASK", "STATE", "FROM"), rows, "  ")


def what(step: StepRecord) -> str:
    """What came of a step, in a few words."""
    result = step.result
    if not isinstance(result, dict):
        return "" if result is None else str(result)
    if step.kind == "turn":
        return _noted(result)
    for name in ("error", "denied"):
        if result.get(name):
            code = f" ({result['code']})" if "code" in result else ""
            return f"{name}{code}: {result[name]}"
    if calls := result.get("calls"):
        return "calls " + ", ".join(_call(call) for call in calls)
    return str(result.get("text") or result.get("content") or "")


def _noted(result: dict[str, Any]) -> str:
    """What a turn came to without a call."""
    if "repeats" in result:
        return f"answered as in step {result['repeats']}"
    for name, words in (("denied", "denied: "), ("told", "told: "), ("lacks", "")):
        if name in result:
            return words + str(result[name])
    return ""


def _call(call: Any) -> str:
    if not isinstance(call, dict):
        return str(call)
    arguments = json.dumps(call.get("arguments", {}), ensure_ascii=False)
    return f"{call.get('tool')} {short(arguments, 60)}"


def answer(task: TaskRecord) -> str:
    """What a task said in the end, line by line."""
    return "\n".join(plain(line) for line in (task.output or "").splitlines())


def failure(task: TaskRecord) -> str:
    """Why a task did not succeed, on one line."""
    return plain(short(task.error or "no reason was written down", 500))


def task_json(task: TaskRecord) -> dict[str, Any]:
    """The stable fields of a task."""
    return {
        "id": task.id,
        "subject": task.subject,
        "task_name": task.task_name,
        "state": task.state,
        "attempt": task.attempt,
        "commit": task.commit,
        "manifest_set": task.manifest_set,
        "input": task.input,
        "output": task.output,
        "error": task.error,
        "actor": task.actor,
        "tokens_in": task.tokens_in,
        "tokens_out": task.tokens_out,
        "created_at": iso(task.created_at),
        "started_at": iso(task.started_at),
        "finished_at": iso(task.finished_at),
        "duration_us": _took(task.started_at, task.finished_at),
        "waits_until": iso(task.waits_until),
    }


def account_json(account: TaskAccount) -> dict[str, Any]:
    """The stable fields of a task with its attempts and steps."""
    attempts = [
        {
            "fence": at.fence,
            "worker": at.worker,
            "outcome": at.outcome,
            "error": at.error,
            "started_at": iso(at.started_at),
            "ended_at": iso(at.ended_at),
        }
        for at in account.attempts
    ]
    steps = [step_json(step) for step in account.steps]
    parent = account.parent
    return {
        **task_json(account.task),
        "attempts": attempts,
        "steps": steps,
        "parent": None if parent is None else {"task": parent.task, "step": parent.step},
        "children": [
            {
                "task": one.task,
                "step": one.step,
                "task_name": one.task_name,
                "state": one.state,
                "depth": one.depth,
            }
            for one in account.children
        ],
    }


def step_json(step: StepRecord) -> dict[str, Any]:
    """The stable fields of a step."""
    return {
        "number": step.number,
        "agent": step.agent,
        "kind": step.kind,
        "name": step.name,
        "phase": step.phase,
        "request": step.request,
        "result": step.result,
        "fence": step.fence,
        "tokens_in": step.tokens_in,
        "tokens_out": step.tokens_out,
        "started_at": iso(step.started_at),
        "finished_at": iso(step.finished_at),
        "duration_us": _took(step.started_at, step.finished_at),
    }


def _took(started_at: int | None, ended_at: int | None) -> int | None:
    return None if started_at is None or ended_at is None else max(0, ended_at - started_at)
