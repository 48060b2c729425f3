"""Whether a push may go on, as things stand. Decides with values, and touches nothing.

no plan ──────────────────────> refused    problems, or commits that nobody vouches for
plan ──another id approved────> stale
     ──plan-only──────────────> plan only
     ──blocked for good───────> refused
     ──blocked until a time───> waiting    the push goes on, the apply comes later
     ──free───────────────────> accepted
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.change import Action, Plan
from reconciler.gate import approval
from reconciler.override import Override, OverrideKind
from reconciler.preview import Preview
from reconciler.push.options import Options
from reconciler.push.verdict import Ending, Verdict

PUSH_OPTION: Final = "push option"
"""The reason of an override for which the pusher gave no other."""


def judge(seen: Preview, options: Options) -> Verdict:
    """The answer for what a pushed commit would do, under the options of its pusher."""
    refused = Verdict(
        ending=Ending.REFUSED,
        commit=seen.commit,
        plan=seen.plan,
        problems=seen.problems if seen.plan is None else (),
        blocks=seen.blocks,
    )
    if seen.plan is None:
        return refused
    if options.approve and not approval.is_called(seen.plan, options.approve):
        return replace(refused, ending=Ending.STALE, sentences=(_stale(seen.plan, options),))
    planned = approval.approved(seen.plan) if options.approve else seen.plan
    verdict = replace(refused, plan=planned, approvable=_approvable(planned))
    if strangers := tuple(_strangers(planned, options)):
        return replace(verdict, sentences=strangers)
    if options.plan_only:
        return replace(verdict, ending=Ending.PLAN_ONLY)
    if any(block.until_us is None for block in planned.blocked):
        return verdict
    return replace(verdict, ending=Ending.WAITING if planned.blocked else Ending.ACCEPTED)


def let_pass(options: Options, actor: str) -> tuple[Override, ...]:
    """What the pusher lets pass, besides the plan itself, whose whole id is not known yet."""
    destroy, freeze = OverrideKind.DESTROY, OverrideKind.FREEZE
    given = [Override(destroy, actor, PUSH_OPTION, key) for key in options.destroys]
    given += [Override(freeze, actor, options.freeze)] if options.freeze else []
    if options.rewrite:
        given.append(Override(OverrideKind.REWRITE, actor, options.rewrite))
    return tuple(given)


def overrides(verdict: Verdict, options: Options, actor: str) -> tuple[Override, ...]:
    """What is to be recorded before the ref moves; nothing where it does not."""
    if not verdict.passes or verdict.plan is None:
        return ()
    approve = Override(OverrideKind.PLAN, actor, PUSH_OPTION, verdict.plan.id)
    return (*let_pass(options, actor), *((approve,) if options.approve else ()))


def _stale(planned: Plan, options: Options) -> str:
    given = options.approve.removeprefix("sha256:")[:12]
    return (
        f"plan {given} is not the plan of this push, which is {planned.short_id}: the commit or"
        f" the state has changed. Read it, then: git push -o approve={planned.short_id}"
    )


def _strangers(planned: Plan, options: Options) -> Iterator[str]:
    """What is to be destroyed by name, and is not touched: most likely a slip."""
    gone = {
        str(item.standing)
        for item in planned.changes
        if item.action in (Action.DELETE, Action.MOVE)
    }
    for key in options.destroys:
        if key not in gone:
            yield f"-o allow-destroy={key}: this push does not delete it"


def _approvable(planned: Plan) -> bool:
    lasting = [block.reason for block in planned.blocked if block.until_us is None]
    return lasting == [approval.REASON]
