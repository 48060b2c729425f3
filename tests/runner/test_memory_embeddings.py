"""A named embedding_model is asked over HTTP, its tokens count, its key goes nowhere else."""

import json
from pathlib import Path
from typing import Any

import pytest
from local_server import Answer, LocalServer, Received
from manifest_sets import placed
from memories import Desk, memory
from model_server import failure, said

from runner.contract.errors import ToolFailed
from runner.memory import letters, ranking

KEY = "canary-key-55"


def embedded(request: Received, dimensions: int = 3) -> Answer:
    """Vectors that know apples from cats, listed backwards as the protocol allows."""
    texts = json.loads(request.body)["input"]
    data = [
        {"object": "embedding", "index": at, "embedding": _vector(text)[:dimensions]}
        for at, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)}
    body = {"object": "list", "data": data[::-1], "model": "served", "usage": usage}
    return said(body)


def _vector(text: str) -> list[float]:
    fruit, pets = ("fruit", "apple", "pear"), ("cat", "dog", "pet")
    return [
        float(any(word in text for word in fruit)),
        float(any(word in text for word in pets)),
        0.1,
    ]


def desk(folder: Path, server: LocalServer, model: str = "embeddings", **spec: Any) -> Desk:
    endpoint = {
        "provider": "openai-compatible",
        "base_url": f"{server.url}/v1",
        "default_model": "small",
        **spec,
    }
    made = Desk(
        folder,
        memory(provider="sqlite", embedding_model=model),
        placed("ModelEndpoint", "embeddings" if model == "embeddings" else "default", endpoint),
    )
    made.secrets["token"] = KEY
    return made


def test_meaning_is_compared_by_the_endpoints_vectors(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        clerk = desk(tmp_path, server, auth={"secretRef": "token"})
        written = clerk.answered("write", {"key": "1", "value": "a pear"}, None)
        clerk.call("write", key="2", value="a dog")
        found = clerk.answered("search", {"query": "fruit", "top_k": 1}, None)
    assert json.loads(found.text)["results"][0]["key"] == "1"
    assert (written.tokens, found.tokens) == (5, 5)
    assert {one.path for one in server.received} == {"/v1/embeddings"}
    shown = [{k.title(): v for k, v in one.headers.items()} for one in server.received]
    assert {headers["Authorization"] for headers in shown} == {f"Bearer {KEY}"}
    assert json.loads(server.received[0].body)["model"] == "small"


def test_a_name_without_an_endpoint_is_a_model_of_the_default_one(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        desk(tmp_path, server, "text-embedding-3-large").call("write", key="k", value="v")
    assert json.loads(server.received[0].body)["model"] == "text-embedding-3-large"


def test_azure_is_asked_by_the_name_of_a_deployment(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        spec = {
            "provider": "azure-openai",
            "base_url": server.url,
            "auth": {"secretRef": "token"},
        }
        desk(tmp_path, server, **spec).call("write", key="k", value="v")
    (asked,) = server.received
    path, _, query = asked.path.partition("?")
    assert (path, query) == ("/openai/deployments/small/embeddings", "api-version=2024-10-21")
    assert {k.lower(): v for k, v in asked.headers.items()}["api-key"] == KEY


def test_ollama_needs_no_key_and_a_model_that_embeds_nothing_is_said(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        desk(tmp_path, server, provider="ollama", base_url=server.url).call(
            "write", key="k", value="v"
        )
        assert server.received[0].path == "/v1/embeddings"
        with pytest.raises(ToolFailed, match="anthropic, which is not asked for embeddings"):
            desk(tmp_path, server, provider="anthropic").call("write", key="k", value="v")


def test_a_document_is_embedded_in_few_questions_and_every_token_counts(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        arguments = {"source": "s", "content": "pear " * 2_000}
        answered = desk(tmp_path, server).answered("ingest", arguments, None)
    assert json.loads(answered.text)["chunks_stored"] == 13
    assert (len(server.received), answered.tokens) == (1, 65)


def test_vectors_of_another_length_are_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    with LocalServer(embedded).running() as server:
        desk(tmp_path, server).call("write", key="1", value="v")
    with LocalServer(lambda request: embedded(request, 2)).running() as server:
        clerk = desk(tmp_path, server)
        with pytest.raises(
            ToolFailed, match=r"\(3 numbers\) and this would be .*\(2 numbers\)"
        ):
            clerk.call("write", key="2", value="v")
        assert clerk.call("list")["count"] == 1


@pytest.mark.parametrize(
    ("answer", "words", "retryable"),
    [
        (failure(429, f"slow down, {KEY}"), "answered 429", True),
        (failure(401, "no"), "answered 401: no", False),
        (said({"data": [], "object": "list", "model": "m"}), "1 vectors", False),
        (said({"data": [{"index": 0, "embedding": ["x"]}]}), "no number", False),
        (said({"data": [{"index": 0, "embedding": []}]}), "1 to 16384 numbers", False),
        (Answer(200, b"<html>", {"Content-Type": "application/json"}), "cannot be read", False),
    ],
    ids=["busy", "refused", "none", "a word", "empty", "no json"],
)
def test_what_is_no_embedding_is_an_error_without_the_key(
    tmp_path: Path, answer: Answer, words: str, retryable: bool
) -> None:
    with LocalServer(lambda _: answer).running() as server:
        clerk = desk(tmp_path, server, auth={"secretRef": "token"})
        with pytest.raises(ToolFailed, match=words) as failed:
            clerk.call("write", key="k", value="v")
    assert failed.value.retryable is retryable
    assert KEY not in str(failed.value)
    assert clerk.call("list")["count"] == 0


def test_a_text_has_the_same_letters_on_every_host() -> None:
    made = letters.vector("Grüne Äpfel, grüne Äpfel")
    assert len(made) == letters.DIMENSIONS
    assert made == letters.vector("grüne äpfel... GRÜNE ÄPFEL")
    # Kept vectors are compared with new ones: if this changes, so must letters.MODEL.
    chosen = {at: round(number, 4) for at, number in enumerate(letters.vector("cat")) if number}
    assert chosen == {38: 1.0, 258: 1.0, 424: 1.0, 474: -2.0}


def test_a_part_of_a_word_is_near_and_another_word_is_not() -> None:
    def near(one: str, other: str) -> float:
        first, second = (
            ranking.numbers(ranking.packed(letters.vector(t))) for t in (one, other)
        )
        return sum(a * b for a, b in zip(first, second, strict=True))

    assert near("invoice", "invoice") == pytest.approx(1, abs=1e-5)
    assert near("invoice", "invoices") > 0.4
    assert abs(near("invoice", "kitten")) < 0.2
