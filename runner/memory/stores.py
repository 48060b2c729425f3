"""Which store keeps a Memory. What reaches over a network is imported by who needs it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.contract import memory_file
from runner.contract.errors import Refused
from runner.contract.kinds.base import SecretAuth
from runner.governance.memories import Place
from runner.memory import Store
from runner.memory.files import FileStore

TABLE: Final = "orloj_memory_entry"
_HTTP: Final = "runner.memory.http"
_POSTGRESQL: Final = "runner.memory.pgvector"
Secret = Callable[[SecretAuth | None, str], str | None]
"""The value of a secret that a resource of a namespace names."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What this host gives to memories: a folder, and how many entries each may have."""

    folder: Path
    entries_max: int


def name(place: Place, task: str) -> str:
    """Under which name a store keeps a Memory."""
    if place.key is None:
        return f"{memory_file.TASK}{task}"
    return f"{place.key.namespace}/{place.key.name}"


def store(place: Place, memory: str, ground: Ground, secret: Secret) -> Store:
    """The store of a Memory; Refused when its secret has no value here."""
    spec = place.spec
    kept, cleared = memory_file.of_home(ground.folder)
    if place.key is None or spec.provider == "sqlite":
        return FileStore(kept, memory, ground.entries_max)
    if spec.provider == "in-memory":
        return FileStore(cleared, memory, ground.entries_max)
    value = secret(spec.auth, place.key.namespace)
    if spec.auth is not None and value is None:
        raise Refused(
            f"the secret of {place.name} has no value on this host; check auth.secretRef, the"
            " Secret with its allowedNamespaces, and the setting secrets.env"
        )
    assert spec.endpoint is not None, "memories.of looks whether there is one"
    made: Store
    if spec.provider == "http":
        made = importlib.import_module(_HTTP).HttpStore(spec.endpoint, spec.network, value)
        return made
    made = importlib.import_module(_POSTGRESQL).PostgresStore(
        spec.endpoint,
        value,
        spec.options.get("table", TABLE),
        memory,
        spec.type == "vector",
        ground.entries_max,
    )
    return made
