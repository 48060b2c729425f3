"""Who may do what at two commits: what each agent gains, loses, and works within. Pure.

Each answer is the guard's own, at either commit; here they are only laid side by side. The
fields of the JSON form are promises; docs/plan.md lists them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.access import Effective
from reconciler.views.plain import plain
from reconciler.views.problems import counted
from reconciler.views.table import GAP
from runner.governance.verdict import Decision

_SAYS: Final = {Decision.ALLOW: "allow", Decision.ASK: "approval", Decision.DENY: "deny"}
_RANK: Final = ("deny", "approval", "allow")
NOTHING: Final = "deny"
"""What is not declared is denied: an agent that is not there may do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """What one agent may do at a commit, and every limit that holds for it, with its rule."""

    effective: Effective
    limits: Mapping[str, tuple[str, str]]

    @property
    def name(self) -> str:
        """The agent, and the system it works in if it is asked about in one."""
        system = self.effective.system
        return f"{self.effective.agent}{f' in {system}' if system else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One thing that an agent may or may not do, or is bound by, at both commits."""

    what: str
    before: str
    after: str
    rule: str
    reason: str
    direction: str
    """`widens`, `narrows`, or `changes` where no order says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentShift:
    """What changes for one agent. `state` is added, removed or changed."""

    agent: str
    state: str
    place: str
    shifts: tuple[Shift, ...]


def compare(before: Sequence[Bounded], after: Sequence[Bounded]) -> tuple[AgentShift, ...]:
    """What differs, agent by agent; nothing for those for whom nothing does."""
    old = {item.name: item for item in before}
    new = {item.name: item for item in after}
    found = [_agent(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    return tuple(item for item in found if item.shifts or item.state != "changed")


def shift_words(shifts: Sequence[AgentShift]) -> Text:
    """What differs, for people."""
    if not shifts:
        return Text("Nobody may do more or less, and every limit is the same.", "bold")
    lines: list[Text] = []
    for item in shifts:
        state = "" if item.state == "changed" else f" ({item.state})"
        lines.append(
            Text.assemble(
                (plain(item.agent), "bold"), f"{state}  ", (plain(item.place), "cyan")
            )
        )
        lines += [line for shift in item.shifts for line in _shift(shift)]
        if not item.shifts:
            lines.append(Text("    it may pick no tool", "dim"))
    widened = sum(s.direction == "widens" for item in shifts for s in item.shifts)
    narrowed = sum(s.direction == "narrows" for item in shifts for s in item.shifts)
    lines += [
        Text(),
        Text(
            f"Effective: {counted(len(shifts), 'agent')} differ, {widened} widened,"
            f" {narrowed} narrowed.".replace("1 agent differ", "1 agent differs"),
            "bold",
        ),
    ]
    return Text("\n").join(lines)


def shift_json(shifts: Sequence[AgentShift]) -> list[dict[str, Any]]:
    """What differs, for machines."""
    return [
        {
            "agent": item.agent,
            "state": item.state,
            "source": item.place,
            "shifts": [
                {
                    "what": shift.what,
                    "before": shift.before,
                    "after": shift.after,
                    "direction": shift.direction,
                    "rule": shift.rule,
                    "reason": shift.reason,
                }
                for shift in item.shifts
            ],
        }
        for item in shifts
    ]


def _agent(name: str, old: Bounded | None, new: Bounded | None) -> AgentShift:
    side = new or old
    assert side is not None
    state = "changed" if old and new else "added" if new else "removed"
    return AgentShift(
        agent=name,
        state=state,
        place=side.effective.place,
        shifts=(*_answers(old, new), *_limits(old, new)),
    )


def _answers(old: Bounded | None, new: Bounded | None) -> list[Shift]:
    was, becomes = _decisions(old), _decisions(new)
    found = []
    for what in sorted({*was, *becomes}):
        before, rule, reason = was.get(what, (NOTHING, "", ""))
        after, *why = becomes.get(what, (NOTHING, rule, "it is not declared any more"))
        if before != after:
            rule, reason = why
            more = _RANK.index(after) > _RANK.index(before)
            found.append(
                Shift(
                    what=what,
                    before=before,
                    after=after,
                    rule=rule,
                    reason=reason,
                    direction="widens" if more else "narrows",
                )
            )
    return found


def _decisions(side: Bounded | None) -> dict[str, tuple[str, str, str]]:
    if side is None:
        return {}
    found: dict[str, tuple[str, str, str]] = {}
    for answer in side.effective.answers:
        what = f"{answer.tool}: {answer.about}" if answer.about else answer.tool
        verdict = answer.verdict
        found[what] = (_SAYS[verdict.decision], verdict.rule, verdict.reason)
    return found


def _limits(old: Bounded | None, new: Bounded | None) -> list[Shift]:
    if old is None or new is None:
        return []  # An agent that comes or goes is said as that.
    found = []
    for name in sorted({*old.limits, *new.limits}):
        before, rule = old.limits.get(name, ("no limit", ""))
        after, rule = new.limits.get(name, ("no limit", rule))
        if before != after:
            found.append(
                Shift(
                    what=f"limit {name}",
                    before=before,
                    after=after,
                    rule=rule,
                    reason="",
                    direction=_direction(before, after),
                )
            )
    return found


def _direction(before: str, after: str) -> str:
    if "no limit" in (before, after):
        return "widens" if after == "no limit" else "narrows"
    try:
        return "widens" if float(after) > float(before) else "narrows"
    except ValueError:
        return "changes"


def _shift(shift: Shift) -> list[Text]:
    style = {"widens": "yellow", "narrows": "green"}.get(shift.direction, "")
    sign = {"widens": "+", "narrows": "-"}.get(shift.direction, "~")
    first = Text.assemble(
        (f"  {sign} {plain(shift.what)}{GAP}", style),
        f"{plain(shift.before)} → {plain(shift.after)}",
        (f"{GAP}{plain(shift.rule)}" if shift.rule else "", "cyan"),
    )
    return [first, Text(f"      {plain(shift.reason)}", "dim")] if shift.reason else [first]
