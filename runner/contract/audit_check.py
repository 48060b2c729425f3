"""Whether the log is what was written, as far as the log itself can tell.

    every row ──> number, leaf, the one form, place, copies ──> disclosures

Whoever writes the database can rewrite all of that, leaves included. What shows it is the
root of the tree, signed and kept elsewhere: see reconciler.proof.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pydantic_core import from_json
from sqlalchemy import Connection

from runner.contract import audit, audit_entry, disclosures, merkle, persons
from runner.contract.database import dialect

PAGE: Final = 5_120
SEQ_MAX: Final = 2**62
_COPIES: Final = ("time", "type", "task", "task_seq", "agent", "tool", "decision")
"""The fields that stand beside the bytes as well, to search by: they must say the same."""
_VERIFY = (
    "SELECT seq, raw, leaf, time, type, task, task_seq, agent, tool, decision FROM audit_entry"
    " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
_CLOSING: Final = frozenset(type.value for type in audit_entry.CLOSING)
_BEFORE_ALL: Final = -(2**63)


class Problem(NamedTuple):
    """What is wrong with an entry: the attack that it looks like, and a sentence."""

    attack: str
    sentence: str


class Page(NamedTuple):
    """Entries that follow each other and hold, by their leaves; and what is wrong after them.

    `times` are theirs, microseconds. `beside` are the numbers of those that commit to what
    stands beside the log, and so have to be held against it.
    """

    leaves: list[bytes]
    times: list[int]
    beside: list[int]
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
    tree, beside = merkle.Frontier(), array("q")
    for page in pages(connection):
        tree = tree.grown(page.leaves)
        beside.extend(page.beside)
        if page.problem is not None:
            bad = tree.size + 1
            return Verdict(tree.size, tree.root.hex(), bad, page.problem.sentence)
    head = tree.root.hex()
    if undisclosed := disclosures.first_bad(connection, beside):
        return Verdict(tree.size, head, *undisclosed)
    return Verdict(tree.size, head)


def pages(
    connection: Connection, after: int = 0, until: int = SEQ_MAX, signed: int = 0
) -> Iterator[Page]:
    """The entries after one up to another, checked by themselves, until one does not hold.

    Of the first `signed` entries the caller compares the root with one that the log's key has
    signed: that they are in the one form need not be found out again.
    """
    log, seq = audit.name(connection), after
    people = frozenset(persons.names(connection))
    while True:
        # A number below 1 sorts before all that we ever wrote, and must not be passed over.
        rows = dialect.rows(connection, _VERIFY, (seq or _BEFORE_ALL, until, PAGE))
        first, beside = seq, list[int]()
        seq += _holding(rows, seq, _Of(log, people, signed), beside)
        held = rows[: seq - first]
        leaves, times = [row[2] for row in held], [row[3] for row in held]
        problem = None
        if len(held) < len(rows):
            problem = _problem(rows[len(held)], seq + 1, log)
        yield Page(leaves, times, beside, problem)
        if problem is not None or len(rows) < PAGE:
            return


class _Of(NamedTuple):
    """What entries are held against: the log they are of, and the people that are known.

    The first `signed` of them need not be in the one form.
    """

    log: str
    people: frozenset[str]
    signed: int


def _holding(rows: Sequence[Any], seq: int, of: _Of, beside: list[int]) -> int:  # noqa: C901
    """How many of these rows hold, one after the other. Written out: a million pass here."""
    count = 0
    for at, raw, leaf, time, type, task, task_seq, agent, tool, decision in rows:
        seq += 1
        if at != seq or not isinstance(raw, bytes) or leaf != merkle.leaf(raw):
            break
        fields = _read(raw) if seq <= of.signed else _read_strictly(raw)
        if fields is None or (fields.get("log") != of.log and fields.get("v") != 1):
            break
        get = fields.get
        if get("seq") != seq or get("time") != time or get("type") != type:
            break
        if get("task") != task or get("task_seq") != task_seq or get("agent") != agent:
            break
        if get("tool") != tool or get("decision") != decision:
            break
        if type in _CLOSING and get("entries") != task_seq and get("v") != 1:
            break
        if "private" in fields or _stranger(get("actor"), of.people):
            beside.append(seq)
        count += 1
    return count


def _stranger(actor: Any, people: frozenset[str]) -> bool:
    """Whether an actor is a pseudonym that nobody is known by."""
    known = not isinstance(actor, str) or actor in people
    return not known and actor.startswith(persons.PREFIX)


def _problem(row: Any, expected: int, log: str) -> Problem:
    """What is wrong with an entry that does not hold."""
    seq, raw = row[0], row[1]
    if seq < expected:
        return Problem("insertion", f"an entry was put before it, under the number {seq}")
    if seq != expected:
        return Problem("deletion", f"entry {expected} is missing: the next one stored is {seq}")
    if not isinstance(raw, bytes):
        return Problem("edit", "the entry's bytes were replaced")
    if row[2] != merkle.leaf(raw):
        return Problem("edit", "the entry's bytes were edited: its leaf hash differs")
    if (fields := _read_strictly(raw)) is None:
        return Problem("edit", "the entry's bytes are not in the one form that we write")
    if fields.get("seq") != expected:
        return Problem(
            "reordering", "the entry says another sequence number: entries were moved"
        )
    return _problem_within(fields.get, row, log)


def _problem_within(field: Callable[[str], Any], row: Any, log: str) -> Problem:
    if field("log") != log and field("v") != 1:
        return Problem("insertion", "the entry was written in another log")
    # A filter looks at the copies: an edited one would hide an entry that still verifies.
    for name, copy in zip(_COPIES, row[3:], strict=True):
        if field(name) != copy:
            return Problem("edit", f"the copy of its {name} that filters look at was edited")
    if row[4] in _CLOSING and field("entries") != field("task_seq") and field("v") != 1:
        said, number = field("entries"), field("task_seq")
        return Problem(
            "deletion",
            f"it ends its task and says {said} entries, and is number {number} of it",
        )
    raise AssertionError("an entry that holds was taken for one that does not")


def _read(raw: bytes) -> dict[str, Any] | None:
    """The fields of an entry, quickly."""
    try:
        value = from_json(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read_strictly(raw: bytes) -> dict[str, Any] | None:
    """The same, if the bytes are the only ones for them: a key given twice has two readings."""
    fields = audit_entry.parsed(raw)
    try:
        return fields if fields and audit_entry.encoded(fields) == raw else None
    except ValueError:
        return None
