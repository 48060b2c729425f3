"""`orloj audit export`: a period of the log as lines, or as a bundle that proves itself."""

from pathlib import Path
from typing import Any, Final

import click

from reconciler.cli.asking import actor
from reconciler.cli.audit import streaming
from reconciler.cli.audit.progress import Progress
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Moment
from reconciler.evidence import cover, export
from reconciler.evidence.cover import Asked
from reconciler.evidence.disclosures import Choice
from reconciler.evidence.export import Exported
from reconciler.evidence.parts import Wanted
from reconciler.views import exported as view
from runner import tasks
from runner.contract import clock

BUNDLE: Final = "bundle"
_SUFFIX: Final = ".tar"


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice([*streaming.FORMS, BUNDLE]),
    help="jsonl: the bytes that were hashed, one entry a line. csv: for spreadsheets."
    " bundle: a tar with proofs, for an auditor."
    " [default: bundle when --out ends in .tar, else jsonl]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: standard output.",
)
@click.option("--from", "since", type=Moment(), help="From this time on, or from 2h ago.")
@click.option("--to", "until", type=Moment(), help="Before this time. Default: now.")
@click.option("--disclose", multiple=True, metavar="FIELD", help="Bundle: values of a field.")
@click.option(
    "--disclose-task", "disclose_tasks", multiple=True, metavar="ID", help="... of a task."
)
@click.option(
    "--framework", "frameworks", multiple=True, metavar="NAME", help="Bundle: only these."
)
@click.option("--no-git", is_flag=True, help="Bundle: without the governing commits.")
@click.option(
    "--controls",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Bundle: your own frameworks, beside ours or in their place.",
)
@click.option("--no-pdf", is_flag=True, help="Bundle: the report as a page only.")
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    form: str | None,
    out: Path | None,
    since: int | None,
    until: int | None,
    disclose: tuple[str, ...],
    disclose_tasks: tuple[str, ...],
    frameworks: tuple[str, ...],
    no_git: bool,
    controls: Path | None,
    no_pdf: bool,
    as_json: bool,
) -> None:
    """Write a period of the log: as lines, or with all that proves it as NAME.tar."""
    if form is None:
        form = BUNDLE if out is not None and out.suffix == _SUFFIX else streaming.FORMS[0]
    if form != BUNDLE:
        if disclose or disclose_tasks or frameworks or controls or no_git or no_pdf or as_json:
            raise click.UsageError(
                "--disclose, --disclose-task, --framework, --controls, --no-git, --no-pdf and"
                " --json are for bundles: add --out NAME.tar"
            )
        streaming.write(context, form, out, since, until)
        return
    if out is None:
        raise click.UsageError("a bundle needs a file: add --out NAME.tar")
    with context.database.read() as connection:
        chosen = frozenset(tasks.resolve(connection, one) for one in disclose_tasks)
    wanted = Wanted(
        disclose=Choice(frozenset(disclose), chosen),
        frameworks=frameworks,
        controls=controls,
        pdf=not no_pdf,
        git=not no_git,
    )
    exported = _bundle(context, out, Asked(since, until, actor()), wanted)
    if as_json:
        context.show_json(_fields(out, exported))
    else:
        context.show(view.exported(_fields(out, exported)))


def _bundle(context: Context, out: Path, asked: Asked, wanted: Wanted) -> Exported:
    covered = cover.cover(context.settings, context.database, asked, clock.now_us())
    progress = Progress()
    try:
        return export.write(
            context.database, covered, out, wanted, actor=asked.actor, progress=progress.at
        )
    finally:
        progress.end()


def _fields(out: Path, exported: Exported) -> dict[str, Any]:
    period = exported.covered.period
    return {
        "file": str(out),
        "log": period.log,
        "from": clock.iso(period.since_us),
        "to": clock.iso(period.until_us),
        "first": period.first,
        "last": period.last,
        "entries": period.last - period.first + 1,
        "checkpoint": exported.covered.checkpoint.size,
        "bytes": exported.size_bytes,
        "sha256": exported.digest,
        "audit_entry": exported.entry,
        "disclosed": exported.disclosed,
        "erased": exported.erased,
        "remark": exported.remark,
    }
