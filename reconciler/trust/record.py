"""Who vouched for each revision, as rows beside it: what an auditor asks, and the next pass.

Plain statements over the caller's connection; nothing here opens a transaction.
"""

import json
from typing import Final

from sqlalchemy import Connection

from reconciler.change import Provenance, Target

_WRITE: Final = (
    "INSERT INTO revision_provenance (serial, source, commit_sha, signature, signer,"
    " signer_key, reviewers, trailers, remarks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_READ: Final = (
    "SELECT signature, signer, signer_key, reviewers, trailers, remarks"
    " FROM revision_provenance WHERE source = ? AND commit_sha = ?"
    " ORDER BY serial DESC LIMIT 1"
)


def write(connection: Connection, target: Target, serial: int) -> None:
    """Keep who vouches for the revision that a plan's target becomes at a serial."""
    found = target.provenance
    connection.exec_driver_sql(
        _WRITE,
        (serial, target.source, target.commit, found.signature, found.signer, found.key)
        + (_text(found.reviewers), _text(found.trailers), _text(found.remarks)),
    )


def read(connection: Connection, source: str, commit: str | None) -> Provenance | None:
    """Who vouched for a commit when it was applied last; None if nobody asked then."""
    row = connection.exec_driver_sql(_READ, (source, commit)).first()
    if row is None:
        return None
    reviewers, trailers, remarks = (json.loads(text) for text in row[3:])
    return Provenance(
        signature=row[0],
        signer=row[1],
        key=row[2],
        reviewers=tuple(reviewers),
        trailers=tuple((name, value) for name, value in trailers),
        remarks=tuple(remarks),
    )


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
