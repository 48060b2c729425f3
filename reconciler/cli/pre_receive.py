"""`orloj hook pre-receive`: what git runs before a push moves a ref. Not for people.

The script in the hooks starts this module by itself, since the other commands of the group
need what most pushes do not.

Exit codes: 0 the push goes on, 1 it does not. Whatever goes wrong here refuses the push with
one sentence: a hook that lets pass what it could not look at would guard nothing.

Settings come from the home's file alone: the environment is that of whoever pushes.
"""

import gc
import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import click

from reconciler.push import followed, options
from runner.contract import errors, settings
from runner.contract.settings import DEFAULT_SOURCE

_OPTIONS_MAX = 1_000
_TOLD = ("GIT_DIR", "GIT_QUARANTINE_PATH", "REMOTE_USER", "GATEWAY_INTERFACE")


@click.command("pre-receive", hidden=True)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the state and settings.",
)
@click.option("--source", "name", default=DEFAULT_SOURCE, help="Repository of the settings.")
@click.option("--pusher-from", "variable", default="", help="Variable that names who pushes.")
def pre_receive(home: Path, name: str, variable: str) -> int:
    """Plan a push, and answer git."""
    if isinstance(sys.stdout, TextIOWrapper):  # Git passes bytes on, whatever the locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    told = settings.given(*_TOLD, variable)
    repository = Path(told.get("GIT_DIR", ".")).resolve()
    try:
        return _answer(home, name, repository, told, variable)
    except (errors.OrlojError, OSError) as error:
        why = _why(error)
    except Exception as error:  # noqa: BLE001  # The boundary: say what it was, and refuse.
        why = f"a fault of orloj itself ({type(error).__name__})"
    # Only now: a push that is none of ours does not wait for it.
    from reconciler.views.push import failure_lines

    remove = f"orloj hook uninstall {shlex.quote(str(repository))}"
    click.echo("\n".join(failure_lines(why, remove)))
    return 1


def _answer(
    folder: Path, name: str, repository: Path, told: dict[str, str], variable: str
) -> int:
    home = settings.load(folder, {})
    source = followed.source(home, name, repository)
    update = followed.updates(sys.stdin.buffer, followed.followed(source))
    said = options.parse(_options())
    if update is None and not said.ours:
        return 0
    gc.disable()  # What an import makes is no garbage.
    # Only now: the database, the parser and the plan are most of what a push waits for.
    from reconciler.cli import pushed

    gc.freeze()
    gc.enable()
    if update is None:
        return pushed.refuse_elsewhere(source)
    push = pushed.Push(
        repository=repository,
        quarantine=told.get("GIT_QUARANTINE_PATH", ""),
        update=update,
        options=said,
        pusher=followed.pusher(told, settings.person(), variable),
    )
    return pushed.answer(home, name, push)


def _options() -> list[str]:
    """What was said with -o, as git hands it over."""
    count = settings.given("GIT_PUSH_OPTION_COUNT").get("GIT_PUSH_OPTION_COUNT", "0")
    if not count.isascii() or not count.isdigit() or int(count) > _OPTIONS_MAX:
        raise errors.Refused(f"a push may not have more than {_OPTIONS_MAX} options")
    names = [f"GIT_PUSH_OPTION_{number}" for number in range(int(count))]
    given = settings.given(*names)
    return [given[name] for name in names]


def _why(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or type(error).__name__}"


def main() -> NoReturn:
    """Answer git with the exit code."""
    try:
        code = pre_receive.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
