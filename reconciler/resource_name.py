"""Which resource a person means by a name.

`triage`, `agent/triage`, `support/triage` and `agent/support/triage` are all one, as long as
no other fits. What nothing answers to is an error with what is near.
"""

import difflib
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from runner.contract import errors
from runner.contract.kinds import KINDS, Key

SHOWN_MAX: Final = 5
COMPARED_MAX: Final = 20_000
_KINDS: Final = {name.lower(): name for name in KINDS}


def resolve(connection: Connection, text: str) -> Key:
    """The recorded resource that a name stands for; NotFound with what is near."""
    found = _matching(_named(connection, text.rpartition("/")[2]), text)
    if not found:
        raise errors.NotFound(f"there is no resource {text!r}{_near(connection, text)}")
    return the_one(found, text)


def the_one(found: list[Key], text: str) -> Key:
    """The only key of a list that is not empty; NotFound names the others."""
    if len(found) > 1:
        names = ", ".join(str(key) for key in found[:SHOWN_MAX])
        raise errors.NotFound(f"{text!r} is {len(found)} resources: {names}; say which")
    return found[0]


def matching(keys: Iterable[Key], text: str) -> list[Key]:
    """The keys among these that a name may stand for."""
    return _matching(keys, text)


def _matching(keys: Iterable[Key], text: str) -> list[Key]:
    parts = text.split("/")
    return [key for key in keys if _fits(key, parts)]


def _fits(key: Key, parts: list[str]) -> bool:
    """Whether `name`, `kind/name`, `namespace/name` or `kind/namespace/name` is this key."""
    if len(parts) == 1:
        return key.name == parts[0]
    kind = _KINDS.get(parts[0].lower())
    if len(parts) == 3:
        return (key.kind, key.namespace, key.name) == (kind, parts[1], parts[2])
    of_it = key.kind == kind or key.namespace == parts[0]
    return len(parts) == 2 and key.name == parts[1] and of_it


def _named(connection: Connection, name: str) -> list[Key]:
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name FROM resource WHERE name = ? ORDER BY kind, namespace",
        (name,),
    )
    return [Key(*row) for row in rows]


def _near(connection: Connection, text: str) -> str:
    rows = connection.exec_driver_sql(
        "SELECT namespace, kind, name FROM resource LIMIT ?", (COMPARED_MAX,)
    )
    keys = [Key(*row) for row in rows]
    by_name: dict[str, Key] = {}
    for key in keys:
        by_name.setdefault(key.name, key)
        by_name.setdefault(f"{key.kind.lower()}/{key.name}", key)
    wanted = "/".join(dict.fromkeys((text.split("/")[0], text.split("/")[-1])))
    near = difflib.get_close_matches(wanted.lower(), by_name, n=3, cutoff=0.6)
    if not near:
        return "; orloj status counts those there are"
    names = dict.fromkeys(str(by_name[name]) for name in near)
    return f"; did you mean {' or '.join(names)}?"
