"""`orloj hook pre-receive`: what git runs before a push moves a ref. Not for people.

Exit codes: 0 the push goes on, 1 it does not. Whatever goes wrong here refuses the push with
one sentence: a hook that lets pass what it could not look at would guard nothing.

Settings come from the home's file alone: the environment is that of whoever pushes.
"""

import shlex
import sys
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path

import click

from reconciler import control
from reconciler.push import options, receive
from reconciler.push.receive import Push
from reconciler.views import push as view
from runner.contract import database, errors, service, settings
from runner.contract.database import Database
from runner.contract.settings import DEFAULT_SOURCE, Settings

_OPTIONS_MAX = 1_000
_ASKED = ("REMOTE_USER", "GATEWAY_INTERFACE")


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
    told = settings.given("GIT_DIR", "GIT_QUARANTINE_PATH", *_ASKED, variable)
    repository = Path(told.get("GIT_DIR", ".")).resolve()
    remove = f"orloj hook uninstall {shlex.quote(str(repository))}"
    try:
        passes, lines = _answer(settings.load(home, {}), name, repository, told, variable)
    except (errors.OrlojError, OSError) as error:
        passes, lines = False, view.failure_lines(_why(error), remove)
    except Exception as error:  # noqa: BLE001  # The boundary: say what it was, and refuse.
        why = f"a fault of orloj itself ({type(error).__name__})"
        passes, lines = False, view.failure_lines(why, remove)
    click.echo("\n".join(lines), nl=bool(lines))
    return 0 if passes else 1


def _answer(
    home: Settings, name: str, repository: Path, told: dict[str, str], variable: str
) -> tuple[bool, list[str]]:
    source = receive.source(home, name, repository)
    ref = receive.followed(source)
    update = receive.updates(sys.stdin.buffer, ref)
    push = Push(
        repository=repository,
        quarantine=told.get("GIT_QUARANTINE_PATH", ""),
        update=update,
        options=options.parse(_options()),
        pusher=receive.pusher(told, settings.person(), variable) if update else "",
    )
    if update is None:
        verdict = receive.elsewhere(source, push.options)
        return verdict.passes, view.push_lines(verdict, view.Outlook(ref=ref, home=""))
    with closing(_opened(home)) as opened:
        verdict = receive.receive(home, opened, name, push)
        outlook = _outlook(home, opened, name, push)
    return verdict.passes, view.push_lines(verdict, outlook)


def _options() -> list[str]:
    """What was said with -o, as git hands it over."""
    count = settings.given("GIT_PUSH_OPTION_COUNT").get("GIT_PUSH_OPTION_COUNT", "0")
    if not count.isascii() or not count.isdigit() or int(count) > _OPTIONS_MAX:
        raise errors.Refused(f"a push may not have more than {_OPTIONS_MAX} options")
    names = [f"GIT_PUSH_OPTION_{number}" for number in range(int(count))]
    given = settings.given(*names)
    return [given[name] for name in names]


def _opened(home: Settings) -> Database:
    """The database that is there: a push never makes a home."""
    url = home.database.url.get_secret_value()
    if not url and not (home.home / database.FILE_NAME).is_file():
        raise errors.DatabaseUnavailable(f"there is no state in {home.home}")
    return database.open_database(home.home, url)


def _outlook(home: Settings, opened: Database, name: str, push: Push) -> view.Outlook:
    assert push.update is not None
    with opened.read() as connection:
        suspended = control.control(connection, name).suspended_at is not None
        daemon = service.is_running(home.run, "daemon") or opened.led(connection)
    return view.Outlook(
        ref=push.update.ref,
        stands_at="" if push.update.creates else push.update.old,
        home=str(home.home),
        daemon=daemon,
        suspended=name if suspended else "",
    )


def _why(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or type(error).__name__}"
