"""Keeps the log provable: signs what was added, and only what fits what was signed before.

    verified checkpoint ──frontier──> bytes since then, hashed anew ──> blocks, new checkpoint

What is urgent (`urgency`) does not wait, as long as nothing was signed in the last 2 s.
Nothing is signed that does not go on from the newest checkpoint: a log that was cut, or put
back to an old copy, or whose last entries were exchanged, stops the keeper with AuditBroken
until a person has looked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys, urgency
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.growth import BLOCK, Growth
from reconciler.proof.note import Note, VerifierKey
from runner.contract import audit, errors, merkle
from runner.contract.database import Database, dialect
from runner.contract.merkle import Frontier
from runner.contract.settings import Settings

SIGN_ENTRIES: Final = 64
SIGN_US: Final = 2_000_000
_PAGE: Final = 8 * BLOCK
_AT_ONCE: Final = 32 * _PAGE
"""Entries that one transaction signs: a log that was never signed must not stop who writes."""
_RAW = "SELECT seq, raw FROM audit_entry WHERE seq > ? ORDER BY seq LIMIT ?"
_BLOCKS = "SELECT root FROM audit_subtree WHERE number < ? ORDER BY number"
_ADD_BLOCK = "INSERT INTO audit_subtree (number, root) VALUES (?, ?) ON CONFLICT DO NOTHING"

Now = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was just signed."""

    checkpoint: Checkpoint
    note: Note


class Keeper:
    """Signs the log of one home; one at a time does, the daemon that leads."""

    def __init__(self, settings: Settings, database: Database, now: Now) -> None:
        self._settings, self._database, self._now_us = settings, database, now
        self._tree: Growth | None = None
        self._open_since_us: int | None = None

    def step(self, *, at_once: bool = False) -> Signed | None:
        """Sign what was added, once it is much or old enough; what was signed.

        AuditBroken when the log does not go on from what was signed before; SettingsInvalid
        when there is no key that may sign.
        """
        now_us = self._now_us()
        with self._database.read() as connection:
            size, signed = audit.end(connection)[0], checkpoints.newest(connection)
            before = 0 if signed is None else signed.size
            urgent = urgency.urgent(connection, before, size)
        if size < before:
            raise errors.AuditBroken(
                f"the audit log has {size} entries, and {before} were signed: its end was"
                " cut off, or the database was put back to an older copy"
            )
        if size == before:
            self._open_since_us = None
            return None
        if self._open_since_us is None:
            self._open_since_us = now_us
        old = now_us - self._open_since_us >= SIGN_US
        rested = signed is None or now_us - signed.signed_at >= SIGN_US
        due = at_once or size - before >= SIGN_ENTRIES or old or (urgent and rested)
        return self._sign_up_to(size, now_us) if due else None

    def _sign_up_to(self, size: int, now_us: int) -> Signed:
        while True:
            found = self._sign(now_us)
            if found.checkpoint.size >= size:
                return found

    def _sign(self, now_us: int) -> Signed:
        with self._database.write() as connection:
            dialect.alone(connection, dialect.LOG)
            log = audit.name(connection)
            key = keys.current(self._settings, connection, log)
            known = [one.key for one in keys.admit(connection, key, now_us)]
            tree = self._at_last_checkpoint(connection, known, log)
            limit = tree.size + _AT_ONCE
            while tree.size < limit:
                page = connection.exec_driver_sql(_RAW, (tree.size, _PAGE)).all()
                if not page:
                    break
                tree, filled = tree.grown(_leaves(tree.size, page, len(page)))
                if filled:
                    connection.exec_driver_sql(_ADD_BLOCK, filled)
            said = Checkpoint(log, tree.size, tree.root)
            signed = Note(said.text, (key.sign(said.text),))
            checkpoints.add(connection, said.size, signed, now_us)
        self._tree, self._open_since_us = tree, None
        return Signed(said, signed)

    def _at_last_checkpoint(
        self, connection: Connection, known: list[VerifierKey], log: str
    ) -> Growth:
        """The tree that was signed last, found again in what is stored; AuditBroken."""
        newest = checkpoints.newest(connection)
        if newest is None:
            return Growth()
        said = checkpoints.trusted(newest, known, log)
        if self._tree is None or self._tree.size != said.size:
            self._tree = stored(connection, said.size)
        if self._tree.root != said.root:
            raise errors.AuditBroken(
                f"the first {said.size} entries of the audit log are not those that were"
                " signed; run `orloj audit verify`"
            )
        return self._tree


def stored(connection: Connection, size: int) -> Growth:
    """The tree of the first `size` entries, from the roots of blocks and the bytes after them.

    AuditBroken when an entry is missing.
    """
    roots = connection.exec_driver_sql(_BLOCKS, (size // BLOCK,)).scalars()
    tree = Growth(Frontier().grown(roots))
    while tree.size < size:
        limit = min(_PAGE, size - tree.size)
        page = connection.exec_driver_sql(_RAW, (tree.size, limit)).all()
        tree, _ = tree.grown(_leaves(tree.size, page, limit))
    return tree


def _leaves(after: int, page: Sequence[Any], count: int) -> list[bytes]:
    """The leaf hashes of the entries that must come next; AuditBroken."""
    if [row[0] for row in page] != list(range(after + 1, after + 1 + count)):
        raise errors.AuditBroken(
            f"an entry after {after} of the audit log is missing; run `orloj audit verify`"
        )
    return [merkle.leaf(bytes(row[1])) for row in page]
