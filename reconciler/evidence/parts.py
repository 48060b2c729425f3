"""The parts that an export is made of: one line each.

A part that looks at entries is a `Part`; see there. What needs the database gets the
connection that the entries are read with, so that all parts see the log at one moment.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.evidence.part import Part, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked to have in an export.

    `disclose` names private fields, `disclose_tasks` whole tasks; all else stays a
    commitment. No `frameworks` means all that are known.
    """

    disclose: frozenset[str] = frozenset()
    disclose_tasks: frozenset[str] = frozenset()
    frameworks: tuple[str, ...] = ()
    pdf: bool = True


def chosen(scope: Scope, connection: Connection, wanted: Wanted) -> list[Part]:
    """The parts of one export, in the order in which they are ended."""
    return []
