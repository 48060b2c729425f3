"""`orloj audit verify`: whether the log is what was written.

Exit codes: 0 it holds, 1 it does not, 2 that cannot be told: nobody signed it, or what it
should be compared with cannot be had.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from reconciler.cli.audit.progress import Progress
from reconciler.cli.context import Context, json_option
from reconciler.privacy import archive
from reconciler.proof import cosigning, note, publication, remote, verification
from reconciler.proof.note import VerifierKey
from reconciler.proof.verification import Witnessed
from reconciler.views import verification as view
from runner.contract import audit, clock, errors

PUBLISHED: Final = "published"
NOTE_BYTES_MAX: Final = remote.NOTE_BYTES_MAX
BROKEN: Final = 1
UNTOLD: Final = 2


@click.command()
@click.option(
    "--against",
    "others",
    multiple=True,
    metavar="REMOTE|FILE",
    help="Compare with the checkpoints at a Git remote, or with one that you kept in a file;"
    " `published`: with those at the remote of the settings.",
)
@click.option(
    "--key", "vkeys", multiple=True, metavar="VKEY", help="A key of the log that you know."
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Whose cosignatures make a quorum. Default: the policy of the settings.",
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
    others: tuple[str, ...],
    vkeys: tuple[str, ...],
    policy_file: Path | None,
    file: Path | None,
    as_json: bool,
) -> int:
    """Check every byte of the log, its checkpoints, and what others keep of them."""
    if file is not None:
        return _archive(context, file, as_json)
    pinned = [_key(text) for text in vkeys]
    settings = context.settings
    policy = (
        cosigning.policy_from(policy_file) if policy_file else cosigning.policy_of(settings)
    )
    kept, untold = _all_kept(context, others)
    shown = Progress()
    with context.database.read() as connection:
        report = verification.verify(
            connection,
            clock.now_us(),
            pinned=pinned,
            kept=kept,
            policy=policy,
            progress=lambda done: shown.at("read", done),
            settings=settings,
        )
    shown.end()
    if as_json:
        context.show_json(view.report_json(report))
    else:
        context.show(view.report_words(report, compared=bool(others)))
    if not report.holds:
        return BROKEN
    return UNTOLD if untold or not report.told else 0


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
    return 0 if same else BROKEN


def _all_kept(context: Context, others: Sequence[str]) -> tuple[list[Witnessed], bool]:
    """What others keep of this log, and whether one of them could not be asked."""
    kept: list[Witnessed] = []
    untold = False
    for one in others:
        try:
            found = _kept(context, one)
        except errors.SourceError as error:
            context.say(f"Error: {error}")
            found = []
        untold = untold or not found
        kept += found
    return kept or _remembered(context), untold


def _remembered(context: Context) -> list[Witnessed]:
    """What this host published last, which no copy of the database takes back."""
    place = remote.place(context.settings)
    if place is None or not publication.folder(context.settings.home, place).is_dir():
        return []
    with context.database.read() as connection:
        log = audit.name(connection)
    found = publication.Publication(place, context.settings.home, log).remembered()
    where = f"{place.shown}, as this host remembers,"
    return [] if found is None else [Witnessed(found.text, found.committed_at, where)]


def _key(text: str) -> VerifierKey:
    try:
        return note.parse_verifier(text)
    except ValueError as error:
        raise errors.Refused(f"--key: {error}") from None


def _kept(context: Context, name: str) -> Sequence[Witnessed]:
    """What others keep of this log; SourceError when they cannot be asked."""
    file = Path(name)
    if name != PUBLISHED and file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace")[:NOTE_BYTES_MAX]
        return [Witnessed(text, 0, name)]
    place = remote.place(context.settings, "" if name == PUBLISHED else name)
    if place is None:
        raise errors.Refused(
            "no remote is set to publish checkpoints to: set audit.remote, or name one with"
            " --against"
        )
    with context.database.read() as connection:
        log = audit.name(connection)
    mirror = publication.folder(context.settings.home, place)
    # A mirror of its own: the daemon may be publishing from the other one.
    asked = remote.Remote(place, mirror.with_name(f"{mirror.name}-verified"))
    found = asked.published(log)
    if not found:
        logs = ", ".join(asked.logs()) or "no log"
        context.say(f"{place.shown} has no checkpoint of {log}; it has some of {logs}.")
    return [Witnessed(one.text, one.committed_at, place.shown) for one in found]
