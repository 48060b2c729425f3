"""Faults to be built into a copy of the runner, so that the simulation can be seen to fail.

Each is one exact edit of one module. A text that is not found once is an error: a fault that
was not built in proves nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Fault:
    """What is wrong, in which module, and the text that becomes another."""

    name: str
    module: str
    before: str
    after: str

    def build_in(self, copy: Path) -> None:
        """Edit the module in a copy of the program."""
        path = copy / self.module
        text = path.read_text(encoding="utf-8")
        found = text.count(self.before)
        assert found == 1, f"{self.name}: its text stands {found} times in {self.module}"
        path.write_text(text.replace(self.before, self.after), encoding="utf-8")


QUEUE: Final = "runner/queue.py"
LEDGER: Final = "runner/ledger.py"
JOURNAL: Final = "runner/journal.py"
DECISIONS: Final = "runner/decisions.py"

FAULTS: Final = (
    Fault(
        "a task is ended without a look at the fence",
        QUEUE,
        'lease_until = NULL WHERE {_HELD}"',
        "lease_until = NULL WHERE id = ? AND ? > 0 AND state = 'leased'\"",
    ),
    Fault(
        "a step is begun without a look at the fence",
        QUEUE,
        'f" WHERE {_HELD} /* lock */"',
        "\" WHERE id = ? AND ? > 0 AND state = 'leased' /* lock */\"",
    ),
    Fault(
        "a step is ended without a look at the task",
        QUEUE,
        "EXISTS (SELECT 1 FROM task WHERE {_HELD}",
        "EXISTS (SELECT 1 FROM task WHERE (id = ? OR fence = ?)",
    ),
    Fault(
        "a lease is taken back before it has run out",
        QUEUE,
        "AND lease_until <= ? ORDER BY lease_until",
        "AND ? > 0 ORDER BY lease_until",
    ),
    Fault(
        "a dispatcher that starts takes back what other hosts hold",
        QUEUE,
        "(CAST(? AS TEXT) IS NULL OR lease_host = ?)",
        "(? = ?)",
    ),
    Fault(
        "whoever had a cancelled task may write on",
        QUEUE,
        "_HELD = \"id = ? AND fence = ? AND state = 'leased'\"",
        '_HELD = "id = ? AND fence = ?"',
    ),
    Fault(
        "what ran out of tries is claimed again",
        "runner/endings.py",
        "if run_at is None:",
        "if run_at is None and held.attempt > 5:",
    ),
    Fault(
        "the fence stays the same at a second claim",
        LEDGER,
        "fence=task.fence + 1,",
        "fence=max(task.fence, 1),",
    ),
    Fault(
        "whatever its state, a task whose time has come is pending",
        QUEUE,
        '" WHERE {_PARKED} AND run_at <= ? ORDER BY run_at',
        '" WHERE run_at <= ? ORDER BY run_at',
    ),
    Fault(
        "a wait is over before its time",
        QUEUE,
        '" WHERE {_PARKED} AND run_at <= ? ORDER BY run_at',
        '" WHERE {_PARKED} AND ? > 0 ORDER BY run_at',
    ),
    Fault(
        "a crash in the middle of a call is forgotten",
        LEDGER,
        "\n        interrupted = self.journal.interrupted(held)\n        crashes",
        "\n        interrupted = None\n        crashes",
    ),
    Fault(
        "running out of time in the middle of a call is forgotten",
        LEDGER,
        "            interrupted = self.journal.interrupted(held)\n            if",
        "            interrupted = None\n            if",
    ),
    Fault(
        "every tool is taken for idempotent",
        JOURNAL,
        "return tool is not None and tool.spec.idempotent",
        "return True",
    ),
    Fault(
        "a crash is not counted",
        LEDGER,
        "crashes = held.crashes + 1 if crashed else held.crashes",
        "crashes = held.crashes",
    ),
    Fault(
        "a renewal does not move the lease",
        QUEUE,
        '"UPDATE task SET lease_until = ? WHERE holder',
        '"UPDATE task SET lease_until = min(lease_until, ?) WHERE holder',
    ),
    Fault(
        "what was rolled back stands in the log",
        LEDGER,
        '        """Drop what a transaction that did not come about has left here."""\n'
        "        self._entries.clear()\n",
        '        """Drop what a transaction that did not come about has left here."""\n',
    ),
    Fault(
        "an end is not logged",
        LEDGER,
        "self._entries.append(endings.ended(held, ending))",
        "assert ending",
    ),
    Fault(
        "turns are not counted",
        "runner/claim.py",
        "(busy.get(subject, 0) + place, id)",
        "(0, id)",
    ),
    Fault(
        "the least urgent comes first",
        "runner/queue.py",
        '" ORDER BY level"',
        '" ORDER BY level DESC"',
    ),
    Fault(
        "a retry by hand forgets an open call",
        DECISIONS,
        "        if call is not None:\n            state = TaskState.UNKNOWN_OUTCOME",
        "        if call is not None and task.fence < 0:\n"
        "            state = TaskState.UNKNOWN_OUTCOME",
    ),
    Fault(
        "a call that ran is made again",
        DECISIONS,
        "\"UPDATE step SET phase = 'done', result = ?, finished_at = ?\"",
        "\"UPDATE step SET phase = 'begun', result = ?, finished_at = ?\"",
    ),
    Fault(
        "a commit in doubt stands when any entry does",
        "runner/contract/audit.py",
        "return found == mark[1]",
        "return found is not None",
    ),
    Fault(
        "a finished task may be cancelled",
        DECISIONS,
        "frozenset(TaskState) - FINISHED",
        "frozenset(TaskState)",
    ),
)
