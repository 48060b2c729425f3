"""`orloj audit export`: write entries out."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from reconciler.cli.asking import noted
from reconciler.cli.context import Context
from reconciler.cli.parameters import Moment
from reconciler.views import audit as view
from runner.contract import audit, errors

PROGRESS_AFTER_S: Final = 1.0
PROGRESS_EVERY: Final = 1_000

Line = Callable[[audit.Stored], bytes]


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="jsonl: the bytes that were hashed, one entry a line. csv: for spreadsheets.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: standard output.",
)
@click.option("--from", "since", type=Moment(), help="From this time on, or from 2h ago.")
@click.option("--to", "until", type=Moment(), help="Before this time.")
@click.pass_obj
def command(
    context: Context, form: str, out: Path | None, since: int | None, until: int | None
) -> None:
    """Write entries, oldest first, to a file or to standard output."""
    line: Line = _raw_line if form == "jsonl" else _csv_line
    with _target(out) as file, context.database.read() as connection:
        if form == "csv":
            file.write(view.csv_header().encode())
        progress = _Progress(context)
        for entry in audit.read(connection, since_us=since, until_us=until):
            file.write(line(entry))
            progress.another()
    noted(context, "audit_export", {"from": since, "to": until, "format": form}, None)
    if out is not None:
        context.say(f"{progress.count} entries written to {out}")


def _raw_line(entry: audit.Stored) -> bytes:
    return entry.raw + b"\n"


def _csv_line(entry: audit.Stored) -> bytes:
    return view.csv_line(entry.fields).encode("utf-8", "backslashreplace")


@contextmanager
def _target(out: Path | None) -> Iterator[BinaryIO]:
    """Where an export goes. A file gets its name only when it is complete."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(out)
    except OSError as error:
        raise errors.Refused(f"cannot write {out}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


class _Progress:
    """Says how far an export is, once it takes long enough to wonder."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._spoken_at = time.monotonic()
        self.count = 0

    def another(self) -> None:
        """One entry more is written."""
        self.count += 1
        if self.count % PROGRESS_EVERY:
            return
        now = time.monotonic()
        if now - self._spoken_at >= PROGRESS_AFTER_S:
            self._spoken_at = now
            self._context.say(f"{self.count} entries …")
