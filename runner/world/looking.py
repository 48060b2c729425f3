"""One look at the world: what is declared, what is there; what is new is kept.

    resources ──> aspects ──> here, addresses ──> observations ──differs──> kept

Nothing is held while it looks: the database is read before and written after, and only when
something is new, is another, or is not declared any more.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from runner.contract import kinds, observations, service
from runner.contract.database import Database, dialect
from runner.contract.errors import Refused
from runner.contract.kinds import Key
from runner.contract.settings import Settings
from runner.world import addresses
from runner.world.answered import ANSWERED
from runner.world.aspects import Aspect, Look, aspects
from runner.world.here import Here

ASPECTS_MAX: Final = 5_000
_OF_RUNNER: Final = (Look.VARIABLE, Look.FILE, Look.SEALING_KEY)


def look(
    database: Database,
    settings: Settings,
    now_us: int,
    *,
    connect: bool,
    here: Here | None = None,
) -> None:
    """
    See what is there, and keep what is new; with `connect`, also whether addresses answer.

    `here` is the runner's own eye. Without one somebody else looks, whose environment is not
    the runner's: what the runner saw of its secrets stays.
    """
    host = service.host_id(settings.home) if database.shared else ""
    with database.read() as connection:
        declared = list(_declared(connection))[:ASPECTS_MAX]
        known = [item for item in observations.read(connection) if item.host == host]
    have = {item.place for item in known}
    places = {(host, item.subject, item.name): item for item in declared}
    eye = here or Here(settings)
    seen = {
        place: eye.found(item)
        for place, item in places.items()
        if item.look is not Look.ADDRESS
        if here is not None or item.look not in _OF_RUNNER or place not in have
    }
    if connect:
        reached = addresses.found(i for i in declared if i.look is Look.ADDRESS)
        seen |= {(host, item.subject, item.name): text for item, text in reached}
    subjects = {item.subject for item in declared}
    gone = [
        place
        for place in have - places.keys()
        if not (place[2].startswith(ANSWERED) and place[1] in subjects)
    ]
    changed = observations.fresh(known, seen.items(), now_us)
    if changed or gone:
        with database.write() as connection:
            observations.write(connection, changed, gone)


def _declared(connection: Connection) -> Iterator[Aspect]:
    """What the recorded resources rely on; one that was edited relies on nothing."""
    body = dialect.as_bytes(connection, "body")
    rows = connection.exec_driver_sql(
        f"SELECT namespace, kind, name, spec_hash, {body} FROM resource"  # noqa: S608
        " WHERE kind IN ('McpServer', 'ModelEndpoint', 'Secret', 'Tool')"
        " ORDER BY namespace, kind, name"
    )
    for namespace, kind, name, spec_hash, content in rows:
        try:
            text = bytes(content).decode()
            if kinds.digest(text) == spec_hash:
                yield from aspects(Key(namespace, kind, name), kinds.spec_of(kind, text))
        except (Refused, UnicodeDecodeError, TypeError):
            continue
