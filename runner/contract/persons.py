"""Pseudonyms of people: what stands in entries, and whose it is.

A pseudonym is a commitment to a name under a salt of its own, so that nobody can confirm a
guess or put another name in its place, and deleting name and salt erases who it was. A name
that is met again after that gets another pseudonym.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sqlalchemy import Connection

PREFIX = "p:"


def pseudonym(salt: bytes, name: str) -> str:
    """The pseudonym of a name under a salt."""
    message = b"person\x00" + name.encode("utf-8", "surrogatepass")
    return PREFIX + hmac.new(salt, message, hashlib.sha256).hexdigest()[:32]


def known_as(connection: Connection, names: Iterable[str], now_us: int) -> dict[str, str]:
    """The pseudonym of each name, new where there was none; by whoever may append alone."""
    found: dict[str, str] = {}
    for name in sorted(set(names)):
        have = connection.exec_driver_sql(
            "SELECT pseudonym FROM person WHERE name = ?", (name,)
        ).scalar_one_or_none()
        found[name] = have or _added(connection, name, now_us)
    return found


def _added(connection: Connection, name: str, now_us: int) -> str:
    salt = secrets.token_bytes(32)
    chosen = pseudonym(salt, name)
    connection.exec_driver_sql(
        "INSERT INTO person (pseudonym, name, salt, since) VALUES (?, ?, ?, ?)",
        (chosen, name, salt, now_us),
    )
    return chosen


def names(connection: Connection) -> dict[str, str]:
    """Whose each pseudonym is, as far as that was not erased, or written by others."""
    rows = connection.exec_driver_sql("SELECT pseudonym, name, salt FROM person")
    return {row[0]: row[1] for row in rows if genuine(*row)}


def genuine(chosen: object, name: object, salt: object) -> bool:
    """Whether a row is the one that a pseudonym commits to."""
    return isinstance(name, str) and isinstance(salt, bytes) and pseudonym(salt, name) == chosen
