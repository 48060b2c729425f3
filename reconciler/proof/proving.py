"""Makes the proof of one entry from the stored log and a checkpoint that was signed over it."""

from typing import Final

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys, note, policy
from reconciler.proof.checkpoints import Stored
from reconciler.proof.inclusion import Tree
from reconciler.proof.policy import Policy
from reconciler.proof.proof_file import Proof
from runner.contract import audit, errors

_RAW: Final = "SELECT raw FROM audit_entry WHERE seq = ?"


def proof_of(connection: Connection, seq: int, asked: Policy | None) -> Proof:
    """The proof of an entry; NotFound while no checkpoint covers it, AuditBroken."""
    stored = covering(connection, seq, asked)
    known = [one.key for one in keys.known(connection)]
    said = checkpoints.trusted(stored, known, audit.name(connection))
    raw = connection.exec_driver_sql(_RAW, (seq,)).scalar_one_or_none()
    tree = Tree(connection, said.size)
    made = Proof(
        b"" if raw is None else bytes(raw),
        seq - 1,
        tuple(tree.path(seq - 1)),
        note.parse(stored.note),
    )
    if not made.entry or made.holds() is None:
        raise errors.AuditBroken(
            f"the first {said.size} entries of the audit log are not those that were signed;"
            " run `orloj audit verify`"
        )
    return made


def covering(connection: Connection, seq: int, asked: Policy | None) -> Stored:
    """The smallest checkpoint over an entry that meets the policy, else the smallest of all."""
    smallest = checkpoints.covering(connection, seq)
    if smallest is None:
        size = audit.end(connection)[0]
        if seq > size:
            raise errors.NotFound(f"the audit log has {size} entries, and no entry {seq}")
        raise errors.NotFound(
            f"no checkpoint covers entry {seq} yet: `orloj daemon` signs one within seconds;"
            " start it, or try again"
        )
    newest = checkpoints.newest(connection)
    assert newest is not None
    if asked is not None:
        for stored in checkpoints.between(connection, smallest.size, newest.size):
            if policy.satisfied(note.parse(stored.note), asked):
                return stored
    return smallest
