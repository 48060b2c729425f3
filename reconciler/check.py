"""What a single file cannot know: names declared twice, names that nothing answers to. Pure.

Only the resources that a commit touches are looked at, so the cost follows the change. The
caller answers for the rest: what else will exist, and who names what is deleted.
"""

import importlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from reconciler import canary_verdict, memory_check, model_check
from reconciler.manifest import wording
from reconciler.manifest.syntax import quoted
from reconciler.problem import Problem, Severity
from reconciler.resource import Mention, Resource
from runner.contract.kinds import (
    Agent,
    AgentSystem,
    EvalDataset,
    EvalRun,
    Key,
    Memory,
    Task,
    TaskSchedule,
    TaskWebhook,
    Tool,
    spec_of,
)
from runner.contract.kinds.base import named
from runner.contract.kinds.mcp_server import server_of

_WITHOUT: Final = {
    "Tool": "every call to it is denied",
    "Secret": "what needs it fails",
    "McpServer": "its tools cannot be called",
    "Memory": "every call to it is denied",
    "ModelEndpoint": "the one named default is asked for a model of that name",
}
_QUEUED: Final = {"TaskSchedule": "as scheduled", "TaskWebhook": "as deliveries come"}

_SCHEMAS: Final = "runner.contract.input_schema"
SUGGESTIONS_MAX: Final = 20
NAMES_MAX: Final = 2_000
"""Comparing names costs microseconds each: a commit with many mistakes must not stall us."""

Orphan = tuple[Key, str, int, Key]
Names = Callable[[str, str], Iterable[str]]


def no_names(kind: str, namespace: str) -> Iterable[str]:
    """No names, for a caller that has none to suggest."""
    return ()


def check(
    touched: Sequence[Resource],
    known: Callable[[Key], bool],
    orphans: Sequence[Orphan],
    names: Names = no_names,
    *,
    torn: Collection[Key] = (),
    complete: bool = True,
) -> list[Problem]:
    """Every problem across files, in order.

    `known` says whether a key exists after the commit; touched ones need not be known to
    it. `orphans` are the unchanged resources (key, path, line) that require a deleted one.
    `names(kind, namespace)` are names to suggest. `torn` are declared where something else
    is wrong: that is one mistake, and not one more wherever they are named. When what is
    given is not `complete`, a name may be declared elsewhere, and a missing one is only a
    warning.
    """
    declared = {resource.key: resource for resource in reversed(touched)}
    unsure = frozenset(torn)

    def exists(key: Key) -> bool:
        return key in declared or known(key)

    problems = _twice(touched, declared)
    missing = [
        (resource, mention)
        for resource in touched
        for mention in resource.mentions
        if mention.target not in unsure and not exists(mention.target)
    ]
    for count, (resource, mention) in enumerate(missing):
        target, near = mention.target, list[str]()
        if count < SUGGESTIONS_MAX:
            near = [*names(target.kind, target.namespace), *_names(declared, target)]
        problems.append(_missing(resource, mention, near[:NAMES_MAX], complete, exists))
    for resource in touched:
        problems += _endless(resource, declared)
        problems += _other_memory(resource, declared)
        problems += _no_template(resource, declared)
        problems += _misnamed(resource)
        problems += memory_check.problems(resource)
        problems += _no_canary(resource)
        problems += _unusable_schema(resource)
        problems += _no_score(resource, declared)
    problems += model_check.problems(touched, unsure, exists, complete)
    for key, path, line, target in orphans:
        message, hint = f"{key} needs {target}, which this commit deletes", f"keep {target}"
        problems.append(Problem(path, line, 1, message, f"{hint}, or take it out here"))
    return sorted(problems)


def _twice(touched: Sequence[Resource], first: dict[Key, Resource]) -> list[Problem]:
    problems = []
    for resource in touched:
        other = first[resource.key]
        if other is not resource:
            message = f"{resource.key} is declared twice: also at {other.path}:{other.line}"
            hint = "rename or remove one of them"
            problems.append(
                Problem(resource.path, resource.line, resource.column, message, hint)
            )
    return problems


def _names(declared: Iterable[Key], like: Key) -> list[str]:
    return [
        key.name for key in declared if (key.kind, key.namespace) == (like.kind, like.namespace)
    ]


def _missing(
    resource: Resource,
    mention: Mention,
    names: Iterable[str],
    complete: bool,
    servers: Callable[[Key], bool],
) -> Problem:
    target = mention.target
    near = target.namespace == resource.key.namespace
    name = target.name if near else f"{target.namespace}/{target.name}"
    message = f"{target.kind} {quoted(name)} is not declared"
    severity = Severity.ERROR
    hint = wording.did_you_mean(target.name, dict.fromkeys(names)) or _pinning(target, servers)
    if not complete:
        severity = Severity.WARNING
        message = f"{target.kind} {quoted(name)} is not in the files given"
    elif not mention.required:
        severity = Severity.WARNING
        message += f": {_WITHOUT.get(target.kind, 'what needs it fails')}"
    return Problem(resource.path, mention.line, mention.column, message, hint, severity)


def _pinning(target: Key, servers: Callable[[Key], bool]) -> str | None:
    """What makes a Tool of what an MCP server offers, when the name speaks of one."""
    server = server_of(target.name, target.namespace) if target.kind == "Tool" else None
    if server is None or not servers(server):
        return None
    return f"pin what the MCP server offers: orloj mcp pin {server.name}"


