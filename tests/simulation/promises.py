"""What may never happen, said twice: in triggers of the database, and beside it.

The triggers refuse, at the very statement, a state that may not follow another one, a fence
that does not grow by a claim or moves without one, and a finished step that changes. They
also write down every move, so that the log can be compared with it.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Set
from itertools import product
from typing import Any, Final

from runner.claim import Offer
from runner.contract import merkle

WAITING: Final = ("pending", "backing_off", "unknown_outcome")
ENDS: Final = ("succeeded", "failed", "dead")
SETTLED: Final = (*ENDS, "cancelled", "dropped")

ENTRY_OF: Final[dict[tuple[str, str], str | None]] = {
    ("pending", "leased"): "task.claimed",
    ("pending", "failed"): "task.finished",
    ("backing_off", "pending"): None,
    ("unknown_outcome", "pending"): "task.resolved",
    **{("leased", state): "task.finished" for state in ENDS},
    **{("leased", state): "task.released" for state in WAITING},
    **{(state, "cancelled"): "task.cancelled" for state in (*WAITING, "leased")},
    **{(state, "dropped"): "task.dropped" for state in ("failed", "dead")},
    **{
        (before, after): "task.retried"
        for before, after in product(
            ("failed", "dead", "cancelled", "dropped"), ("pending", "unknown_outcome")
        )
    },
}
"""Every move that a task may make, and the entry that says so. What is not here may not be."""

_MOVES = " OR ".join(f"(OLD.state = '{old}' AND NEW.state = '{new}')" for old, new in ENTRY_OF)
_FINISHED = "(OLD.phase IN ('done', 'denied') OR (OLD.phase = 'failed' AND OLD.kind = 'tool'))"
_HOLDER = "SELECT 1 FROM task WHERE id = NEW.task_id AND fence = NEW.fence AND state = 'leased'"

TRIGGERS: Final = f"""
CREATE TABLE moved (n INTEGER PRIMARY KEY, task, old, new, fence, run_at);
CREATE TRIGGER moves AFTER UPDATE OF state ON task WHEN OLD.state <> NEW.state BEGIN
  SELECT RAISE(ABORT, 'promise: a task moved where no edge leads')
    WHERE NOT ({_MOVES});
  INSERT INTO moved (task, old, new, fence, run_at)
    VALUES (NEW.id, OLD.state, NEW.state, NEW.fence, OLD.run_at);
END;
CREATE TRIGGER fences AFTER UPDATE ON task BEGIN
  SELECT RAISE(ABORT, 'promise: a claim whose fence did not grow')
    WHERE NEW.state = 'leased' AND OLD.state <> 'leased' AND NEW.fence <= OLD.fence;
  SELECT RAISE(ABORT, 'promise: a fence moved without a claim')
    WHERE NOT (NEW.state = 'leased' AND OLD.state <> 'leased') AND NEW.fence <> OLD.fence;
  SELECT RAISE(ABORT, 'promise: a lease was taken from its holder')
    WHERE OLD.state = 'leased' AND NEW.state = 'leased' AND OLD.holder IS NOT NEW.holder;
  SELECT RAISE(ABORT, 'promise: a holder of a task that is not leased')
    WHERE (NEW.state = 'leased') <> (NEW.holder IS NOT NULL);
END;
CREATE TRIGGER late_intents AFTER INSERT ON step BEGIN
  SELECT RAISE(ABORT, 'promise: a late holder began a step')
    WHERE NOT EXISTS ({_HOLDER});
END;
CREATE TRIGGER late_results AFTER UPDATE ON step BEGIN
  SELECT RAISE(ABORT, 'promise: a late holder wrote on a step') WHERE NOT EXISTS ({_HOLDER})
    AND (SELECT state FROM task WHERE id = NEW.task_id) <> 'unknown_outcome';
END;
CREATE TRIGGER late_ends AFTER UPDATE OF ended_at ON attempt BEGIN
  SELECT RAISE(ABORT, 'promise: a late holder ended a task')
    WHERE NEW.fence <> (SELECT fence FROM task WHERE id = NEW.task_id);
  SELECT RAISE(ABORT, 'promise: a claim ended twice') WHERE OLD.ended_at IS NOT NULL;
END;
CREATE TRIGGER journal AFTER UPDATE ON step WHEN {_FINISHED} BEGIN
  SELECT RAISE(ABORT, 'promise: a finished step was written again');
END;
CREATE TRIGGER forgotten AFTER DELETE ON step WHEN OLD.phase <> 'begun' BEGIN
  SELECT RAISE(ABORT, 'promise: a step that was not open was forgotten');
END;
"""

_LINE: Final = (
    "SELECT id, state, priority, namespace || '/' || subject_kind || '/' || subject_name,"
    " json_extract(requirements, '$.region'), crashes FROM task"
    " WHERE state IN ('pending', 'leased') ORDER BY id"
)


class Broken(AssertionError):
    """A promise was broken."""


def promise(kept: bool, said: str) -> None:
    """Stop the world when a promise is not kept."""
    if not kept:
        raise Broken(said)


def in_turn(
    database: sqlite3.Connection,
    claimed: Set[str],
    busy: Counter[str],
    offer: Offer,
    crashes_max: int,
) -> None:
    """Nobody was passed over who comes first: by priority, then in rounds, then by age."""
    if not claimed:
        return
    line = database.execute(_LINE).fetchall()
    taken = [row for row in line if row[0] in claimed]
    turns: Counter[tuple[int, str]] = Counter()
    last, first = (-1, 0, ""), (99, 0, "")
    for id, state, priority, subject, region, crashes in line:
        elsewhere = region is not None and region != offer.region
        if id not in claimed and (state != "pending" or elsewhere):
            continue
        turn = busy[subject] + turns[priority, subject]
        turns[priority, subject] += 1
        if id in claimed:
            last = max(last, (priority, turn, id))
        elif crashes < crashes_max - 1:  # On its last chance it waits for an idle worker.
            # What its subject was given just now, since it is more urgent, may count or not.
            turn += sum(row[3] == subject and row[2] < priority for row in taken)
            first = min(first, (priority, turn, id))
    promise(last < first, "a task was passed over that comes first")


class Record:
    """Reads on in the log and in the moves, and holds each against the other."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._moves = 0
        self._entries = _count(database)

    def check(self) -> list[Any]:
        """What moved since the last look: task, old state, new state, fence, run_at."""
        moved = self._database.execute(
            "SELECT task, old, new, fence, run_at FROM moved WHERE n > ? ORDER BY n",
            (self._moves,),
        ).fetchall()
        self._moves += len(moved)
        told: defaultdict[str, list[str]] = defaultdict(list)
        for seq, raw, leaf, kind, task in self._database.execute(
            "SELECT seq, raw, leaf, type, task FROM audit_entry WHERE seq > ? ORDER BY seq",
            (self._entries,),
        ):
            promise(seq == self._entries + 1, "the log has a gap")
            self._entries = seq
            promise(leaf == merkle.leaf(raw), "a leaf is not that of its entry")
            if task is not None and kind.startswith("task.") and kind != "task.queued":
                told[task].append(kind)
        happened: defaultdict[str, list[str]] = defaultdict(list)
        for task, old, new, _, _ in moved:
            kind = ENTRY_OF[old, new]
            if kind is not None:
                happened[task].append(kind)
        promise(happened == told, f"the log tells {dict(told)}, but it was {dict(happened)}")
        return moved


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(max(seq), 0) FROM audit_entry").fetchone()[0])
