"""How far an export is: one line on a terminal, once it takes long enough to wonder."""

import sys
import time
from typing import Final

import click

from reconciler.views.table import number

AFTER_S: Final = 1.0
_EVERY_S: Final = 0.2
_ERASE: Final = "\r\x1b[2K"


class Progress:
    """Says how many entries are done. Into a pipe or a file it says nothing."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next_s = time.monotonic() + AFTER_S
        self._spoken = False

    def at(self, what: str, done: int, total: int | None = None) -> None:
        """With so many entries this is done, of so many where that is known."""
        if not self._shown or (now_s := time.monotonic()) < self._next_s:
            return
        self._next_s, self._spoken = now_s + _EVERY_S, True
        text = f"{what} {number(done)} entries"
        if total:
            text = f"{what} {number(done)} of {number(total)} entries, {100 * done // total} %"
        click.echo(_ERASE + text, nl=False, err=True)

    def end(self) -> None:
        """Take the line away."""
        if self._spoken:
            click.echo(_ERASE, nl=False, err=True)
