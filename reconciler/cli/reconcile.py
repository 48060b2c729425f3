"""`orloj reconcile`: make the daemon look at the repository now.

Exit codes: 0 the repository is applied (or, without `--wait`, the daemon was told), 1 it is
not. `--json` waits too, and prints `{commit, condition, reason, message}` as the look left
them.
"""

import time

import click

from reconciler import recorded
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Length
from reconciler.condition import READY
from reconciler.reconcile import Reconciler, source_unset
from reconciler.recorded import SourceState
from reconciler.views.plain import plain
from runner.contract import clock, errors, wake

_LOOK_EVERY_S = 0.02


@click.command()
@click.option("--wait", is_flag=True, help="Wait until the daemon has looked; --json does.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Length(),
    default="60s",
    show_default=True,
    help="How long to wait with --wait.",
)
@json_option
@click.pass_obj
def command(context: Context, wait: bool, timeout_s: float, as_json: bool) -> int:
    """Make the daemon look at the repository now; without a daemon, look ourselves."""
    if not context.settings.source.url and _state(context) is None:
        raise errors.SettingsInvalid(source_unset(context.settings))
    asked_us = clock.now_us()
    if context.database.knock(wake.DAEMON):
        if not (wait or as_json):
            context.say("The daemon is looking. Next: orloj status")
            return 0
        state: SourceState | None = _awaited(context, asked_us, timeout_s)
    else:
        Reconciler(context.settings, context.database).run(asked_us, forced=True)
        state = _state(context)
    assert state is not None, "a look is always written down when it was asked for"
    _show(context, state, as_json)
    return 0 if state.condition == READY else 1


def _awaited(context: Context, asked_us: int, timeout_s: float) -> SourceState:
    """The repository's state once the daemon has looked at it after we asked."""
    deadline_us = clock.boot_us() + int(timeout_s * 1_000_000)
    with context.database.connect():  # Held, so that each look at the row is cheap.
        while clock.boot_us() < deadline_us:
            state = _state(context)
            if state is not None and (state.checked_at or 0) >= asked_us:
                return state
            time.sleep(_LOOK_EVERY_S)
    raise errors.NotFound(
        f"the daemon did not look within {timeout_s:g} s; its log says why, or wait longer"
        " with --timeout"
    )


def _state(context: Context) -> SourceState | None:
    with context.database.read() as connection:
        return recorded.source(connection)


def _show(context: Context, state: SourceState, as_json: bool) -> None:
    if as_json:
        context.show_json(
            {
                "commit": state.applied_commit,
                "condition": state.condition,
                "reason": state.reason,
                "message": state.message,
            }
        )
        return
    applied = f"commit {state.applied_commit[:8]}" if state.applied_commit else "nothing"
    message = f": {plain(state.message)}" if state.message else ""
    click.echo(f"{state.condition} ({plain(state.reason)}), {applied} is applied{message}")
