"""How a run ends: its verdict in its row, and an entry in the log, in one transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection

from reconciler.evaluation import record, rows
from reconciler.evaluation.record import Result, Run, RunState
from runner.contract import audit
from runner.contract.audit_entry import Entry, EntryType


def finish(
    connection: Connection, run: Run, results: Sequence[Result], now_us: int
) -> RunState:
    """Close a run whose answers are all closed, and log what came of it."""
    found = record.summary(results)
    state = record.outcome(run.spec, found)
    words = f"{found.passed} of {found.of} passed"
    rows.close(connection, run.id, state, words, now_us)
    entry = Entry(
        type=EntryType.EVAL_FINISHED,
        actor=run.actor,
        commit=run.commit,
        resource=str(run.key),
        outcome=state.value,
        reason=f"run {run.id}: {words}",
    )
    audit.append(connection, [entry], now_us)
    return state
