"""Replace workers without losing a task: drain one, let it end, another takes its place.

    live ──asked to, or over its memory──> draining ──holds nothing──> told to leave

A draining worker is given nothing new. That somebody asked stands in its row, where any
process of this home may write it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from runner.contract.errors import NotFound
from runner.contract.telemetry import log
from runner.crew import Worker

LIVE: Final = "live"
DRAINING: Final = "draining"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def ask(connection: Connection, worker: str) -> None:
    """Ask for a worker to be drained, in the caller's transaction; NotFound."""
    changed = connection.exec_driver_sql(
        "UPDATE worker SET state = ? WHERE id = ?", (DRAINING, worker)
    )
    if changed.rowcount != 1:
        raise NotFound(f"no worker {worker!r}; `orloj workers` lists them")


def asked(connection: Connection) -> Sequence[str]:
    """The workers that somebody asked to be drained, of any host."""
    rows = connection.exec_driver_sql("SELECT id FROM worker WHERE state = ?", (DRAINING,))
    return list(rows.scalars())


def weigh(worker: Worker, memory_max: int) -> None:
    """Drain a worker that holds more than `memory_max` bytes; 0 is no limit."""
    if memory_max and not worker.draining:
        held = memory(worker.pid)
        if held is not None and held > memory_max:
            drain(worker, f"it holds {held} bytes of memory")


def drain(worker: Worker, reason: str) -> None:
    """Give a worker nothing new; its next ping has it written down."""
    if not worker.draining:
        worker.draining = True
        log("worker_draining", "A worker takes nothing new.", worker=worker.id, reason=reason)


def dismiss(workers: Iterable[Worker]) -> None:
    """Tell the draining workers that hold nothing to leave."""
    for worker in workers:
        if worker.draining and not worker.held and not worker.dismissed:
            worker.dismissed = True
            worker.wire.send({"do": "leave"})


def memory(pid: int) -> int | None:
    """The bytes of memory that a process of this host holds; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(fields[1]) * _PAGE


def state(worker: Worker) -> str:
    """The word that stands in a worker's row."""
    return DRAINING if worker.draining else LIVE
