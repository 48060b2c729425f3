"""The worker processes as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from reconciler.views.table import number, table, word
from reconciler.views.times import iso, moment
from runner.task_record import WorkerRecord

_MEBIBYTE = 1024 * 1024


def worker_list(
    found: Sequence[tuple[WorkerRecord, int | None]], *, hosts: bool = False
) -> Text:
    """The list of workers, each with the bytes of memory it holds; `hosts`: and its host."""
    if not found:
        return Text("No workers. `orloj worker` starts the runner.")
    rows: list[tuple[str | Text, ...]] = [
        (worker.host,) * hosts
        + (
            worker.id,
            str(worker.pid),
            word(worker.state),
            f"{worker.busy} of {worker.slots}",
            "-" if memory is None else f"{number(memory // _MEBIBYTE)} MiB",
            moment(worker.started_at),
            moment(worker.seen_at),
        )
        for worker, memory in found
    ]
    headers = ("HOST",) * hosts
    headers += ("WORKER", "PID", "STATE", "BUSY", "MEMORY", "STARTED (UTC)", "SEEN (UTC)")
    return table(headers, rows)


def worker_json(worker: WorkerRecord, memory: int | None) -> dict[str, Any]:
    """The stable fields of a worker."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "state": worker.state,
        "slots": worker.slots,
        "busy": worker.busy,
        "memory_bytes": memory,
        "started_at": iso(worker.started_at),
        "seen_at": iso(worker.seen_at),
    }
