"""What the world was like when it was first seen, and what it is like now. Never a secret.

    subject            aspect              value                     found
    tool/default/scan  program /bin/scan   sha256:5f1c…              sha256:77aa…
    secret/default/k   env API_KEY         there                     missing: …
    modelendpoint/…    model gpt-4         gpt-4-0613                gpt-4-1106

One row for each aspect on each host; written when something is new, changes or ends.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

ABSENT: Final = "missing"
"""How what was found begins where something is not there; a clause may follow."""
THERE: Final = "there"
TEXT_MAX: Final = 200

_COLUMNS: Final = "host, subject, aspect, value, found, first_seen, changed_at"
_PUT: Final = (
    f"INSERT INTO observation ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL)"  # noqa: S608
    " ON CONFLICT (host, subject, aspect) DO UPDATE SET found = excluded.found,"
    " changed_at = excluded.first_seen"
)
_ACCEPT: Final = (
    "UPDATE observation SET value = found WHERE host = ? AND subject = ? AND aspect = ?"
)
_FORGET: Final = "DELETE FROM observation WHERE host = ? AND subject = ? AND aspect = ?"

Place = tuple[str, str, str]
"""Host, subject and aspect."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One aspect of the world: `value` at first sight, `found` now."""

    host: str
    subject: str
    aspect: str
    value: str
    found: str
    first_seen: int
    changed_at: int | None = None

    @property
    def place(self) -> Place:
        """What it is about."""
        return self.host, self.subject, self.aspect

    @property
    def present(self) -> bool:
        """Whether it is there."""
        return not self.found.startswith(ABSENT)


def read(connection: Connection) -> list[Observation]:
    """All observations, of every host."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM observation ORDER BY host, subject, aspect"  # noqa: S608
    )
    return [Observation(*row) for row in rows]


def one(connection: Connection, place: Place) -> list[Observation]:
    """The observation of a place, if there is one."""
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM observation"  # noqa: S608
        " WHERE host = ? AND subject = ? AND aspect = ?",
        place,
    )
    return [Observation(*row) for row in rows]


def fresh(
    known: Iterable[Observation], seen: Iterable[tuple[Place, str]], now_us: int
) -> list[Observation]:
    """Of what is seen now, what is not known yet or was something else. Pure.

    What was missing at first sight gets its value when it first turns up.
    """
    have = {item.place: item for item in known}
    found = []
    for place, text in seen:
        shown = text[:TEXT_MAX]
        old = have.get(place)
        if old is None or old.found != shown:
            found.append(Observation(*place, old.value if old else shown, shown, now_us))
    return found


def write(
    connection: Connection, changed: Collection[Observation], gone: Collection[Place]
) -> None:
    """Keep what changed, and forget what nobody declares any more."""
    rows = [(*item.place, item.found, item.found, item.first_seen) for item in changed]
    if rows:
        connection.exec_driver_sql(_PUT, rows)
        late = "UPDATE observation SET value = found WHERE value LIKE 'missing%'"
        connection.exec_driver_sql(f"{late} AND found NOT LIKE 'missing%'")
    if gone:
        connection.exec_driver_sql(_FORGET, list(gone))


def accept(connection: Connection, places: Collection[Place]) -> None:
    """Take what is found now for what should be."""
    if places:
        connection.exec_driver_sql(_ACCEPT, list(places))
