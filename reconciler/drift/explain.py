"""Which fields of an edited resource differ, for those who read it.

What is recorded now may be anything, so it is read as far as it can be; of a Secret nothing
is shown that is not a digest.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection

from reconciler import diff
from reconciler.change import FieldChange
from reconciler.drift import rows
from reconciler.drift.drift import Drift, DriftKind
from reconciler.drift.look import Looks
from reconciler.resource import Resource
from runner.contract.kinds import Key
from runner.contract.masking import MASK

EXPLAINED_MAX: Final = 100
_KEYED: Final = "hmac-sha256:"

Fields = tuple[FieldChange, ...]


def explained(
    connection: Connection, looks: Looks, drifts: Iterable[Drift]
) -> tuple[Mapping[Key, Resource], Mapping[Key, Fields]]:
    """What the commit declares of what drifted, and the fields that were edited."""
    keys = list(dict.fromkeys(item.key for item in drifts if item.declared and item.key))
    declared = looks.standards.resources(connection, keys)
    edited = {item.key for item in drifts if item.kind is DriftKind.EDITED}
    fields = {
        key: _fields(key, declared[key].body, rows.body(connection, key))
        for key in keys[:EXPLAINED_MAX]
        if key in edited and key in declared
    }
    return declared, fields


def _fields(key: Key, declared: str, found: str) -> Fields:
    changes = diff.diff(_mapping(declared), _mapping(found))
    return tuple(map(_masked, changes)) if key.kind == "Secret" else changes


def _mapping(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _masked(change: FieldChange) -> FieldChange:
    # What stands in the place of a digest may be a value that somebody put there.
    return replace(change, before=_shown(change.before), after=_shown(change.after), words=())


def _shown(value: object) -> object:
    digest = isinstance(value, str) and value.startswith(_KEYED)
    return value if value is None or digest else MASK
