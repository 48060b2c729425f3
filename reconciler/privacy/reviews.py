"""Reviews of the log: who looked at what period, when, and what they found.

A review is an entry, bound to the size and root of the log that the reviewer had before
them. An SSH signature over its statement shows who it was without our word for it.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Literal

from sqlalchemy import Connection

from reconciler.privacy.record import Reviewed, Statement
from runner.contract import audit, audit_check, errors
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType

SIGNATURE_NAMESPACE: Final = "orloj-review"
Outcome = Literal["ok", "findings"]


def stated(
    connection: Connection,
    period: tuple[int, int],
    outcome: Outcome,
    reviewer: str,
    note: str,
) -> Statement:
    """The statement about a period of the log as it is now; Refused where it does not hold."""
    since_us, until_us = period
    if since_us >= until_us:
        raise errors.Refused("a period ends after it begins: give --from before --to")
    verdict = audit_check.verify(connection)
    if not verdict.holds and outcome == "ok":
        raise errors.Refused(
            f"the log does not hold: entry {verdict.bad_seq}: {verdict.problem}; a review of it"
            " has the outcome findings"
        )
    return Statement(
        *(audit.name(connection), since_us, until_us, verdict.entries, verdict.head),
        *(outcome, reviewer, note),
    )


def add(
    connection: Connection,
    statement: Statement,
    actor: str,
    signature: str | None,
    now_us: int,
) -> int:
    """Write a review down; the number of its entry."""
    entry = Entry(
        type=EntryType.ACCESS_REVIEWED,
        actor=actor,
        commit=NO_COMMIT,
        outcome=statement.outcome,
        digest=f"sha256:{statement.root}",
        private=(
            ("statement", statement.raw.decode()),
            *((("signature", signature),) if signature else ()),
        ),
    )
    end = audit.append(connection, [entry], now_us)
    assert end is not None
    return end[0]


def listed(connection: Connection) -> list[Reviewed]:
    """The reviews that the log has, oldest first; those that were erased without statement."""
    found = []
    for stored in audit.read(connection, type_prefix=EntryType.ACCESS_REVIEWED.value):
        values: dict[str, str] = dict(
            connection.exec_driver_sql(
                "SELECT field, value FROM disclosure WHERE seq = ?", (stored.seq,)
            ).all()
        )
        text = values.get("statement")
        fields: dict[str, Any] = stored.fields
        signature = values.get("signature")
        found.append(
            Reviewed(
                seq=stored.seq,
                time_us=fields["time"],
                actor=fields["actor"],
                outcome=str(fields.get("outcome")),
                statement=None if text is None else Statement(**json.loads(json.loads(text))),
                signature=None if signature is None else json.loads(signature),
            )
        )
    return found


def gaps(
    found: Sequence[Reviewed], every_us: int, since_us: int, now_us: int
) -> list[tuple[int, int]]:
    """The times without a review for longer than a cadence allows."""
    moments = sorted({since_us, now_us, *(one.time_us for one in found)})
    pairs = pairwise(moments)
    return [(one, other) for one, other in pairs if other - one > every_us]
