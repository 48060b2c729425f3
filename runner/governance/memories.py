"""Which Memory an agent works with, and who embeds for it. Pure, and closed by default."""

from dataclasses import dataclass
from typing import Final

from runner.contract import builtin
from runner.contract.errors import Refused
from runner.contract.kinds import Key, Memory, ModelEndpoint
from runner.manifest_set import ManifestSet, PlacedAgent

EMBEDDERS: Final = frozenset({"mock", "openai", "openai-compatible", "ollama"})
"""The providers that can be asked for embeddings."""


@dataclass(frozen=True, slots=True)
class Place:
    """A Memory as an agent reaches it; `key` is None for the one that its task has alone."""

    key: Key | None
    spec: Memory

    @property
    def name(self) -> str:
        """How errors call it."""
        if self.key is None:
            return "the memory of this task"
        return f"the Memory {self.key.namespace}/{self.key.name}"


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model that embeds: at which endpoint, and under which name."""

    key: Key
    endpoint: ModelEndpoint
    model: str


def of(manifests: ManifestSet, agent: PlacedAgent) -> Place:
    """The Memory of an agent; Refused when it is not there, or not for this namespace."""
    namespace = agent.key.namespace
    key = builtin.memory_key(agent.spec, namespace)
    if key is None:
        return Place(None, Memory(type=agent.spec.memory.type or "vector"))
    if key not in manifests.resources:
        raise Refused(f"the Memory {key.namespace}/{key.name} is not declared")
    spec = manifests.spec(manifests.resources[key], Memory)
    place = Place(key, spec)
    if not spec.serves(key.namespace, namespace):
        raise Refused(
            f"{place.name} does not serve the namespace {namespace}; its allowedNamespaces"
            " lists those that may use it"
        )
    if (disagreement := spec.disagreement(agent.spec.memory)) is not None:
        raise Refused(f"{place.name}: {disagreement}")
    if spec.provider == "pgvector" and spec.endpoint is None:
        raise Refused(
            f"{place.name} has no endpoint, so nobody knows its database; write"
            " endpoint: postgres://user@host:5432/database, or take the provider sqlite"
        )
    return place


def embedder(manifests: ManifestSet, place: Place) -> Embedder | None:
    """Who embeds for a Memory, None when texts are compared by their letters; Refused."""
    if place.key is None or place.spec.embedding_model is None:
        return None
    keys = place.spec.embedders(place.key.namespace)
    found = next((key for key in keys if key in manifests.resources), None)
    if found is None:
        raise Refused(
            f"{place.name} wants embeddings of {place.spec.embedding_model}, and there is no"
            f" ModelEndpoint {' or '.join(f'{key.namespace}/{key.name}' for key in keys)}"
        )
    endpoint = manifests.spec(manifests.resources[found], ModelEndpoint)
    if endpoint.provider not in EMBEDDERS:
        raise Refused(
            f"the ModelEndpoint {found.namespace}/{found.name} is of the provider"
            f" {endpoint.provider}, which is not asked for embeddings; {place.name} needs one"
            f" of {', '.join(sorted(EMBEDDERS))}"
        )
    meant = found == keys[0]
    model = endpoint.default_model if meant else place.spec.embedding_model
    return Embedder(found, endpoint, model)
