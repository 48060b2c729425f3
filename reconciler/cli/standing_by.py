"""Wait for the canary of what was just applied, or let a commit that failed one try again."""

import time
from collections.abc import Sequence
from typing import Final

from reconciler import canary, canary_watch, recorded
from reconciler.canary_rows import Canary
from reconciler.cli import asking
from reconciler.cli.context import Context
from reconciler.reconcile import Reconciler
from reconciler.views.plain import plain
from runner import decisions
from runner.contract import clock, errors, service, wake

TIME_RAN_OUT: Final = 124  # As timeout(1) says it.
_LOOK_EVERY_S: Final = 0.1


def forgive(context: Context, names: Sequence[str]) -> None:
    """Let the commits that failed their canary be tried again; Refused when none did."""
    actor, forgiven, tasks = asking.actor(), 0, list[str]()
    with context.database.write() as connection:
        for name in names:
            state = recorded.source(connection, name)
            commit = (state and state.attempted_commit) or ""
            if (bad := canary.failed(connection, name, commit)) is not None:
                tasks += canary.forgive(connection, bad, actor, clock.now_us())
                forgiven += 1
    if not forgiven:
        raise errors.Refused("no commit of these repositories failed its canary")
    if tasks:
        context.database.knock(wake.RUNNER)


def await_canaries(
    context: Context, names: Sequence[str], deadline_us: int, *, alone: bool
) -> int:
    """Wait until no canary waits, or a newer commit comes; the exit code.

    `alone`: no daemon runs, so that we decide ourselves.
    """
    first = _waiting(context, names)
    while found := _waiting(context, names):
        for name, now in found.items():
            if name in first and now.commit != first[name].commit:
                context.say(
                    f"{plain(name)}: a newer commit {now.commit[:12]} came before the canary of"
                    f" {first[name].commit[:12]} was over; no longer waiting for it"
                )
                return 1
        if clock.boot_us() >= deadline_us:
            words = "; ".join(item.message for item in found.values())
            context.say(f"The time ran out; the canary goes on: {plain(words)}")
            return TIME_RAN_OUT
        if alone:
            _tend(context, list(found))
        time.sleep(_LOOK_EVERY_S)
    return 0


def _waiting(context: Context, names: Sequence[str]) -> dict[str, Canary]:
    with context.database.read() as connection:
        found = {name: canary.waiting(connection, name) for name in names}
    return {name: item for name, item in found.items() if item is not None}


def _tend(context: Context, names: Sequence[str]) -> None:
    for name in names:
        reconciler = Reconciler(context.settings, context.database, name)
        canary_watch.tend(
            reconciler.place,
            reconciler.digest,
            decisions.cancel,
            runner_here=service.is_running(context.settings.run, "runner"),
            now_us=clock.now_us(),
        )
