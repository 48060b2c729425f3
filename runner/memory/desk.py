"""A memory as a person looks at it: by its name, as recorded now, with no task and no agent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from runner import credentials, pinning
from runner.contract import memory_file, seal
from runner.contract.errors import NotFound
from runner.contract.kinds import Key, Memory
from runner.contract.kinds.base import DEFAULT_NAMESPACE, SecretAuth, named
from runner.contract.settings import Settings
from runner.governance import memories
from runner.governance.memories import Embedder, Place
from runner.manifest_set import ManifestSet
from runner.memory import Entry, Hit, Query, Store, embedding, stores
from runner.memory.stores import Ground

TOP_K_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Desk:
    """One memory. `resource` names it in the log, `namespace` is where it stands."""

    resource: str
    namespace: str | None
    place: Place
    store: Store
    embedder: Embedder | None
    key: str | None = field(repr=False)
    entries_max: int

    async def entries(self, prefix: str, limit: int | None = None) -> list[Entry]:
        """The entries whose keys begin with a prefix, sorted by key; all without a limit."""
        return await self.store.under(prefix, limit or self.entries_max)

    async def search(self, text: str, top_k: int) -> list[Hit]:
        """The entries nearest to a text, as an agent would find them."""
        if self.place.spec.type == "kv" or self.place.spec.provider == "http":
            return await self.store.search(Query(text, top_k))
        made = await embedding.embed(self.embedder, self.key, [text])
        query = Query(text, top_k, vector=made.packed[0], space=made.space)
        return await self.store.search(query)

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Delete entries; the keys of those that went. Refused where it cannot be done."""
        return await self.store.forget(keys)


def opened(connection: Connection, name: str, settings: Settings) -> Desk:
    """The memory of a name, `[namespace/]name` or `task:ID`; NotFound, Refused."""
    ground = Ground(settings.memories, settings.memory.entries_max)
    if name.startswith(memory_file.TASK):
        place = Place(None, Memory())
        task = name.removeprefix(memory_file.TASK)
        store = stores.store(place, name, ground, lambda auth, namespace: None)
        return Desk(f"task/{task}", None, place, store, None, None, ground.entries_max)
    key = named("Memory", name, DEFAULT_NAMESPACE)
    manifests, place = _place(connection, key)
    sealer = seal.sealer(settings.home)

    def secret(auth: SecretAuth | None, namespace: str) -> str | None:
        if auth is None:
            return None
        return credentials.recorded(connection, auth, namespace, sealer, settings)

    embedder = memories.embedder(manifests, place)
    auth = embedding.auth_of(embedder)
    api_key = None if embedder is None else secret(auth, embedder.key.namespace)
    store = stores.store(place, stores.name(place, ""), ground, secret)
    return Desk(str(key), key.namespace, place, store, embedder, api_key, ground.entries_max)


def _place(connection: Connection, key: Key) -> tuple[ManifestSet, Place]:
    try:
        manifests, _ = pinning.resolve(connection, key)
    except NotFound:
        raise NotFound(f"there is no Memory {key.namespace}/{key.name}") from None
    return manifests, memories.usable(manifests, key, key.namespace)
