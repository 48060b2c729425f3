"""A home in which a task with personal data in every slot ran and ended."""

import json
from pathlib import Path
from typing import Final

from home import Home

from reconciler.privacy import erasure
from reconciler.privacy.erasure import Erased, Order
from runner.contract import audit, audit_check
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database
from runner.contract.kinds import Key

CANARY: Final = "Wilhelmina-Zobrist"
COMMIT: Final = "c" * 40
DAY_US: Final = 86_400_000_000
CLERK: Final = Key("default", "Agent", "clerk")
ORDER: Final = Order(
    actor="person:ada", requested_by="ada", approved_by="bob", basis="GDPR 17(1)(b)"
)


def ended(home: Home, *, namespace: str = "default", at_us: int = DAY_US) -> str:
    """A finished task that left the canary in its row, its journal, the log and a request."""
    subject = Key(namespace, "Agent", "clerk")
    (task,) = home.submit(subject, input={"who": CANARY})
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE task SET state = 'succeeded', output = ?, error = ?, finished_at = ?"
            " WHERE id = ?",
            (json.dumps({"said": CANARY}), CANARY, at_us, task),
        )
        connection.exec_driver_sql(
            "INSERT INTO step (task_id, number, agent, kind, name, request, phase, result,"
            " fence, tokens_in, tokens_out, started_at) VALUES (?, 1, 'clerk', 'tool',"
            " ?, ?, 'denied', ?, 1, 0, 0, 1)",
            (task, CANARY, json.dumps({"arguments": CANARY}), json.dumps({"content": CANARY})),
        )
        connection.exec_driver_sql(
            "INSERT INTO attempt VALUES (?, 1, 'w', 1, 2, 'failed', ?)", (task, CANARY)
        )
        connection.exec_driver_sql(
            "INSERT INTO approval (id, task_id, step, state, request, digest, requested_at,"
            " expires_at, reason) VALUES (?, ?, 1, 'denied', ?, 'd', 1, 2, ?)",
            (f"r-{task}", task, CANARY.encode(), CANARY),
        )
        audit.append(connection, entries(task), at_us)
    return task


def entries(task: str) -> list[Entry]:
    def entry(kind: EntryType, **more: object) -> Entry:
        return Entry(type=kind, commit=COMMIT, task=task, agent="clerk", **more)  # type: ignore[arg-type]

    worker = "worker:host-1"
    return [
        entry(
            EntryType.ACTION_REQUESTED, actor=worker, private=(("arguments", {"to": CANARY}),)
        ),
        entry(
            EntryType.ACTION_DECIDED, actor=worker, decision="deny",
            reason=f"the agent is not granted read:mail/{CANARY}",
        ),
        entry(
            EntryType.APPROVAL_DENIED, actor=f"approver:{CANARY}", reason=f"{CANARY} asked",
            permission=f"read:mail/{CANARY}",
        ),
        entry(EntryType.ACTION_FAILED, actor=worker, private=(("result", CANARY),)),
        entry(EntryType.TASK_FINISHED, actor=worker, private=(("error", CANARY),)),
    ]  # fmt: skip


def erase(database: Database, *tasks: str) -> Erased:
    """Erase tasks, as the command does."""
    erased = Erased(Path("/nonexistent"))
    with database.write() as connection:
        erasure.tasks(connection, tasks, erased)
        return erasure.done(connection, erased, ORDER, 10 * DAY_US)


def verdict(database: Database) -> audit_check.Verdict:
    """What verification finds."""
    with database.read() as connection:
        return audit_check.verify(connection)


def files(home: Home) -> bytes:
    """Every byte of the SQLite file and what stands beside it."""
    return b"".join(path.read_bytes() for path in sorted(Path(home.folder).glob("orloj.db*")))
