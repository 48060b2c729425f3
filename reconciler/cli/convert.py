"""`orloj convert`: write manifests in the other form.

Exit codes: 0 done, 1 a manifest has mistakes, 2 with --check a file is not in that form,
3 something cannot be said in the other form.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from reconciler import by_hand, convert
from reconciler.cli.context import Context, json_option
from reconciler.convert import Converted, Form
from reconciler.views import problems as view
from runner.contract.kinds import Key

LOST = 3


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    before: str
    done: Converted

    @property
    def changed(self) -> bool:
        return self.done.text != self.before


@click.command()
@click.argument(
    "paths", metavar="FILE|DIR", nargs=-1, required=True,
    type=click.Path(path_type=Path, exists=True),
)  # fmt: skip
@click.option(
    "--to", required=True, type=click.Choice([form.value for form in Form]),
    help="The form to write: as in the README, or as OrlojHQ/orloj.",
)  # fmt: skip
@click.option("--write", is_flag=True, help="Change the files, instead of printing them.")
@click.option("--check", is_flag=True, help="Only say which files would change.")
@click.option("--drop", is_flag=True, help="With --write: also where something is lost.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    paths: tuple[Path, ...],
    to: str,
    write: bool,
    check: bool,
    drop: bool,
    as_json: bool,
) -> None:
    """Write manifests in the native or the public form; comments stay.

    Both forms load, so nothing has to be converted. Name all files together: whether a model
    is meant or a ModelEndpoint shows in what they declare.
    """
    context: Context = ctx.obj
    files = _converted(list(paths), Form(to))
    mistakes = [one for file in files for one in file.done.mistakes]
    losses = [one for file in files for one in file.done.losses]
    if write and not mistakes and (drop or not losses):
        for file in files:
            if file.changed:
                file.path.write_text(file.done.text, encoding="utf-8")
    if as_json:
        context.show_json(_report(files))
    else:
        _show(context, files, write=write, check=check, drop=drop)
    pending = check and any(file.changed for file in files)
    ctx.exit(1 if mistakes else LOST if losses and not drop else 2 if pending else 0)


def _converted(paths: list[Path], to: Form) -> list[_File]:
    found = dict.fromkeys(file for path in paths for file in by_hand.manifest_files(path))
    if not found:
        raise click.ClickException("no *.yaml or *.yml file there")
    texts = {file: file.read_bytes() for file in found}
    endpoints = frozenset[Key]().union(*(convert.endpoints_of(one) for one in texts.values()))
    return [
        _File(
            file,
            text.decode(errors="replace"),
            convert.converted(text, str(file), to, endpoints),
        )
        for file, text in texts.items()
    ]


def _show(
    context: Context, files: list[_File], *, write: bool, check: bool, drop: bool
) -> None:
    problems = [one for file in files for one in (*file.done.mistakes, *file.done.losses)]
    if write or check:
        for file in files:
            if file.changed and not file.done.mistakes:
                click.echo(str(file.path))
    elif not any(file.done.mistakes for file in files):
        click.echo("---\n".join(file.done.text for file in files), nl=False)
    for problem in sorted(problems):
        context.say(str(problem))
    if write and not drop and any(file.done.losses for file in files):
        context.say("Nothing was written: what is named above would be lost. Next: --drop")
    elif write:
        context.say("Next: orloj validate " + " ".join(str(file.path) for file in files[:3]))


def _report(files: list[_File]) -> list[dict[str, object]]:
    return [
        {
            "path": str(file.path),
            "changed": file.changed,
            "problems": [
                view.problem_json(one) for one in (*file.done.mistakes, *file.done.losses)
            ],
        }
        for file in files
    ]
