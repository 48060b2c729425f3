"""The entry about a note: what an agent's turn came to without a call. Pure."""

from typing import Any

from runner.claim import Held, entry
from runner.contract.audit_entry import Entry, EntryType
from runner.manifest_set import PlacedAgent


def entry_of(held: Held, message: dict[str, Any], agent: PlacedAgent) -> Entry:
    """The entry, with the line of the manifest that wants it so."""
    note = message["note"]
    facts = {name: note[name] for name in ("tool", "outcome", "reason")}
    private: tuple[tuple[str, Any], ...] = (("result", note["result"]),)
    if note["tool"] is not None:
        private = (("arguments", note["request"]["arguments"]), *private)
    return entry(
        EntryType(f"turn.{note['name']}"),
        held,
        **facts,
        step=message["step"],
        agent=message["agent"],
        rule=agent.at(f"/spec/execution/{note['field']}"),
        private=private,
    )
