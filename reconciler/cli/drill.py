"""`orloj drill`: let real faults strike a runner of the drill's own, and see nothing called."""

from collections.abc import Sequence
from typing import Any

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.run import check_known
from reconciler.resource import person_owner
from reconciler.views import drill as view
from runner import drill, pinning
from runner.contract import audit, clock, settings
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.kinds.base import DEFAULT_NAMESPACE, named
from runner.drill import Canary, Outcome, Rehearsal

NAMES = [fault.name for fault in drill.FAULTS]


@click.command()
@click.argument("name", metavar="[AGENT]", required=False)
@click.option("--only", type=click.Choice(NAMES), multiple=True, help="Only this fault.")
@json_option
@click.pass_obj
def command(context: Context, name: str | None, only: tuple[str, ...], as_json: bool) -> int:
    """Let each fault strike, and see that no call reaches the tool.

    With AGENT, given as NAME or NAMESPACE/NAME, its recorded manifests decide; every tool is
    replaced by one that says whether it was called. The running system is not touched, but
    for the entry `drill.done` in its log. Exit code 0 when nothing was called, else 1.
    """
    faults = [fault for fault in drill.FAULTS if not only or fault.name in only]
    canary = Canary()
    rehearsal, commit = _rehearsal(context, name, canary.address)
    outcomes: list[Outcome] = []
    with canary.serving():
        for outcome in drill.practise(canary, rehearsal, faults):
            outcomes.append(outcome)
            if not as_json:
                context.say(f"{outcome.fault}: {'held' if outcome.held else 'NOT HELD'}")
    held = all(outcome.held for outcome in outcomes)
    _log(context, rehearsal, commit, outcomes)
    shown = [_shown(outcome) for outcome in outcomes]
    if as_json:
        context.show_json(
            {
                "held": held,
                "agent": rehearsal.agent.name,
                "tool": rehearsal.call.tool,
                "faults": shown,
            }
        )
    else:
        context.show(view.outcomes(shown))
    return 0 if held else 1


def _rehearsal(context: Context, name: str | None, address: str) -> tuple[Rehearsal, str]:
    """The call to try, and the commit that its manifests stand at."""
    if name is None:
        return drill.of_our_own(address), NO_COMMIT
    key = named("Agent", name, DEFAULT_NAMESPACE)
    with context.database.read() as connection:
        check_known(connection, key)
        manifests, commit = pinning.resolve(connection, key)
    return drill.of_agent(manifests, address), commit


def _log(
    context: Context, rehearsal: Rehearsal, commit: str, outcomes: Sequence[Outcome]
) -> None:
    failed = [outcome.fault for outcome in outcomes if not outcome.held]
    entry = Entry(
        type=EntryType.DRILL_DONE,
        actor=person_owner(settings.person()),
        commit=commit,
        agent=rehearsal.agent.name,
        tool=rehearsal.call.tool,
        outcome="failed" if failed else "held",
        reason=f"not held: {', '.join(failed)}"
        if failed
        else f"held: {', '.join(outcome.fault for outcome in outcomes)}",
    )
    with context.database.write() as connection:
        audit.append(connection, [entry], clock.now_us())


def _shown(outcome: Outcome) -> dict[str, Any]:
    return {
        "fault": outcome.fault,
        "tried": outcome.tried,
        "decision": outcome.decision,
        "called": outcome.called,
        "met": outcome.met,
        "held": outcome.held,
        "task": outcome.task,
        "error": outcome.error,
        "duration_us": outcome.duration_us,
    }
