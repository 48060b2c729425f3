"""What is wrong with a Memory, or with a Tool that would pass for one of its tools. Pure."""

from reconciler.problem import Problem, Severity
from reconciler.resource import Resource
from runner.contract import builtin
from runner.contract.kinds import Memory, spec_of


def problems(resource: Resource) -> list[Problem]:
    """The problems of one resource of these kinds; none of any other."""
    if resource.key.kind == "Tool":
        return _reserved(resource)
    return _nowhere(resource) if resource.key.kind == "Memory" else []


def _reserved(resource: Resource) -> list[Problem]:
    """An error for a Tool whose name is that of a built-in one: two would answer to it."""
    key = resource.key
    if not builtin.reserved(key.name):
        return []
    family = key.name.partition(".")[0]
    message = f"the names `{family}.*` are those of built-in tools"
    hint = "give it another name"
    return [Problem(resource.path, resource.line, resource.column, message, hint)]


def _nowhere(resource: Resource) -> list[Problem]:
    """A warning for a Memory whose database nobody names: every call to it is denied."""
    memory = spec_of("Memory", resource.body)
    assert isinstance(memory, Memory)
    if memory.provider != "pgvector" or memory.endpoint is not None:
        return []
    line = resource.lines.get("/spec/provider", resource.line)
    message = "a memory of provider pgvector without endpoint: every call to it is denied"
    hint = "write endpoint: postgres://user@host:5432/database, or take the provider sqlite"
    return [Problem(resource.path, line, 3, message, hint, Severity.WARNING)]
