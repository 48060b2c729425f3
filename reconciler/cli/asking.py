"""What commands about repositories share: which ones, asking for a look, and waiting for it."""

import time
from collections.abc import Sequence
from typing import Any, Final

import click

from reconciler import control, recorded
from reconciler.cli.context import Context
from reconciler.privacy import reading
from reconciler.recorded import SourceState
from reconciler.repository import source_unset
from reconciler.resource import git_owner, person_owner
from reconciler.views.plain import plain
from runner.contract import clock, errors, settings

_LOOK_EVERY_S: Final = 0.02


def chosen(context: Context, names: tuple[str, ...]) -> Sequence[str]:
    """The repositories that are meant; SettingsInvalid for one that is not followed."""
    followed = context.settings.followed
    for name in names:
        if name not in followed:
            raise errors.SettingsInvalid(_unknown(context, name))
    if not followed:
        raise errors.SettingsInvalid(source_unset(context.settings))
    return list(dict.fromkeys(names)) or list(followed)


def actor() -> str:
    """Whoever runs this command, as the log names them."""
    return person_owner(settings.person())


def noted(
    context: Context, command: str, filters: dict[str, Any], seqs: tuple[int, int] | None
) -> None:
    """Write down that whoever runs this command read the log."""
    with context.database.write() as connection:
        reading.note(
            connection, actor(), command, filters=filters, seqs=seqs, now_us=clock.now_us()
        )


def request(context: Context, names: Sequence[str]) -> str:
    """Leave a request with each; the token that its loop will echo."""
    token = clock.new_id()
    with context.database.write() as connection:
        for name in names:
            control.request(connection, name, token, actor())
    return token


def await_answer(context: Context, names: Sequence[str], token: str, timeout_s: float) -> None:
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


def states(context: Context, names: Sequence[str]) -> list[SourceState]:
    """How each stands, after a look at it that was asked for."""
    with context.database.read() as connection:
        found = [recorded.source(connection, name) for name in names]
    assert all(found), "a look is always written down when it was asked for"
    return [state for state in found if state is not None]


def left(context: Context) -> list[tuple[str, int]]:
    """Repositories that are not in the settings any more, and how many resources they left."""
    followed = context.settings.followed
    with context.database.read() as connection:
        gone = [state for state in recorded.sources(connection) if state.name not in followed]
        counted = [
            (state.name, recorded.count(connection, git_owner(state.name))) for state in gone
        ]
    return [(name, count) for name, count in counted if count]


def say_left(context: Context) -> None:
    """Say what became of repositories that were taken out of the settings."""
    for name, count in left(context):
        context.say(left_words(name, count))


def left_words(name: str, count: int) -> str:
    """What became of one."""
    things = "1 resource" if count == 1 else f"{count} resources"
    return (
        f"{plain(name)} is not in the settings any more. It left {things} that stay as applied"
        f" and that no other repository may declare; to go on, call one {plain(name)} again"
    )


def show(context: Context, found: Sequence[SourceState], as_json: bool) -> None:
    """Print how repositories stand."""
    if as_json:
        rows = [{"name": state.name, **_json(state)} for state in found]
        gone = [{"name": name, "resources": count} for name, count in left(context)]
        context.show_json({**_json(found[0]), "sources": rows, "left": gone})
        return
    for state in found:
        applied = f"commit {state.applied_commit[:8]}" if state.applied_commit else "nothing"
        message = f": {plain(state.message)}" if state.message else ""
        name = f"{state.name}: " if len(found) > 1 else ""
        click.echo(
            f"{name}{state.condition} ({plain(state.reason)}), {applied} is applied{message}"
        )
    say_left(context)


def _json(state: SourceState) -> dict[str, Any]:
    return {
        "commit": state.applied_commit,
        "condition": state.condition,
        "reason": state.reason,
        "message": state.message,
    }


def _unknown(context: Context, name: str) -> str:
    for known, count in left(context):
        if known == name:
            return left_words(name, count)
    return source_unset(context.settings, name)
