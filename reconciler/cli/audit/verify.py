"""`orloj audit verify`: whether the log is what was written.

Exit codes: 0 it holds, 1 it does not, 2 what it should be compared with cannot be had.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.privacy import archive
from reconciler.proof import note, remote, verification
from reconciler.proof.note import VerifierKey
from reconciler.proof.verification import Witnessed
from reconciler.views import verification as view
from runner.contract import audit, clock, errors

PUBLISHED: Final = "published"
PROGRESS_AFTER_S: Final = 1.0
UNTOLD: Final = 2


@click.command()
@click.option(
    "--against",
    "remotes",
    multiple=True,
    metavar="REMOTE",
    help="Compare with the checkpoints at a Git remote; `published`: at that of the settings.",
)
@click.option(
    "--key", "vkeys", multiple=True, metavar="VKEY", help="A key of the log that you know."
)
@click.option(
    "--archive",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check an archive instead, also against the database's own entries.",
)
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    remotes: tuple[str, ...],
    vkeys: tuple[str, ...],
    file: Path | None,
    as_json: bool,
) -> int:
    """Check every byte of the log, its checkpoints, and what others keep of them."""
    if file is not None:
        return _archive(context, file, as_json)
    pinned = [_key(text) for text in vkeys]
    kept: list[Witnessed] = []
    try:
        kept = [one for name in remotes for one in _published(context, name)]
    except errors.SourceError as error:
        context.say(f"Error: {error}")
        return UNTOLD
    with context.database.read() as connection:
        report = verification.verify(
            connection,
            clock.now_us(),
            pinned=pinned,
            kept=kept,
            progress=_progress(context),
            settings=context.settings,
        )
    if as_json:
        context.show_json(view.report_json(report))
    else:
        context.show(view.report_words(report, compared=bool(remotes)))
    return 0 if report.holds else 1


def _archive(context: Context, file: Path, as_json: bool) -> int:
    """Whether an archive is whole, and is of this log as it stands."""
    found = archive.read(file)
    with context.database.read() as connection:
        same = archive.matches(connection, found)
    if as_json:
        fields = ("log", "first", "last", "root", "digest")
        context.show_json({name: getattr(found, name) for name in fields} | {"same": same})
    else:
        said = "as in the database" if same else "NOT as in the database"
        click.echo(
            f"{file}: entries {found.first} to {found.last} of {found.log} are whole,"
            f" root {found.root}, and {said}"
        )
    return 0 if same else 1


def _key(text: str) -> VerifierKey:
    try:
        return note.parse_verifier(text)
    except ValueError as error:
        raise errors.Refused(f"--key: {error}") from None


def _published(context: Context, name: str) -> Sequence[Witnessed]:
    """What a remote keeps of this log; SourceError when it cannot be asked."""
    settings = context.settings
    place = remote.place(settings, "" if name == PUBLISHED else name)
    if place is None:
        raise errors.Refused(
            "no remote is set to publish checkpoints to: set audit.remote, or name one with"
            " --against"
        )
    with context.database.read() as connection:
        log = audit.name(connection)
    folder = settings.home / "audit" / ("remote" if name == PUBLISHED else "compared")
    found = remote.Remote(place, folder).published(log)
    if not found:
        context.say(f"{place.shown} has no checkpoint of {log}.")
    return [Witnessed(one.text, one.committed_at, place.shown) for one in found]


def _progress(context: Context) -> Callable[[int], None]:
    """Says how far it is, once that takes long enough to wonder."""
    spoken_at = time.monotonic()

    def say(entries: int) -> None:
        nonlocal spoken_at
        now = time.monotonic()
        if now - spoken_at >= PROGRESS_AFTER_S:
            spoken_at = now
            context.say(f"{entries} entries …")

    return say
