"""Tools that no manifest declares: an agent has them by another field. Pure.

    field of an Agent ──> Builtin: name, what a call needs, the pointer that gives it

Where the field is the grant, what it does not list is not there; the tools about tasks are
listed as others are, and need what their permissions say. To the guard such a tool is one
like the others; only the type of its spec, `builtin`, which no manifest may write, says that
Orloj itself answers the call. A family of names (`memory.`) is one entry in `FAMILIES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from runner.contract.kinds import Agent, Key, Permission, Tool
from runner.contract.kinds.agent import TASK_TOOLS
from runner.contract.kinds.base import named

TYPE: Final = "builtin"
TASK_CREATE, TASK_LIST = TASK_TOOLS
TASK_MEMORY: Final = "task_memory"
"""The resource of the memory that a task has to itself."""

_TEXT: Final = {"type": "string"}
_MEMORY: Final[dict[str, tuple[str, str, dict[str, Any], list[str]]]] = {
    "read": (
        "read",
        "Read the value that memory holds under a key.",
        {"key": _TEXT},
        ["key"],
    ),
    "write": (
        "write",
        "Keep a value in memory under a key; what stood there is replaced.",
        {"key": _TEXT, "value": _TEXT},
        ["key", "value"],
    ),
    "search": (
        "read",
        "Find the entries of memory whose text is nearest to a query, best first.",
        {"query": _TEXT, "top_k": {"type": "integer", "minimum": 1, "maximum": 50}},
        ["query"],
    ),
    "list": (
        "read",
        "List the entries of memory whose keys begin with a prefix.",
        {"prefix": _TEXT},
        [],
    ),
    "ingest": (
        "write",
        "Cut a text into overlapping pieces and keep each in memory, to be searched later.",
        {
            "source": _TEXT,
            "content": _TEXT,
            "chunk_size": {"type": "integer", "minimum": 1},
            "overlap": {"type": "integer", "minimum": 0},
        },
        ["source", "content"],
    ),
}


@dataclass(frozen=True, slots=True)
class Builtin:
    """A tool of the runner's own, and the field of the Agent that gives it."""

    name: str
    spec: Tool
    pointer: str
    granting: bool = True
    """Whether to have it is to be granted what it needs."""

    @property
    def family(self) -> str:
        """What stands before the first dot of its name: who answers it."""
        return self.name.partition(".")[0]


def given(agent: Agent, namespace: str) -> Iterator[Builtin]:
    """The built-in tools of an agent of a namespace."""
    for family in FAMILIES.values():
        yield from family(agent, namespace, namespace)


def find(
    agent: Agent, namespace: str, name: str, seen_from: str | None = None
) -> Builtin | None:
    """The built-in tool of this name that the agent has; None when it has none.

    What it needs is named as in `seen_from`, else as in the agent's own namespace.
    """
    family = FAMILIES.get(name.partition(".")[0])
    found = () if family is None else family(agent, namespace, seen_from or namespace)
    return next((tool for tool in found if tool.name == name), None)


def reserved(name: str) -> bool:
    """Whether a Tool may not have this name, since a built-in one may be called so."""
    family, dot, _ = name.partition(".")
    return bool(dot) and family in FAMILIES


def works_on_memory(name: str) -> bool:
    """Whether a built-in tool works on the agent's Memory."""
    return name.startswith("memory.")


def memory_key(agent: Agent, namespace: str) -> Key | None:
    """The Memory that an agent works with; None: one that each task has to itself."""
    ref = agent.memory.ref
    return None if ref is None else named("Memory", ref, namespace)


def memory_resource(key: Key | None, namespace: str) -> str:
    """What permissions call a Memory in a namespace: `memory/NAME`, or with its own."""
    if key is None:
        return TASK_MEMORY
    return f"memory/{key.name if key.namespace == namespace else f'{key.namespace}/{key.name}'}"


def _memory(agent: Agent, namespace: str, seen_from: str) -> Iterator[Builtin]:
    resource = memory_resource(memory_key(agent, namespace), seen_from)
    for index, operation in enumerate(agent.memory.allow):
        verb, description, properties, required = _MEMORY[operation]
        yield Builtin(
            f"memory.{operation}",
            _spec(verb, resource, description, properties, required),
            f"/spec/memory/allow/{index}",
        )


_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_TASKS: Final[dict[str, tuple[str, str, str, dict[str, Any], list[str]]]] = {
    TASK_CREATE: (
        "create",
        "task/{args.template}",
        "Queue a task from a template. It runs by itself; the answer names it at once.",
        {"template": _TEXT, "input": _TEXTS, "labels": _TEXTS},
        ["template"],
    ),
    TASK_LIST: (
        "read",
        "tasks",
        "List the tasks of this namespace, newest first, those with these labels.",
        {"labels": _TEXTS, "limit": {"type": "integer", "minimum": 1, "maximum": 100}},
        [],
    ),
}


def _tasks(agent: Agent, namespace: str, seen_from: str) -> Iterator[Builtin]:
    listed = {
        **{name: f"/spec/allowed_tools/{at}" for at, name in enumerate(agent.allowed_tools)},
        **{grant.name: f"/spec/tools/{at}" for at, grant in enumerate(agent.tools)},
    }
    for name in [name for name in _TASKS if name in listed]:
        yield Builtin(name, _spec(*_TASKS[name]), listed[name], granting=False)


def _spec(
    verb: str, resource: str, description: str, properties: dict[str, Any], required: list[str]
) -> Tool:
    # Not validated: `builtin` is a type that no manifest may write.
    fields: dict[str, Any] = {
        "type": TYPE,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "requires": [Permission.of(verb, resource)],
        "operation_classes": ["read" if verb == "read" else "write"],
        "egress": "none",
        "idempotent": True,
    }
    return Tool.model_construct(**fields)


Family = Callable[[Agent, str, str], Iterator[Builtin]]
FAMILIES: Final[dict[str, Family]] = {"memory": _memory, "orloj": _tasks}
