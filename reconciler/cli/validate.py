"""`orloj validate`: check manifests without applying them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from reconciler import by_hand, check, consent, manifest
from reconciler.cli.context import Context, json_option
from reconciler.governance import comparison
from reconciler.governance.world import World
from reconciler.manifest import positions
from reconciler.problem import Problem, has_errors
from reconciler.resource import Resource
from reconciler.surroundings import declared
from reconciler.views import problems as view
from reconciler.views.plain import plain
from runner.contract import clock
from runner.contract.kinds import Key


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def command(ctx: click.Context, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check manifests without applying them.

    PATHS are files and folders; of a folder every *.yaml and *.yml file is read, hidden
    ones and links left out. Needs no repository and no database.
    """
    context: Context = ctx.obj
    files = list(dict.fromkeys(file for path in paths for file in _files(path)))
    if not files:
        raise click.ClickException(f"no *.yaml or *.yml file under {_listed(paths)}")
    resources, problems, torn = _read(files)
    complete = any(path.is_dir() for path in paths)
    problems += check.check(resources, lambda key: False, (), torn=torn, complete=complete)
    problems += consent.missing(resources, {})
    problems += _risks(resources)
    problems.sort()
    failed = has_errors(problems)
    if as_json:
        context.show_json(_report(failed, files, resources, problems))
    else:
        if problems:
            context.show(view.problem_list(problems))
        if not failed:
            counts = view.counted(len(files), "file")
            counts += ", " + view.counted(len(resources), "resource")
            click.echo(f"{counts}: valid. Next: orloj plan")
    ctx.exit(1 if failed else 0)


def _risks(resources: list[Resource]) -> list[Problem]:
    """What is wrong with who may do what, as far as the files tell."""
    world = World({resource.key: declared(resource) for resource in resources})
    return comparison.risks(world, world.declared, clock.day(clock.now_us()))


def _report(
    failed: bool, files: list[Path], resources: list[Resource], problems: list[Problem]
) -> dict[str, Any]:
    return {
        "valid": not failed,
        "files": len(files),
        "resources": len(resources),
        "problems": [view.problem_json(problem) for problem in problems],
    }


def _listed(paths: tuple[Path, ...]) -> str:
    return ", ".join(plain(str(path)) for path in paths)


def _files(path: Path) -> Iterator[Path]:
    """The manifest files that a path of the command line stands for."""
    if not path.exists():
        raise click.ClickException(f"there is no {plain(str(path))}")
    if not path.is_dir() and not path.is_file():
        raise click.ClickException(f"{plain(str(path))} is neither a file nor a folder")
    try:
        yield from by_hand.manifest_files(path)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise click.ClickException(
            f"{plain(str(error.filename))} cannot be read: {reason}"
        ) from error


def _read(files: list[Path]) -> tuple[list[Resource], list[Problem], list[Key]]:
    """What the files declare, what is wrong in them, and the keys of what has mistakes."""
    resources: list[Resource] = []
    problems: list[Problem] = []
    torn: list[Key] = []
    for file in files:
        name = str(file).encode(errors="backslashreplace").decode()
        try:
            with file.open("rb") as stream:
                content = stream.read(positions.BYTES_MAX + 1)
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            problems.append(Problem(name, 1, 1, f"cannot be read: {reason}"))
            continue
        parsed = manifest.parse(content, name, _forget)
        resources += parsed.resources
        problems += parsed.problems
        torn += parsed.torn
    return resources, problems, torn


def _forget(value: str) -> tuple[str, str]:
    # Nothing is kept of what is only looked at, so no key is needed either.
    return "hmac-sha256:" + "0" * 64, ""
