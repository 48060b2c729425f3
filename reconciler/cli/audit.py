"""`orloj audit`: read, verify and export the audit log."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Moment
from reconciler.views import audit as view
from runner import tasks
from runner.contract import audit, errors

PROGRESS_AFTER_S: Final = 1.0
PROGRESS_EVERY: Final = 1_000

Line = Callable[[audit.Stored], bytes]


@click.group()
def command() -> None:
    """Read, verify and export the audit log."""


@command.command("log")
@click.option("--task", "task_id", metavar="ID", help="Only this task.")
@click.option("--agent", help="Only this agent.")
@click.option("--type", "type_prefix", help="Only types that begin so: `action.`")
@click.option("--decision", help="Only this decision: allow or deny.")
@click.option("--since", type=Moment(), help="From this time on, or from 2h or 7d ago.")
@click.option("--until", type=Moment(), help="Before this time.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many, counted from the newest.",
)
@json_option
@click.pass_obj
def log(
    context: Context,
    *,
    task_id: str | None,
    agent: str | None,
    type_prefix: str | None,
    decision: str | None,
    since: int | None,
    until: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show entries, oldest first. Times are UTC."""
    with context.database.read() as connection:
        if task_id is not None:
            task_id = tasks.resolve(connection, task_id)
        entries = [
            entry.fields
            for entry in audit.read(
                connection,
                task=task_id,
                agent=agent,
                type_prefix=type_prefix,
                decision=decision,
                since_us=since,
                until_us=until,
                newest=limit,
            )
        ]
    if as_json:
        context.show_json(entries)
    else:
        context.show(view.entry_list(entries, with_task=task_id is None))


@command.command("verify")
@json_option
@click.pass_obj
def verify(context: Context, as_json: bool) -> int:
    """Check every entry against its hash, its number and its place; 1 when one is bad."""
    with context.database.read() as connection:
        verdict = audit.verify(connection)
    if as_json:
        context.show_json(
            {
                "holds": verdict.holds,
                "entries": verdict.entries,
                "head": verdict.head,
                "bad_seq": verdict.bad_seq,
                "problem": verdict.problem,
            }
        )
    else:
        context.show(
            view.verdict(verdict.entries, verdict.head, verdict.bad_seq, verdict.problem)
        )
    return 0 if verdict.holds else 1


@command.command("export")
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
def export(
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
