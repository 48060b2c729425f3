"""Where an endpoint is asked and with which key, or why it cannot be. Pure."""

from dataclasses import dataclass
from typing import Final

from runner.contract.errors import ModelFailed
from runner.contract.kinds.base import seconds
from runner.contract.kinds.model_endpoint import BASE_URLS
from runner.models import Request

_KEYED: Final = frozenset({"openai", "anthropic", "azure", "azure-openai"})
"""The providers that answer nobody without a key."""


@dataclass(frozen=True, slots=True)
class Address:
    """`timeout_s` bounds a whole answer, `idle_s` the wait between two pieces of it."""

    url: str
    key: str | None
    timeout_s: float
    idle_s: float | None


def address(request: Request) -> Address:
    """The address of the endpoint; ModelFailed when it has none, or its key has no value."""
    endpoint = request.endpoint
    url = endpoint.base_url or BASE_URLS.get(endpoint.provider)
    if url is None:
        raise ModelFailed("the ModelEndpoint needs base_url", untouched=True)
    if request.key is None and (endpoint.provider in _KEYED or endpoint.auth is not None):
        raise ModelFailed(
            "the ModelEndpoint's secret has no value on this host; check spec.auth.secretRef,"
            " its Secret with its allowedNamespaces, and the setting secrets.env",
            untouched=True,
        )
    idle = seconds(endpoint.idle_timeout) if endpoint.stream else None
    return Address(url.rstrip("/"), request.key, seconds(endpoint.timeout), idle)
