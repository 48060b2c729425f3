"""Time zones by name, as the host's zone database knows them.

The database is read like a table that was compiled in: it changes when the host is updated,
and never while a process looks at it.
"""

from typing import Final
from zoneinfo import ZoneInfo

_OF_THE_HOST: Final = ("localtime", "posixrules", "posix/", "right/")
"""Names whose meaning another host does not share, or that count leap seconds."""


def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; ValueError when there is none."""
    try:
        if name.startswith(_OF_THE_HOST):
            raise ValueError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"{name or 'nothing'} is no time zone; write a name as Europe/Berlin or UTC"
        ) from None
