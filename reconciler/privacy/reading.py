"""That somebody read the log is an entry too: who, with which command and filter, how much.

One for each command of a person. What the machine reads for itself is not noted, and the
entry about a reading is written after it, so that a reading does not find itself.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from runner.contract import audit
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType


def note(
    connection: Connection,
    actor: str,
    command: str,
    filters: Mapping[str, object],
    *,
    seqs: tuple[int, int] | None,
    now_us: int,
) -> None:
    """Write down that entries were read, from the first to the last that were shown."""
    asked = {name: value for name, value in filters.items() if value is not None}
    shown = {} if seqs is None else {"first": seqs[0], "last": seqs[1]}
    entry = Entry(
        type=EntryType.ACCESS_READ,
        actor=actor,
        commit=NO_COMMIT,
        outcome=command,
        private=(("read", {"filters": asked, **shown}),),
    )
    audit.append(connection, [entry], now_us)
