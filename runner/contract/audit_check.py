"""Whether the log is what was written, as far as the log itself can tell.

    every row ──> number, leaf, the one form, place, copies ──> disclosures

Whoever writes the database can rewrite all of that, leaves included. What shows it is the
root of the tree, signed and kept elsewhere: see reconciler.proof.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from runner.contract import audit, audit_entry, merkle

PAGE: Final = 5_000
_COPIES: Final = ("time", "type", "task", "task_seq", "agent", "tool", "decision")
"""The fields that stand beside the bytes as well, to search by: they must say the same."""
_VERIFY = (
    "SELECT seq, raw, leaf, time, type, task, task_seq, agent, tool, decision FROM audit_entry"
    " WHERE seq > ? ORDER BY seq LIMIT ?"
)
_BEFORE_ALL: Final = -(2**63)


class Problem(NamedTuple):
    """What is wrong with an entry: the attack that it looks like, and a sentence."""

    attack: str
    sentence: str


class Page(NamedTuple):
    """Entries that follow each other and hold, by their leaves; and what is wrong after them.

    `times` are theirs, microseconds.
    """

    leaves: list[bytes]
    times: list[int]
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verification found. `bad_seq` is the first entry that does not hold.

    `head` is the root of the Merkle tree over the entries that hold, in hex.
    """

    entries: int
    head: str
    bad_seq: int | None = None
    problem: str | None = None

    @property
    def holds(self) -> bool:
        """Whether every entry is what was written."""
        return self.problem is None


def verify(connection: Connection) -> Verdict:
    """Whether the log is what was written: hashes, order, no gap, copies, disclosures."""
    tree = merkle.Frontier()
    for page in pages(connection):
        tree = tree.grown(page.leaves)
        if page.problem is not None:
            bad = tree.size + 1
            return Verdict(tree.size, tree.root.hex(), bad, page.problem.sentence)
    head = tree.root.hex()
    if problem_at := first_bad_disclosure(connection):
        problem = "a disclosed value is not the one committed to"
        return Verdict(tree.size, head, problem_at, problem)
    return Verdict(tree.size, head)


def pages(connection: Connection) -> Iterator[Page]:
    """Every entry, checked by itself, until one does not hold."""
    log, seq = audit.name(connection), 0
    while True:
        # A number below 1 sorts before all that we ever wrote, and must not be passed over.
        after = seq or _BEFORE_ALL
        rows = connection.exec_driver_sql(_VERIFY, (after, PAGE)).all()
        leaves, times = list[bytes](), list[int]()
        problem = None
        for row in rows:
            if (problem := _problem(row, seq + 1, log)) is not None:
                break
            seq += 1
            leaves.append(row[2])
            times.append(row[3])
        yield Page(leaves, times, problem)
        if problem is not None or len(rows) < PAGE:
            return


def _problem(row: Any, expected: int, log: str) -> Problem | None:
    if row[0] < expected:
        return Problem("insertion", f"an entry was put before it, under the number {row[0]}")
    if row[0] != expected:
        sentence = f"entry {expected} is missing: the next one stored is {row[0]}"
        return Problem("deletion", sentence)
    if not isinstance(row[1], bytes):
        return Problem("edit", "the entry's bytes were replaced")
    if row[2] != merkle.leaf(row[1]):
        return Problem("edit", "the entry's bytes were edited: its leaf hash differs")
    return _problem_within(audit_entry.parsed(row[1]) or {}, row, expected, log)


def _problem_within(
    fields: dict[str, Any], row: Any, expected: int, log: str
) -> Problem | None:
    if not _ours(row[1], fields):
        return Problem("edit", "the entry's bytes are not in the one form that we write")
    if fields.get("seq") != expected:
        sentence = "the entry says another sequence number: entries were moved"
        return Problem("reordering", sentence)
    if fields.get("v") != 1 and fields.get("log") != log:
        return Problem("insertion", "the entry was written in another log")
    # A filter looks at the copies: an edited one would hide an entry that still verifies.
    for name, copy in zip(_COPIES, row[3:], strict=True):
        if fields.get(name) != copy:
            return Problem("edit", f"the copy of its {name} that filters look at was edited")
    return None


def _ours(raw: bytes, fields: dict[str, Any]) -> bool:
    """Whether bytes are the only ones for their fields: a key given twice has two readings."""
    try:
        return audit_entry.encoded(fields) == raw
    except ValueError:
        return False


def first_bad_disclosure(connection: Connection) -> int | None:
    """The first entry beside which another value stands than it commits to."""
    rows = connection.exec_driver_sql(
        "SELECT d.seq, d.field, d.salt, d.value, e.raw FROM disclosure d"
        " LEFT JOIN audit_entry e ON e.seq = d.seq ORDER BY d.seq"
    )
    for seq, field, salt, value, raw in rows:
        if not _disclosed(raw, field, salt, value):
            return int(seq)
    return None


def _disclosed(raw: object, field: object, salt: object, value: object) -> bool:
    """Whether a value is the one that an entry commits to; other types are not ours."""
    private = (audit_entry.parsed(raw) or {}).get("private")
    return (
        isinstance(private, dict)
        and isinstance(field, str)
        and isinstance(salt, bytes)
        and isinstance(value, str)
        and private.get(field) == audit_entry.commitment(salt, field, value)
    )
