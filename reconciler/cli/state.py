"""`orloj state`: move a home's state to another database."""

import time
from dataclasses import asdict
from typing import Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import state as view
from runner.contract import audit_check, clock, database, errors, settings, state_copy

PROGRESS_AFTER_S: Final = 1.0
SQLITE: Final = "sqlite"


@click.group()
def command() -> None:
    """Move the state of this home to another database."""


@command.command("copy")
@click.option(
    "--to",
    "url",
    required=True,
    metavar="URL",
    help="An empty database, as postgresql://user@host/name; or `sqlite`: the home's file.",
)
@json_option
@click.pass_obj
def copy(context: Context, url: str, as_json: bool) -> int:
    """Copy everything to an empty database and compare it, row against row.

    Nothing of this home may be running. The original is left as it is.
    """
    there = "" if url == SQLITE else url
    if there == context.settings.database.url.get_secret_value():
        raise errors.Refused("this home uses that database already")
    source = context.database
    target = database.connect(context.settings.home, there)
    try:
        copied = state_copy.copy(
            source,
            target,
            f"person:{settings.person()}",
            clock.now_us(),
            _Progress(context).tell,
        )
        with target.read() as connection:
            verdict = audit_check.verify(connection)
    finally:
        target.close()
    if as_json:
        context.show_json(
            {"from": source.name, "to": target.name, **asdict(copied), "holds": verdict.holds}
        )
    else:
        context.show(view.copied(copied.rows, copied.entries, copied.head, target.name))
        file = str(context.settings.home / settings.FILE_NAME)
        context.say(view.what_next(target.name, file, shared=target.shared))
    return 0 if verdict.holds else 1


class _Progress:
    """Says how far the copy is, once it takes long enough to wonder."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._spoken_at = time.monotonic()

    def tell(self, doing: str, done: int, total: int) -> None:
        """So many rows are copied, or compared."""
        now = time.monotonic()
        if now - self._spoken_at >= PROGRESS_AFTER_S:
            self._spoken_at = now
            self._context.say(f"{doing} {done} of {total} rows …")
