"""A protected resource stays until somebody lets it go by name. Pure.

    recorded as protected  ──deleted, renamed, handed over──> blocked, unless it is named
                           ──no longer protected──> applied, and said loudly

What counts is the body that is recorded: a protection that went with its manifest would
protect from nothing.
"""

from collections.abc import Collection, Iterable, Iterator

from reconciler.change import Action, Block, Change
from reconciler.gate.request import GateRequest
from reconciler.governance.finding import Finding, Severity
from reconciler.resource import Recorded, Resource
from runner.contract.kinds.annotations import PROTECT, protected

RULE = "protection"


def blocks(request: GateRequest) -> Iterator[Block]:
    """A block for each protected resource that the plan would take away."""
    for kept in lost(request.plan.changes, request.plan.target.owner, request.named):
        yield Block(
            "Protected", f"{_why(kept)}, or let it go by name: {request.consent(str(kept.key))}"
        )


def lost(
    changes: Iterable[Change], owner: str, named: Collection[str] = ()
) -> Iterator[Recorded]:
    """The protected resources that would be gone, be called otherwise, or be another's."""
    for change in changes:
        before, after = change.before, change.after
        if before is None or str(before.key) in named or not protected(before.body):
            continue
        if after is None or after.key != before.key or before.owner != owner:
            yield before


def by_hand(changes: Iterable[Change], owner: str) -> Iterator[Block]:
    """The blocks of a plan of files, where nobody lets anything go by name."""
    for kept in lost(changes, owner):
        yield Block("Protected", _why(kept))


def findings(changes: Iterable[Change]) -> Iterator[Finding]:
    """What the changes mean for protection."""
    for change in changes:
        before, after = change.before, change.after
        if change.action is Action.DELETE or after is None or not change.respecified:
            continue
        was, will = before is not None and protected(before.body), protected(after.body)
        if was and not will:
            sentence = f"protection removed: {change.key} can be deleted from now on"
            yield _finding(after, Severity.WIDENS, sentence, loud=True)
        elif will and not was:
            sentence = f"{change.key} is protected: it is deleted only by name"
            yield _finding(after, Severity.NARROWS, sentence, loud=False)


def _finding(after: Resource, severity: Severity, sentence: str, *, loud: bool) -> Finding:
    return Finding(
        severity=severity,
        resource=after.key,
        sentence=sentence,
        path=after.path,
        line=after.line,
        rule=RULE,
        loud=loud,
    )


def _why(kept: Recorded) -> str:
    by = "" if kept.owner.startswith("git:") else f" for {kept.owner}"
    return (
        f"{kept.key} is protected{by}: {kept.path}:{kept.line} as recorded says {PROTECT};"
        " keep it there under its name, take the protection away in a commit of its own first"
    )
