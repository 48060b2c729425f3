"""What of the log is signed and published, read for the status."""

from sqlalchemy import Connection

from reconciler.proof import checkpoints, remote, troubles
from reconciler.proof.covered import Covered, Head, Standing
from runner.contract import audit
from runner.contract.settings import Settings

_TIME = "SELECT time FROM audit_entry WHERE seq = ?"


def covered(connection: Connection, settings: Settings, now_us: int) -> Covered:
    """Where the log stands now, as the database says."""
    place = remote.place(settings) if settings.audit.publish else None
    signed, shown = checkpoints.newest(connection), None
    if place is not None and (taken := checkpoints.taken(connection, place.shown)) is not None:
        shown = Head(taken.size, taken.published_at)
    first_open = (shown.size if shown else 0) + 1
    return Covered(
        entries=audit.end(connection)[0],
        now_us=now_us,
        signed=None if signed is None else Head(signed.size, signed.signed_at),
        published=shown,
        remote=None if place is None else place.shown,
        oldest_open_at=connection.exec_driver_sql(_TIME, (first_open,)).scalar_one_or_none(),
        troubles=[
            Standing(one.part.value, one.reason, one.message, one.since_at)
            for one in troubles.standing(connection).values()
        ],
    )
