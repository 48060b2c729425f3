"""Entries as lines, to a file or to standard output."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.cli.asking import noted
from reconciler.cli.audit.progress import Progress
from reconciler.cli.context import Context
from reconciler.views import audit as view
from runner.contract import audit, errors

FORMS: Final = ("jsonl", "csv")

Line = Callable[[audit.Stored], bytes]


def write(
    context: Context, form: str, out: Path | None, since: int | None, until: int | None
) -> None:
    """Write entries, oldest first."""
    line: Line = _raw_line if form == "jsonl" else _csv_line
    progress, count = Progress(), 0
    with _target(out) as file, context.database.read() as connection:
        if form == "csv":
            file.write(view.csv_header().encode())
        for entry in audit.read(connection, since_us=since, until_us=until):
            file.write(line(entry))
            count += 1
            progress.at("written", count)
    progress.end()
    noted(context, "audit_export", {"from": since, "to": until, "format": form}, None)
    if out is not None:
        context.say(f"{count} entries written to {out}")


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
