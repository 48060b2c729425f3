"""The walk of an entry that belongs to no task: its commit, the apply of it, and its proof."""

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.why import applied, manifest, proof
from reconciler.why.applied import Applied
from reconciler.why.entries import Logged
from reconciler.why.manifest import Held, Line
from reconciler.why.proof import Proof
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.settings import DEFAULT_SOURCE, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """An entry, the commit it happened under, and the line that it names, if any."""

    entry: Logged
    commit: str
    held: Held | None
    rule: Line | None
    applied: Applied | None
    proof: Proof
    faults: tuple[str, ...]


def lone(connection: Connection, settings: Settings, entry: Logged) -> Lone:
    """The walk of one entry."""
    commit = entry.text("commit") or NO_COMMIT
    names = (DEFAULT_SOURCE, *settings.followed)
    done = None if commit == NO_COMMIT else applied.of_commit(connection, names, commit)
    held = manifest.holder(settings, (done.record.source,) if done else (), commit)
    rule = entry.text("rule")
    seqs = [entry.seq, *([done.entry.seq] if done and done.entry else [])]
    return Lone(
        entry=entry,
        commit=commit,
        held=held,
        rule=manifest.line(held, rule) if held and rule else None,
        applied=done,
        proof=proof.proof(connection, seqs),
        faults=tuple(dict.fromkeys((*entry.faults, *(done.faults if done else ())))),
    )
