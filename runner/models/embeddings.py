"""Embeddings of endpoints that speak OpenAI's `/embeddings`: texts in, one vector for each.

Like a question to a model it goes to the declared address or nowhere, follows no redirect,
takes nothing from the environment and is not repeated by the client.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpx2
import openai

from runner.contract import seal
from runner.contract.errors import ModelFailed, ToolFailed
from runner.contract.kinds import ModelEndpoint
from runner.contract.kinds.base import seconds
from runner.contract.kinds.model_endpoint import BASE_URLS
from runner.models import bounded

BATCH: Final = 64
"""Texts of one question: endpoints take a few hundred, and their answers are long."""
DIMENSIONS_MAX: Final = 16_384
AZURE_API_VERSION: Final = "2024-10-21"
_AZURE: Final = frozenset({"azure", "azure-openai"})
_KEYLESS: Final = frozenset({"ollama", "openai-compatible"})
_SAID_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of texts, in order, and the tokens that the endpoint counted.

    `counted` says whether it counted those of every text.
    """

    vectors: list[list[float]]
    tokens: int
    counted: bool


async def embed(
    endpoint: ModelEndpoint, model: str, key: str | None, texts: Sequence[str]
) -> Embedded:
    """The vectors of all texts; ToolFailed."""
    url = _url(endpoint, key)
    vectors: list[list[float]] = []
    tokens: list[int | None] = []
    async with _client(endpoint, url, key or "none", model) as client:
        for at in range(0, len(texts), BATCH):
            batch = list(texts[at : at + BATCH])
            answer = await _asked(client, endpoint, key, model, batch)
            vectors += _vectors(answer, len(batch))
            tokens.append(_tokens(answer))
    if len({len(vector) for vector in vectors}) > 1:
        raise ToolFailed("the embeddings endpoint answered with vectors of different lengths")
    known = [count for count in tokens if count is not None]
    return Embedded(vectors, sum(known), len(known) == len(tokens))


async def _asked(
    client: openai.AsyncOpenAI,
    endpoint: ModelEndpoint,
    key: str | None,
    model: str,
    texts: list[str],
) -> Any:
    try:
        async with asyncio.timeout(seconds(endpoint.timeout)):
            return await client.embeddings.create(
                model=model, input=texts, encoding_format="float"
            )
    except (TimeoutError, openai.APITimeoutError):
        raise ToolFailed(
            "the embeddings endpoint did not answer in time", retryable=True
        ) from None
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, ModelFailed):  # Of the reader that stops at a bound.
            raise ToolFailed(f"the embeddings cannot be read: {error.__cause__}") from None
        raise ToolFailed("the embeddings endpoint cannot be reached", retryable=True) from None
    except openai.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        said = str(body.get("message") or error.response.reason_phrase)
        hidden = () if key is None else (key,)
        raise ToolFailed(
            f"the embeddings endpoint answered {error.status_code}:"
            f" {seal.excerpt(said, _SAID_CHARACTERS, hidden)}",
            retryable=error.status_code in {408, 429} or error.status_code >= 500,
        ) from None
    except (openai.OpenAIError, ValueError, RecursionError) as error:
        name = type(error).__name__
        raise ToolFailed(f"the embeddings endpoint's answer cannot be read: {name}") from None


def _url(endpoint: ModelEndpoint, key: str | None) -> str:
    url = endpoint.base_url or BASE_URLS.get(endpoint.provider)
    if url is None:
        raise ToolFailed("the ModelEndpoint that embeds needs base_url")
    if endpoint.provider == "ollama" and not url.rstrip("/").endswith("/v1"):
        url = url.rstrip("/") + "/v1"
    if key is None and (endpoint.provider not in _KEYLESS or endpoint.auth is not None):
        raise ToolFailed(
            "the secret of the ModelEndpoint that embeds has no value on this host; check its"
            " auth.secretRef, the Secret with its allowedNamespaces, and secrets.env"
        )
    return url


def _vectors(answer: Any, count: int) -> list[list[float]]:
    found = getattr(answer, "data", None)
    if not isinstance(found, list) or len(found) != count:
        raise ToolFailed(f"the embeddings endpoint did not answer with {count} vectors")
    ordered = sorted(found, key=lambda item: getattr(item, "index", 0) or 0)
    return [_vector(getattr(item, "embedding", None)) for item in ordered]


def _vector(found: Any) -> list[float]:
    if not isinstance(found, list) or not 0 < len(found) <= DIMENSIONS_MAX:
        raise ToolFailed(f"an embedding is a list of 1 to {DIMENSIONS_MAX} numbers")
    if not all(isinstance(number, int | float) for number in found):
        raise ToolFailed("an embedding holds something that is no number")
    return [float(number) for number in found]


def _tokens(answer: Any) -> int | None:
    count = getattr(getattr(answer, "usage", None), "prompt_tokens", None)
    return count if type(count) is int and 0 <= count <= 10**12 else None


def _client(endpoint: ModelEndpoint, url: str, key: str, model: str) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(
        trust_env=False,
        follow_redirects=False,
        transport=bounded.Transport(trust_env=False, verify=_authorities()),
    )
    if endpoint.provider not in _AZURE:
        return openai.AsyncOpenAI(
            base_url=url, api_key=key, timeout=None, max_retries=0, http_client=http
        )
    return openai.AsyncAzureOpenAI(
        azure_endpoint=url,
        # Azure finds a model by the name that it was deployed under, in the address.
        azure_deployment=endpoint.options.get("deployment", model),
        api_version=endpoint.options.get("api_version", AZURE_API_VERSION),
        api_key=key,
        timeout=None,
        max_retries=0,
        http_client=http,
    )


@cache
def _authorities() -> ssl.SSLContext:
    """The certificates that servers are believed by; reading them takes 20 ms of a core."""
    return httpx2.create_ssl_context(trust_env=False)
