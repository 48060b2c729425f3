"""What a person lets pass with `orloj reconcile`: checked against the commit of this moment.

An override names one commit; a key that is not deleted by it, or an id that is not its plan's,
is an error, and then nothing is let pass at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler import override
from reconciler.change import Action, Plan
from reconciler.cli import asking
from reconciler.cli.context import Context
from reconciler.gate import approval
from reconciler.override import Override, OverrideKind
from reconciler.preview import Preview
from reconciler.reconcile import Reconciler
from reconciler.views.plain import plain
from runner.contract import clock, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Letting:
    """What the flags of the command say."""

    freeze: bool
    rewrite: bool
    destroy: tuple[str, ...]
    plan: str | None
    reason: str

    @property
    def any(self) -> bool:
        """Whether anything is to be let pass."""
        return self.freeze or self.rewrite or bool(self.destroy) or self.plan is not None


def let_pass(context: Context, names: Sequence[str], letting: Letting) -> str:
    """Record what is let pass, with who and why; the commit it is bound to.

    Refused without a reason, for more than one repository, and for what the commit's plan
    does not hold.
    """
    reason = letting.reason.strip()
    if not reason:
        raise errors.Refused(
            "--reason TEXT is missing: the log keeps why something was let pass"
        )
    if len(names) != 1:
        raise errors.Refused(
            f"name the repository for which to let it pass, one of: {', '.join(names)}"
        )
    general = [
        Override(kind, asking.actor(), reason)
        for kind, wanted in (
            (OverrideKind.FREEZE, letting.freeze),
            (OverrideKind.REWRITE, letting.rewrite),
        )
        if wanted
    ]
    reconciler = Reconciler(context.settings, context.database, names[0])
    commit = reconciler.resolve()
    # With what is let pass already, so that a rewritten commit has a plan to look into.
    seen = reconciler.preview(commit, letting=general)
    subjects = [
        *((OverrideKind.DESTROY, _deleted(seen, key)) for key in letting.destroy),
        *([] if letting.plan is None else [(OverrideKind.PLAN, _id(seen, letting.plan))]),
    ]
    bound = [Override(kind, asking.actor(), reason, subject) for kind, subject in subjects]
    with context.database.write() as connection:
        override.give(connection, names[0], commit, [*general, *bound], clock.now_us())
    return commit


def _planned(seen: Preview) -> Plan:
    if seen.plan is not None:
        return seen.plan
    why = [str(item) for item in (*seen.blocks, *seen.problems)]
    raise errors.Refused(
        f"commit {seen.commit[:8]} has no plan to let anything of pass: {plain(why[0])}"
    )


def _deleted(seen: Preview, key: str) -> str:
    deleted = [
        str(change.standing)
        for change in _planned(seen).changes
        if change.action in (Action.DELETE, Action.MOVE)
    ]
    if key in deleted:
        return key
    known = ", ".join(deleted[:10]) or "nothing"
    raise errors.Refused(
        f"commit {seen.commit[:8]} does not delete {plain(key)!r}; it deletes: {plain(known)}"
    )


def _id(seen: Preview, given: str) -> str:
    if approval.is_called(_planned(seen), given):
        return _planned(seen).id
    raise errors.Refused(
        f"{plain(given)} is not the plan of commit {seen.commit[:8]} as things stand, which is"
        f" {_planned(seen).short_id}: look at it with orloj plan"
    )
