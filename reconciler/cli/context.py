"""What every command gets: settings, the database, and two ways to print.

Each part is imported and opened when a command first asks for it, here and nowhere else:
`orloj --help` and `orloj schema` must not pay for the database or the terminal library.
"""

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.views.plain import plain_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from runner.contract.database import Database
    from runner.contract.settings import Settings


class Context:
    """One call of the command line."""

    def __init__(self, home: Path | None) -> None:
        self._home = home

    @cached_property
    def settings(self) -> "Settings":
        """The settings of the home."""
        from runner.contract import settings

        return settings.load(self._home)

    @cached_property
    def database(self) -> "Database":
        """The database of the home, made if there is none."""
        from runner.contract import database

        url = self.settings.database.url.get_secret_value()
        opened = database.open_database(self.settings.home, url)
        click.get_current_context().find_root().call_on_close(opened.close)
        return opened

    @cached_property
    def console(self) -> "Console":
        """Standard output, with colours only on a terminal that wants them."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=True, emoji=False)

    def show(self, renderable: "RenderableType") -> None:
        """Print a view."""
        self.console.print(renderable)

    def show_json(self, value: Any) -> None:
        """Print one JSON value."""
        click.echo(plain_json(json.dumps(value, indent=2, ensure_ascii=False)))

    def say(self, text: str) -> None:
        """Print a sentence to the person, on standard error, so that pipes stay clean."""
        click.echo(text, err=True)

    def confirmed(self, question: str, verb: str, done: str) -> bool:
        """Whether the person says yes; no answer is a no, and says how to go on without one."""
        click.echo(f"\n{question} [y/N] ", err=True, nl=False)
        answer = sys.stdin.readline()
        if answer.strip().lower() in ("y", "yes"):
            return True
        if not answer.endswith("\n"):
            click.echo(err=True)
        hint = f" To {verb} without being asked, add --yes."
        self.say(f"Nothing was {done}.{'' if sys.stdin.isatty() else hint}")
        return False


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
