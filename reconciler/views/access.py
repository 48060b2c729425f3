"""Who may do what, as people read it and as JSON. Pure.

An answer is two short lines, what and why, so that it reads at 80 columns however long the
paths and reasons are. The fields of the JSON forms are promises; docs/cli.md lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import GAP, number, paragraphs
from runner.contract.kinds import Agent, Key
from runner.governance.access import Answer
from runner.governance.verdict import Decision

_ANSWERS: Final = {Decision.ALLOW: "yes", Decision.ASK: "approval", Decision.DENY: "no"}
_SAYS: Final = {Decision.ALLOW: "allow", Decision.ASK: "approval", Decision.DENY: "deny"}
_STYLES: Final = {Decision.ALLOW: "green", Decision.ASK: "yellow", Decision.DENY: "red"}
_BEST: Final = ("yes", "approval", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question and the guard's answers to it; without any, no tool could do it."""

    agent: Key
    place: str
    system: str | None
    permission: str | None
    task: str | None
    commit: str | None
    answers: tuple[Answer, ...]

    @property
    def answer(self) -> str:
        """`yes` when one tool may, `approval` when a person must say yes, else `no`."""
        found = [_ANSWERS[item.verdict.decision] for item in self.answers]
        return min(found, key=_BEST.index, default="no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What one agent may do, and the bounds it works within."""

    agent: Key
    place: str
    spec: Agent
    system: str | None
    chain: tuple[str, ...]
    commit: str | None
    answers: tuple[Answer, ...]
    sources: tuple[str, ...]
    policies: tuple[str, ...]

    @property
    def limits(self) -> dict[str, Any]:
        """The limits that the manifest declares, by the names it declares them under."""
        return {
            **self.spec.limits.model_dump(mode="json", exclude_defaults=True),
            **self.spec.governance.model_dump(
                mode="json", by_alias=True, exclude={"require_approval", "audit_log"},
                exclude_none=True,
            ),
        }  # fmt: skip


def asked_words(asked: Asked) -> Text:
    """The answer in one line, then tool by tool."""
    where = f" in system {asked.system}" if asked.system else ""
    what = asked.permission or "make this call"
    style = {"yes": "bold green", "approval": "bold yellow"}.get(asked.answer, "bold red")
    verb = {
        "yes": "may", "approval": "may, with a person's approval,", "no": "may not",
    }[asked.answer]  # fmt: skip
    first = Text.assemble(
        (asked.answer, style), f": {plain(asked.agent.name)} {verb} {plain(what)}{plain(where)}"
    )
    if not asked.answers:
        reason = f"no tool that it may pick ever needs {asked.permission}"
        return paragraphs(first, _why(reason, asked.place))
    return paragraphs(first, *(line for item in asked.answers for line in _answer(item)))


def asked_json(asked: Asked) -> dict[str, Any]:
    """The answer for machines."""
    return {
        "agent": str(asked.agent),
        "system": asked.system,
        "permission": asked.permission,
        "task": asked.task,
        "commit": asked.commit,
        "answer": asked.answer,
        "rule": asked.place if not asked.answers else None,
        "by": [
            _answer_json(item) | {"answer": _ANSWERS[item.verdict.decision]}
            for item in asked.answers
        ],
    }


def effective_words(found: Sequence[Effective]) -> Text:
    """Agent by agent: what it may do, and within which bounds."""
    return Text("\n\n").join(_effective(item) for item in found)


def effective_json(item: Effective) -> dict[str, Any]:
    """One agent for machines."""
    return {
        "agent": str(item.agent),
        "system": item.system,
        "chain": list(item.chain),
        "commit": item.commit,
        "source": item.place,
        "permissions": [
            _answer_json(answer)
            | {"about": answer.about, "decision": _SAYS[answer.verdict.decision]}
            for answer in item.answers
        ],
        "require_approval": [
            str(permission) for permission in item.spec.governance.require_approval
        ],
        "limits": item.limits,
        "roles": list(item.spec.roles),
        "policies": list(item.policies),
        "data_sources": list(item.sources),
    }


def _answer_json(item: Answer) -> dict[str, Any]:
    verdict = item.verdict
    return {
        "tool": item.tool,
        "arguments": dict(item.arguments),
        "needs": [str(permission) for permission in verdict.permissions],
        "reason": verdict.reason,
        "rule": verdict.rule,
        "grant": verdict.grant,
    }


def _effective(item: Effective) -> Text:
    title = Text.assemble((plain(item.agent.name), "bold"), f"  {plain(item.place)}")
    if item.agent.namespace != "default":
        title = Text.assemble((f"{plain(item.agent.namespace)}/", "dim"), title)
    parts: list[Text] = [title]
    if item.chain:
        parts.append(Text(f"  in {item.system}: {plain(' → '.join(item.chain))}", "dim"))
    parts += [line for answer in item.answers for line in _answer(answer)]
    if not item.answers:
        parts.append(Text("  it may pick no tool", "dim"))
    for name, values in (
        ("limits", [f"{key} {_figure(value)}" for key, value in item.limits.items()]),
        ("roles", item.spec.roles),
        ("policies", item.policies),
        ("data", item.sources),
    ):
        if values:
            parts.append(Text.assemble((f"  {name:<9}", "dim"), plain(", ".join(values))))
    return paragraphs(*parts)


def _answer(item: Answer) -> list[Text]:
    decision = item.verdict.decision
    says = Text.assemble(
        "  ",
        (f"{_SAYS[decision]:<9}", _STYLES[decision]),
        plain(item.tool),
        f"{GAP}{plain(item.about)}" if item.about else "",
    )
    return [says, _why(item.verdict.reason, item.verdict.rule)]


def _why(reason: str, rule: str) -> Text:
    """The reason and the rule, on a line each where one would be long."""
    words, place = plain(reason), plain(rule)
    short_enough = len(words) + len(place) + 13 <= 80
    between = GAP if short_enough else f"\n{' ' * 11}"
    return Text.assemble(" " * 11, (words, "dim"), between, (place, "cyan"))


def _figure(value: Any) -> str:
    return number(value) if isinstance(value, int) else str(value)
