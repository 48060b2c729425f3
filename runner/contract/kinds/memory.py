"""Memory: what agents keep beyond a task, where it is kept, and how it is searched."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from runner.contract.kinds.agent import MODEL_ENDPOINT_DEFAULT, MemoryUse
from runner.contract.kinds.base import Key, Name, Reference, SecretAuth, Spec, named
from runner.contract.kinds.data_source import OPTIONS
from runner.contract.kinds.network import Network, endpoint

IN_MEMORY: Final = "in-memory"
_DSN: Final = re.compile(
    r"postgres(?:ql)?://[^\s:@/?#]+@[^\s@/?#]+/[^\s/?#]+(?:\?(?P<options>[^\s#]*))?"
)
_PASSWORD: Final = re.compile(r"://[^@]*:[^@]*@|[?&]password=", re.IGNORECASE)
_TABLE: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
# What a provider has no use for would be taken for something that stands.
_FIELDS: Final = {
    IN_MEMORY: {"embedding_model"},
    "sqlite": {"embedding_model"},
    "pgvector": {"embedding_model", "endpoint", "auth", "options"},
    "http": {"endpoint", "auth", "network"},
}


def _provider(value: Any) -> Any:
    return IN_MEMORY if value in ("", "memory") else value


class Memory(Spec):
    """A memory that agents share by naming it.

    `in-memory` lives as long as the runner of a host, `sqlite` in a file of that host,
    `pgvector` in PostgreSQL for all hosts, `http` behind an adapter. `type` is `vector`, where
    a search compares meaning, or `kv`, where it looks for words. `embedding_model` names a
    ModelEndpoint, or a model of the one named `default`; without it texts are compared by
    their letters. Other namespaces may use it only if `allowed_namespaces` lists them.
    `labels` say what it holds; `private` counts in the plan.
    """

    type: Literal["vector", "kv"] = "vector"
    provider: Annotated[
        Literal["in-memory", "sqlite", "pgvector", "http"], BeforeValidator(_provider)
    ] = "in-memory"
    embedding_model: str | None = Field(default=None, min_length=1)
    endpoint: str | None = None
    auth: SecretAuth | None = None
    network: Network = Network()
    options: dict[str, str] = {}
    allowed_namespaces: list[Name] = []
    labels: list[str] = []

    @field_validator("options")
    @classmethod
    def _known_options(cls, options: dict[str, str]) -> dict[str, str]:
        if unknown := set(options) - {"table"}:
            raise ValueError(f"there is no option {min(unknown)}; there is `table`")
        if "table" in options and not _TABLE.fullmatch(options["table"]):
            raise ValueError("a table has small letters, digits and `_`, at most 48 of them")
        return options

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Self:
        known = _FIELDS[self.provider] | {"type", "provider", "allowed_namespaces", "labels"}
        for field in sorted(self.model_fields_set - known):
            if getattr(self, field):
                raise ValueError(f"a memory of provider {self.provider} takes no {field}")
        if self.type == "kv" and self.embedding_model is not None:
            raise ValueError("a memory of type kv takes no embedding_model: it embeds nothing")
        if self.provider == "http" and self.endpoint is None:
            raise ValueError("a memory of provider http needs endpoint")
        return self

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.endpoint is not None and self.provider == "pgvector":
            _check_dsn(self.endpoint)
        elif self.endpoint is not None:
            place = endpoint(self.endpoint)
            if place.user is not None or place.query:
                raise ValueError("an endpoint of http has no user and no query in it")
        if self.network.hosts or self.network.redirects:
            raise ValueError("a memory reaches its endpoint alone: its network is `private`")
        return self

    def serves(self, own: str, namespace: str) -> bool:
        """Whether an agent of a namespace may use it, when it stands in `own` itself."""
        return namespace == own or namespace in self.allowed_namespaces

    def disagreement(self, use: MemoryUse) -> str | None:
        """What an agent that works with it takes it for and it is not; None: nothing."""
        for field in ("type", "provider"):
            counted, own = getattr(use, field), getattr(self, field)
            if counted not in (None, own):
                return f"memory.{field} says {counted}, and the Memory is {own}"
        return None

    def embedders(self, namespace: str) -> list[Key]:
        """The ModelEndpoints that may embed for it, the first that is declared being meant."""
        if self.embedding_model is None:
            return []
        meant = named("ModelEndpoint", self.embedding_model, namespace)
        if "/" in self.embedding_model:
            return [meant]
        return [meant, Key(namespace, "ModelEndpoint", MODEL_ENDPOINT_DEFAULT)]

    def references(self, namespace: str) -> list[Reference]:
        """The Secret that it proves itself with, and who embeds for it."""
        found = []
        if self.auth is not None:
            key, _ = self.auth.secret(namespace)
            found.append(Reference(key, ("spec", "auth", "secretRef"), required=False))
        if self.embedding_model is not None:
            meant = self.embedders(namespace)[0]
            found.append(Reference(meant, ("spec", "embedding_model"), required=False))
        return found


def _check_dsn(text: str) -> None:
    """ValueError unless a text says where a database is, and nothing that is secret."""
    if _PASSWORD.search(text):
        raise ValueError(
            "an endpoint holds no password; auth.secretRef names the Secret with it"
        )
    address = _DSN.fullmatch(text)
    if address is None:
        raise ValueError("an endpoint of pgvector is postgres://user@host:5432/database")
    for option in filter(None, (address["options"] or "").split("&")):
        if option.partition("=")[0] not in OPTIONS:
            allowed = ", ".join(sorted(OPTIONS))
            raise ValueError(f"the endpoint may set {allowed} after `?`, and no other")
