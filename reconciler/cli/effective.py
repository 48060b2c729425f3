"""What agents may do and are bound by, put to the guard's own judge and rules of limits."""

from collections.abc import Iterator, Mapping

from reconciler.cli.standing import Standing, of_commit, placed_of
from reconciler.resource import Resource
from reconciler.views.access import Effective
from reconciler.views.access_diff import Bounded
from runner.contract import builtin, errors
from runner.contract.kinds import Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE
from runner.governance import access
from runner.limit import rules
from runner.limit.limits import Dimension
from runner.manifest_set import ManifestSet, PlacedAgent

_TASK = "a run"
_MILLION = 1_000_000


def effective(where: Standing, name: str, system: str | None) -> Effective:
    """What one agent may do; NotFound, Refused."""
    return _effective(*where.manifests(name, system), where.commit, system)


def bounded(declared: tuple[str, Mapping[Key, Resource]]) -> list[Bounded]:
    """What every agent of a commit may do and is bound by, alone and in each system."""
    commit, resources = declared
    placed = {key: placed_of(resource) for key, resource in resources.items()}
    where = of_commit(commit, placed)
    return list(_all(where, [key for key in placed if key.kind == "AgentSystem"]))


def _all(where: Standing, systems: list[Key]) -> Iterator[Bounded]:
    for key in where.agents:
        yield _bounded(where, _named(key), None)
    for key in sorted(systems):
        name = _named(key)
        try:
            members = where.members(name)
        except errors.OrlojError:
            continue  # Such a system runs nothing: its tasks are refused.
        for member in members:
            yield _bounded(where, member, name)


def _named(key: Key) -> str:
    return key.name if key.namespace == DEFAULT_NAMESPACE else f"{key.namespace}/{key.name}"


def _bounded(where: Standing, name: str, system: str | None) -> Bounded:
    manifests, agent = where.manifests(name, system)
    return Bounded(
        effective=_effective(manifests, agent, where.commit, system),
        limits=_limits(manifests, agent),
    )


def _effective(
    manifests: ManifestSet, agent: PlacedAgent, commit: str | None, system: str | None
) -> Effective:
    return Effective(
        agent=agent.key,
        place=agent.at(""),
        spec=agent.spec,
        system=system,
        chain=manifests.chain_names(agent) or (),
        commit=commit,
        answers=tuple(access.matrix(manifests, agent, None)),
        sources=tuple(placed.key.name for placed in access.sources(manifests, agent)),
        policies=tuple(str(placed.key) for placed in access.applying(manifests, agent, None)),
    )


def _limits(manifests: ManifestSet, agent: PlacedAgent) -> dict[str, tuple[str, str]]:
    """Every limit that a call of the agent falls under: its own, those before it, of tools."""
    try:
        found = rules.of_model(manifests, agent, _TASK, None)
    except errors.OrlojError as error:
        return {"model": (f"cannot be asked: {error}", "")}
    own = [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
    for name in [*(tool.name for tool in agent.spec.tools), *own]:
        found += rules.of_tool(manifests, agent, name)
    limits: dict[str, tuple[str, str]] = {}
    for limit in found:
        bound = str(limit.bound)
        if limit.dimension is Dimension.COST_PER_DAY:
            bound = f"{limit.bound / _MILLION:g}"
        limits[f"{limit.dimension.field} of {limit.scope}"] = (bound, limit.rule)
    return limits
