"""Whether an endpoint would answer for the models that agents name. Pure."""

from collections.abc import Callable, Collection, Sequence

from reconciler.manifest.syntax import quoted
from reconciler.problem import Problem, Severity
from reconciler.resource import Resource
from runner.contract.kinds import Agent, Key, spec_of


def problems(
    touched: Sequence[Resource],
    unsure: Collection[Key],
    exists: Callable[[Key], bool],
    complete: bool,
) -> list[Problem]:
    """A warning for each model that no endpoint would answer for, at the first who names it."""
    missing = "is declared: their tasks fail" if complete else "is in the files given"
    found: dict[str, list[Resource]] = {}
    for resource in touched:
        if resource.key.kind == "Agent":
            for names in _unanswered(resource, unsure, exists):
                found.setdefault(names, []).append(resource)
    return [_problem(names, agents, missing) for names, agents in found.items()]


def _unanswered(
    resource: Resource, unsure: Collection[Key], exists: Callable[[Key], bool]
) -> list[str]:
    """The endpoints that an agent would be answered by, when none of them is there."""
    agent = spec_of("Agent", resource.body)
    assert isinstance(agent, Agent)
    candidates = [key for key, _ in agent.candidates(resource.key.namespace)]
    if agent.model is None or any(key in unsure or exists(key) for key in candidates):
        return []
    names = dict.fromkeys(quoted(f"{key.namespace}/{key.name}") for key in candidates)
    return [" nor ".join(names)]


def _problem(names: str, agents: Sequence[Resource], missing: str) -> Problem:
    first, others = agents[0], len(agents) - 1
    message = f"`model`: neither ModelEndpoint {names} {missing}"
    if others:
        message += f"; {others} more {'agents name' if others > 1 else 'agent names'} it"
    line = first.lines.get("/spec/model", first.line)
    hint = "declare one of them, or name another with model_ref"
    return Problem(first.path, line, 3, message, hint, Severity.WARNING)
