"""A push of the followed ref, from what git told to what the pusher reads."""

from contextlib import closing

import click

from reconciler import control
from reconciler.push import receive
from reconciler.push.receive import Push
from reconciler.push.verdict import Verdict
from reconciler.views import push as view
from runner.contract import database, errors, service
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

__all__ = ["Push", "answer", "refuse_elsewhere"]


def answer(home: Settings, name: str, push: Push) -> int:
    """Answer a push of the ref that is followed; OrlojError when it cannot be looked at."""
    with closing(_opened(home)) as opened:
        verdict = receive.receive(home, opened, name, push)
        outlook = _outlook(home, opened, name, push)
    return _said(verdict, outlook)


def refuse_elsewhere(source: Source) -> int:
    """Answer a push of other refs that says something to us."""
    return _said(receive.elsewhere(source), view.Outlook())


def _said(verdict: Verdict, outlook: view.Outlook) -> int:
    click.echo("\n".join(view.push_lines(verdict, outlook)))
    return 0 if verdict.passes else 1


def _opened(home: Settings) -> Database:
    """The database that is there: a push never makes a home."""
    url = home.database.url.get_secret_value()
    if not url and not (home.home / database.FILE_NAME).is_file():
        raise errors.DatabaseUnavailable(f"there is no state in {home.home}")
    return database.open_database(home.home, url)


def _outlook(home: Settings, opened: Database, name: str, push: Push) -> view.Outlook:
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