def _endless(resource: Resource, declared: dict[Key, Resource]) -> list[Problem]:
    """An error for a task whose system has a loop, and that nothing would end."""
    if resource.key.kind != "Task":
        return []
    task = spec_of("Task", resource.body)
    assert isinstance(task, Task)
    subject = declared.get(task.subject(resource.key.namespace))
    if task.max_turns or subject is None or subject.key.kind != "AgentSystem":
        return []
    system = spec_of("AgentSystem", subject.body)
    assert isinstance(system, AgentSystem)
    if not system.loops:
        return []
    line = resource.lines.get("/spec/system", resource.line)
    message = f"the graph of {subject.key} has a loop, and nothing bounds how often it is gone"
    hint = f"write max_turns in the task; the graph stands at {subject.path}:{subject.line}"
    return [Problem(resource.path, line, 3, message, hint)]


def _other_memory(resource: Resource, declared: dict[Key, Resource]) -> list[Problem]:
    """An error for an agent that takes its Memory for another than it is."""
    if resource.key.kind != "Agent":
        return []
    agent = spec_of("Agent", resource.body)
    assert isinstance(agent, Agent)
    if agent.memory.ref is None:
        return []
    found = declared.get(named("Memory", agent.memory.ref, resource.key.namespace))
    memory = None if found is None else spec_of("Memory", found.body)
    if found is None or not isinstance(memory, Memory):
        return []
    message = memory.disagreement(agent.memory)
    if message is None:
        return []
    line = resource.lines.get("/spec/memory", resource.line)
    hint = f"leave it out, or write what stands at {found.path}:{found.line}"
    return [Problem(resource.path, line, 3, message, hint)]


def _no_template(resource: Resource, declared: dict[Key, Resource]) -> list[Problem]:
    """A warning for a schedule or webhook whose task is also queued whenever it is applied."""
    if resource.key.kind not in _QUEUED:
        return []
    trigger = spec_of(resource.key.kind, resource.body)
    assert isinstance(trigger, TaskSchedule | TaskWebhook)
    named = trigger.task(resource.key.namespace)
    found = None if named is None else declared.get(named)
    if found is None:
        return []
    task = spec_of("Task", found.body)
    assert isinstance(task, Task)
    if task.mode == "template":
        return []
    line = resource.lines.get("/spec/task_ref", resource.line)
    message = (
        f"{found.key} also runs when it is applied, and not only {_QUEUED[resource.key.kind]}"
    )
    hint = f"write `mode: template` at {found.path}:{found.line}"
    return [Problem(resource.path, line, 3, message, hint, Severity.WARNING)]


def _no_score(resource: Resource, declared: dict[Key, Resource]) -> list[Problem]:
    """An error for a run whose answers could not be scored; of a dataset beside it only."""
    if resource.key.kind != "EvalRun":
        return []
    run = spec_of("EvalRun", resource.body)
    assert isinstance(run, EvalRun)
    found = declared.get(run.questions(resource.key.namespace))
    if found is None:
        return []
    dataset = spec_of("EvalDataset", found.body)
    assert isinstance(dataset, EvalDataset)
    if (why := run.cannot_ask(dataset)) is None:
        return []
    line = resource.lines.get("/spec/dataset", resource.line)
    hint = f"the dataset stands at {found.path}:{found.line}"
    return [Problem(resource.path, line, 3, f"{found.key}: {why}", hint)]


def _misnamed(resource: Resource) -> list[Problem]:
    """An error for a Namespace that governs nothing, because its name is another."""
    key = resource.key
    if key.kind != "Namespace" or key.name == key.namespace:
        return []
    message = f"a Namespace is named like the namespace it stands in: {quoted(key.namespace)}"
    hint = f"write name: {key.namespace}, or namespace: {key.name}"
    line = resource.lines.get("/metadata/name", resource.line)
    return [Problem(resource.path, line, resource.column, message, hint)]


def _no_canary(resource: Resource) -> list[Problem]:
    """An evaluation that could not be one: it must not pass for a protection."""
    if canary_verdict.ANNOTATION not in resource.body:
        return []
    try:
        marked = canary_verdict.timeout_s(canary_verdict.annotations(resource.body))
    except ValueError as error:
        return [Problem(resource.path, resource.line, resource.column, str(error))]
    if marked is None or resource.key.kind in ("Task", "EvalRun"):
        return []
    message = f"{canary_verdict.ANNOTATION} stands on a {resource.key.kind}: only a Task"
    return [
        Problem(
            resource.path, resource.line, resource.column, f"{message} or an EvalRun can be one"
        )
    ]


def _unusable_schema(resource: Resource) -> list[Problem]:
    """An error for an input_schema by which no arguments could be checked."""
    if resource.key.kind != "Tool":
        return []
    tool = spec_of("Tool", resource.body)
    assert isinstance(tool, Tool)
    if not tool.input_schema:
        return []
    # Its library takes 80 ms to load, and most commits touch no schema.
    reason = importlib.import_module(_SCHEMAS).unusable(tool.input_schema)
    if reason is None:
        return []
    line = resource.lines.get("/spec/input_schema", resource.line)
    message = f"the input_schema cannot be used: {reason}"
    return [Problem(resource.path, line, 3, message)]
