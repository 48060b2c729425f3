"""A decision of the past, judged again by the manifests of its commit.

    commit ──Git──> manifests ──gather──> set ──guard──> verdict, beside the one in the log

The set that the task was pinned to stands in the database under the digest that its entries
name; it is asked only for what the commit does not hold (applied by hand, or from another
repository). Limits, and what people said, belong to that moment: they are not judged again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.resource import Resource
from reconciler.why import rows
from reconciler.why.declared import declared
from reconciler.why.entries import Logged
from reconciler.why.manifest import Held
from reconciler.why.rows import Disclosed, TaskRow
from runner import model_choice, pinning
from runner.contract import kinds
from runner.contract.errors import NotFound, OrlojError, Refused
from runner.contract.kinds import Key
from runner.contract.settings import Settings
from runner.governance import judge, policies, reach
from runner.governance.verdict import Call, Decision, Verdict
from runner.manifest_set import ManifestSet, Placed

SAME: Final = "same"
DIFFERENT: Final = "different"
UNTOLD: Final = "cannot be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the guard says of the call today, under the manifests of its commit.

    `result` is `same`, `different` or `cannot be told`; `reason` says why. `notes` are what
    was not looked at, or was taken from elsewhere. `manifests` says whether Git gives the
    very set that the entry names; None where that cannot be found out.
    """

    result: str
    reason: str
    verdict: Verdict | None = None
    manifests: bool | None = None
    notes: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As the views take it."""
        verdict = self.verdict
        return {
            "result": self.result,
            "reason": self.reason,
            "decision": verdict.decision.value if verdict else None,
            "rule": verdict.rule if verdict else None,
            "verdict": verdict.reason if verdict else None,
            "manifests_match": self.manifests,
            "not_evaluated": list(self.notes),
        }


class Judge:
    """Judges decisions again; reads the manifests of a commit once, however many it judges."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection, self._settings = connection, settings
        self._pins = pinning.Pins(connection)
        self._declared: dict[str, Mapping[Key, Resource]] = {}

    def again(
        self, decided: Logged, held: Held | None, task: TaskRow | None, arguments: Disclosed
    ) -> Judged:
        """The verdict of today on a decision; nothing is raised for what is gone."""
        if held is None:
            return _untold(f"no mirror of this home has commit {decided.text('commit')}")
        if task is None:
            return _untold("the task's row is gone, and with it the subject of its manifests")
        tool = decided.text("tool")
        if tool is not None and arguments.state != "verified":
            return _untold(_ARGUMENTS[arguments.state])
        pinned, note = self._pinned(decided)
        try:
            at_commit = self._at(held)
            manifests = _gathered(task.subject, at_commit, pinned)
            call = Call(tool or "", arguments.value or {}, task.task_name)
            verdict = _verdict(manifests, decided, call)
        except OrlojError as error:
            return _untold(str(error))
        notes = [note] if note else []
        notes += _foreign(manifests, at_commit)
        same_set = kinds.digest(manifests.to_text()) == decided.text("manifests")
        if not same_set:
            notes.append("the manifests of the commit are not the set that the entry names")
        withheld = rows.disclosed(self._connection, decided, "reason").value
        said = str(decided.text("reason") or withheld or "")
        elsewhere = said.startswith(_ELSEWHERE)
        return _compared(decided, verdict, notes, same_set=same_set, elsewhere=elsewhere)

    def _at(self, held: Held) -> Mapping[Key, Resource]:
        if held.head.sha not in self._declared:
            self._declared[held.head.sha] = declared(self._settings, held)
        return self._declared[held.head.sha]

    def _pinned(self, decided: Logged) -> tuple[ManifestSet | None, str]:
        """The set of the entry's digest, and what is to be said when it is not there."""
        digest = decided.text("manifests")
        if digest is None:
            return None, "the entry names no manifest set"
        try:
            return self._pins.load(digest), ""
        except (NotFound, Refused) as error:
            return None, str(error)


_ARGUMENTS: Final = {
    "erased": "the arguments were erased",
    "altered": "the arguments kept beside the log are not those that were decided on",
    "none": "the log holds no request with the arguments",
}
_ELSEWHERE: Final = (
    "the clock of the database cannot be read",
    "the worker did not say what the call may take",
    "the call needs at least",
    "the arguments have no canonical form",
)


def _untold(reason: str) -> Judged:
    return Judged(result=UNTOLD, reason=reason)


def _gathered(
    subject: Key, at_commit: Mapping[Key, Resource], pinned: ManifestSet | None
) -> ManifestSet:
    """The set of the subject: from the commit, and what the commit cannot hold from the pin."""
    found = {} if pinned is None else dict(pinned.resources)
    found |= {
        key: Placed(key, item.body, item.path, item.line, dict(item.lines))
        for key, item in at_commit.items()
    }
    find, unnamed = reach.among(found)
    return reach.gather(subject, find, unnamed)


def _foreign(manifests: ManifestSet, at_commit: Mapping[Key, Resource]) -> Iterable[str]:
    """What of the set does not stand in the commit."""
    keys = sorted(str(key) for key in manifests.resources if key not in at_commit)
    if keys:
        yield f"not of this commit, taken as the task's set pins them: {', '.join(keys)}"


def _verdict(manifests: ManifestSet, decided: Logged, call: Call) -> Verdict:
    agent = manifests.agent(decided.text("agent") or "")
    if call.tool:
        return judge.decide(manifests, agent, call)
    model = decided.text("model") or ""
    at = model_choice.named_at(manifests, agent, model, decided.text("rule") or "")
    return policies.decide_model(manifests, agent, model, call.task, at)


def _compared(
    decided: Logged,
    verdict: Verdict,
    notes: list[str],
    *,
    same_set: bool,
    elsewhere: bool,
) -> Judged:
    said, rule = decided.text("decision"), decided.text("rule")
    result, reason = (
        DIFFERENT,
        "the guard says something else under the manifests of the commit",
    )
    if said == "deny" and verdict.decision is not Decision.DENY and elsewhere:
        result, reason = (
            UNTOLD,
            "a limit was in the way: what was used then is not counted again",
        )
    elif decided.text("approval") is not None and verdict.decision is Decision.ASK:
        # A person's answer takes the place of the question, under the line that asked it.
        if verdict.rule == rule:
            result, reason = SAME, "the guard asks for a person, by the same line"
        notes.append("not judged again: what people said, and who was an Approver then")
    elif (verdict.decision.value, verdict.rule) == (said, rule):
        result, reason = SAME, "the guard says the same, by the same line"
    if verdict.decision is not Decision.DENY:
        notes.append("not judged again: limits, and what was used of them then")
    return Judged(
        result=result, reason=reason, verdict=verdict, manifests=same_set, notes=tuple(notes)
    )
