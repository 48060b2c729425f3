"""What an agent may do, asked before it does it. Pure: every answer is the guard's own.

A question names a permission and leaves the arguments open. They are found by reading the
tool's templates backwards: `read: {args.file}` needs `read:contracts` when `file` is
`contracts`. The call that comes of it is put to `judge.decide`, and to nothing else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from runner.contract import builtin
from runner.contract.errors import OrlojError
from runner.contract.kinds import DataSource, Permission
from runner.contract.kinds.tool import fill_template, template_arguments
from runner.governance import grants, judge, policies
from runner.governance.verdict import Call, Verdict
from runner.manifest_set import ManifestSet, Placed, PlacedAgent

SAMPLE: Final = "any"
"""What stands for `*` of a grant, and for an argument that nobody gave, in a sample call."""
_HOLE: Final = "\0"


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on one call. `about` is what was asked, `*` and templates left in it."""

    tool: str
    about: str
    arguments: Mapping[str, Any]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who asks for what. Without a tool, every tool that the agent may pick is looked at."""

    permission: Permission | None = None
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    task: str | None = None


def answers(manifests: ManifestSet, agent: PlacedAgent, asked: Question) -> list[Answer]:
    """The verdicts on every call that would need the permission, tool by tool."""
    tools = [asked.tool] if asked.tool is not None else _pickable(agent)
    found = []
    for name in tools:
        arguments = _arguments(manifests, agent, name, asked)
        if arguments is not None:
            verdict = judge.decide(manifests, agent, Call(name, arguments, asked.task))
            about = str(asked.permission or verdict.permission or "")
            found.append(Answer(name, about, arguments, verdict))
    return found


def matrix(manifests: ManifestSet, agent: PlacedAgent, task: str | None) -> list[Answer]:
    """The verdict on each thing that each tool of the agent may be called for."""
    return [
        Answer(name, about, arguments, judge.decide(manifests, agent, call))
        for name in _pickable(agent)
        for about, arguments in _samples(manifests, agent, name)
        for call in [Call(name, arguments, task)]
    ]


def sources(manifests: ManifestSet, agent: PlacedAgent) -> list[Placed]:
    """The data sources that some grant of the agent names; none when a role is missing."""
    try:
        held = [grant.permission for grant in grants.of(manifests, agent)]
    except OrlojError:
        return []
    return [
        placed
        for placed in manifests.of_kind(DataSource.__name__)
        if any(grant.covers(Permission.of(grant.verb, placed.key.name)) for grant in held)
    ]


def applying(manifests: ManifestSet, agent: PlacedAgent, task: str | None) -> list[Placed]:
    """The policies that the agent works under."""
    return [placed for placed, _ in policies.applying(manifests, agent, task)]


def _pickable(agent: PlacedAgent) -> list[str]:
    names = [entry.name for entry in agent.spec.tools]
    own = [tool.name for tool in builtin.given(agent.spec, agent.key.namespace)]
    return list(dict.fromkeys([*names, *own, *agent.spec.allowed_tools]))


def _arguments(
    manifests: ManifestSet, agent: PlacedAgent, name: str, asked: Question
) -> dict[str, Any] | None:
    """The arguments of a call that needs the permission; None when the tool never does."""
    given = dict(asked.arguments or {})
    tool = manifests.tool(agent, name)
    if asked.permission is None or tool is None:
        return given if asked.tool is not None else None
    if asked.arguments is not None and asked.tool is not None:
        return given  # The very call that was named.
    for template in tool.spec.requires:
        solved = _solved(template, asked.permission)
        if solved is not None:
            return _merged(solved, given)
    by_rule = asked.permission in policies.default_needs(tool) or any(
        asked.permission in rule.required
        for rule in policies.tool_rules(manifests, tool, agent)
    )
    return given if by_rule or asked.tool is not None else None


def _samples(
    manifests: ManifestSet, agent: PlacedAgent, name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a tool may be called for, and arguments for which a call needs just that."""
    tool = manifests.tool(agent, name)
    needs = tool.spec.requires if tool is not None else []
    open_ones = [need for need in needs if template_arguments(need.resource)]
    words = " ".join(map(str, needs))
    if not open_ones:
        yield words, {}
        return
    filled: dict[str, Any] = {}
    for template in open_ones:
        for path in template_arguments(template.resource):
            _put(filled, path, SAMPLE)
    seen = set()
    for template in open_ones:
        for granted in _granted(manifests, agent, name):
            sample = Permission.of(granted.verb, granted.resource.replace("*", SAMPLE))
            solved = _solved(template, sample)
            if solved is not None and str(granted) not in seen:
                seen.add(str(granted))
                yield str(granted), _merged(solved, filled)
    if not seen:
        yield words, filled


def _granted(manifests: ManifestSet, agent: PlacedAgent, name: str) -> Iterable[Permission]:
    try:
        return [grant.permission for grant in grants.of(manifests, agent, name)]
    except OrlojError:
        return []


def _solved(template: Permission, wanted: Permission) -> dict[str, Any] | None:
    """The arguments for which a template becomes a permission; None when it never does."""
    if template.verb != wanted.verb:
        return None
    paths = template_arguments(template.resource)
    literals = fill_template(template.resource, lambda path: _HOLE).split(_HOLE)
    pattern = "(.+)".join(re.escape(literal) for literal in literals)
    found = re.fullmatch(pattern, wanted.resource, re.DOTALL)
    if found is None:
        return None
    solved: dict[str, Any] = {}
    for path, value in zip(paths, found.groups(), strict=True):
        _put(solved, path, value)
    filled = fill_template(template.resource, lambda path: str(_get(solved, path)))
    return solved if filled == wanted.resource else None


def _merged(solved: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with what the permission asks for where they differ."""
    merged = dict(given)
    for name, value in solved.items():
        under = given.get(name)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            value = _merged(value, under)
        merged[name] = value
    return merged


def _put(values: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    *outer, last = path
    for name in outer:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            return
    values[last] = value


def _get(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values
