"""`orloj reconcile`: make the daemon look at the repositories now.

Exit codes: 0 they are applied (or, without `--wait`, the daemon was told), 1 one is not,
124 a canary was not over in time. `--wait` waits for the canary of what is applied as well,
until a newer commit comes. `--json` waits too, and prints `{commit, condition, reason,
message, sources[]}` as the look left them: the first one's, and the same with `name` for
each.
"""

import time
from collections.abc import Sequence
from typing import Any

import click

from reconciler import control, recorded
from reconciler.cli import standing_by
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Length
from reconciler.condition import READY
from reconciler.reconcile import Reconciler, source_unset
from reconciler.recorded import SourceState
from reconciler.resource import person_owner
from reconciler.views.plain import plain
from runner.contract import clock, errors, settings, wake

_LOOK_EVERY_S = 0.02


@click.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--wait", is_flag=True, help="Wait for the look, and a canary; --json does.")
@click.option("--again", is_flag=True, help="Try a commit again whose canary failed.")
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
def command(
    context: Context,
    names: tuple[str, ...],
    *,
    wait: bool,
    again: bool,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Make the daemon look at the repositories now; without a daemon, look ourselves.

    SOURCE is the name of a repository in the settings; none means all of them.
    """
    chosen = _chosen(context, names)
    if again:
        standing_by.forgive(context, chosen)
    token = _request(context, chosen)
    alone = not context.database.knock(wake.DAEMON)
    deadline_us = clock.boot_us() + int(timeout_s * 1_000_000)
    if not alone:
        if not (wait or as_json):
            context.say("The daemon is looking. Next: orloj status")
            return 0
        _await(context, chosen, token, timeout_s)
    else:
        for name in chosen:
            Reconciler(context.settings, context.database, name).run(
                clock.now_us(), forced=True
            )
    code = 0
    if wait or as_json:
        code = standing_by.await_canaries(context, chosen, deadline_us, alone=alone)
    states = _states(context, chosen)
    _show(context, states, as_json)
    return code or (0 if all(state.condition == READY for state in states) else 1)


def _chosen(context: Context, names: tuple[str, ...]) -> Sequence[str]:
    """The repositories to look at; SettingsInvalid for one that is not followed."""
    followed = context.settings.followed
    for name in names:
        if name not in followed:
            raise errors.SettingsInvalid(source_unset(context.settings, name))
    if not followed:
        raise errors.SettingsInvalid(source_unset(context.settings))
    return list(dict.fromkeys(names)) or list(followed)


def _request(context: Context, names: Sequence[str]) -> str:
    """Leave a request with each; the token that its loop will echo."""
    token = f"{clock.now_us()}-{clock.boot_us()}"
    with context.database.write() as connection:
        for name in names:
            control.request(connection, name, token, person_owner(settings.person()))
    return token


def _await(context: Context, names: Sequence[str], token: str, timeout_s: float) -> None:
    """Return once the daemon has looked at each after we asked."""
    deadline_us = clock.boot_us() + int(timeout_s * 1_000_000)
    with context.database.connect():  # Held, so that each look at the row is cheap.
        while clock.boot_us() < deadline_us:
            with context.database.read() as connection:
                answers = control.controls(connection)
            # A later request than ours is answered by a later look.
            if all(
                answers[name].handled_token == token
                or answers[name].handled_token == answers[name].request_token
                for name in names
            ):
                return
            time.sleep(_LOOK_EVERY_S)
    raise errors.NotFound(
        f"the daemon did not look within {timeout_s:g} s; its log says why, or wait longer"
        " with --timeout"
    )


def _states(context: Context, names: Sequence[str]) -> list[SourceState]:
    with context.database.read() as connection:
        found = [recorded.source(connection, name) for name in names]
    assert all(found), "a look is always written down when it was asked for"
    return [state for state in found if state is not None]


def _show(context: Context, states: Sequence[SourceState], as_json: bool) -> None:
    if as_json:
        rows = [{"name": state.name, **_json(state)} for state in states]
        context.show_json({**_json(states[0]), "sources": rows})
        return
    for state in states:
        applied = f"commit {state.applied_commit[:8]}" if state.applied_commit else "nothing"
        message = f": {plain(state.message)}" if state.message else ""
        name = f"{state.name}: " if len(states) > 1 else ""
        click.echo(
            f"{name}{state.condition} ({plain(state.reason)}), {applied} is applied{message}"
        )


def _json(state: SourceState) -> dict[str, Any]:
    return {
        "commit": state.applied_commit,
        "condition": state.condition,
        "reason": state.reason,
        "message": state.message,
    }
