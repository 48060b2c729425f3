"""A memory behind an adapter speaks the public protocol, to the declared host alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_server import Answer, LocalServer, Received
from memories import Desk, memory
from model_server import said

from runner.contract.errors import ToolFailed
from runner.memory import http

SECRET = "canary-bearer-91"


class Adapter(LocalServer):
    """Keeps values by key; a write with a key that it knows already is done already."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.done: set[str] = set()
        super().__init__(self._answer)

    def _answer(self, request: Received) -> Answer:
        asked: dict[str, Any] = json.loads(request.body)
        match request.path:
            case "/v1/put":
                if request.headers["Idempotency-Key"] not in self.done:
                    self.kept[asked["key"]] = asked["value"]
                self.done.add(request.headers["Idempotency-Key"])
                return said({"status": "ok"})
            case "/v1/get":
                value = self.kept.get(asked["key"])
                if value is None:
                    return said({"found": False, "key": asked["key"]})
                return said({"found": True, "key": asked["key"], "value": value})
            case "/v1/list":
                found = {k: v for k, v in self.kept.items() if k.startswith(asked["prefix"])}
                return said({"entries": [{"key": k, "value": v} for k, v in found.items()]})
            case "/v1/search":
                found = {k: v for k, v in self.kept.items() if asked["query"] in v}
                results = [{"key": k, "value": v, "score": 0.5} for k, v in found.items()]
                return said({"results": results})
        return said({"error": "no such call"}, 404)


@pytest.fixture
def adapter() -> Iterator[Adapter]:
    with Adapter().running() as server:
        assert isinstance(server, Adapter)
        yield server


def desk(folder: Path, server: LocalServer, **spec: Any) -> Desk:
    return Desk(folder, memory(provider="http", endpoint=f"{server.url}/v1/", **spec))


def test_every_operation_is_the_adapters(tmp_path: Path, adapter: Adapter) -> None:
    clerk = desk(tmp_path, adapter)
    assert clerk.call("write", key="a/1", value="red apples") == {"status": "ok", "key": "a/1"}
    assert clerk.call("read", key="a/1")["value"] == "red apples"
    assert clerk.call("read", key="none") == {"found": False, "key": "none"}
    assert clerk.call("ingest", source="doc", content="x" * 1_500)["chunks_stored"] == 2
    assert clerk.call("list", prefix="doc/")["count"] == 2
    assert clerk.call("search", query="apples", top_k=3) == {
        "results": [{"key": "a/1", "value": "red apples", "score": 0.5}],
        "count": 1,
    }
    assert not list(tmp_path.iterdir())


def test_a_write_that_is_repeated_carries_the_same_key(
    tmp_path: Path, adapter: Adapter
) -> None:
    clerk = desk(tmp_path, adapter)
    clerk.call("write", "t1:4", key="k", value="mine")
    adapter.kept["k"] = "theirs"
    clerk.call("write", "t1:4", key="k", value="mine")
    assert adapter.kept["k"] == "theirs"
    clerk.call("ingest", "t1:5", source="s", content="y" * 1_500)
    keys = [one.headers.get("Idempotency-Key", "") for one in adapter.received]
    assert keys[0].startswith("t1:4:")
    assert keys[0] == keys[1]
    assert [key.rpartition(":")[2] for key in keys[2:]] == ["0", "1"]
    assert all(key.startswith("t1:5:") for key in keys[2:])


def test_the_secret_goes_to_the_adapter_and_into_no_error(tmp_path: Path) -> None:
    with LocalServer(lambda r: said({"error": r.headers["Authorization"]}, 500)).running() as s:
        clerk = desk(tmp_path, s, auth={"secretRef": "token"})
        with pytest.raises(ToolFailed, match="has no value on this host"):
            clerk.call("read", key="k")
        assert not s.received
        clerk.secrets["token"] = SECRET
        with pytest.raises(ToolFailed, match="answered 500 to get") as failed:
            clerk.call("read", key="k")
    assert SECRET not in str(failed.value)
    assert failed.value.retryable
    assert s.received[0].headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"<html>"), "did not answer with a JSON object"),
        (Answer(200, b"[" * 100_000), "did not answer with a JSON object"),
        (said({"found": True, "value": 7}), "a value that is no text"),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), "answered 302"),
        (Answer(200, b"x" * (http.ANSWER_BYTES_MAX + 1)), "answer is longer than"),
    ],
    ids=["no json", "too deep", "no text", "a redirect", "too long"],
)
def test_what_an_adapter_may_not_say_is_an_error(
    tmp_path: Path, answer: Answer, words: str
) -> None:
    with LocalServer(lambda _: answer).running() as server:
        with pytest.raises(ToolFailed, match=words):
            desk(tmp_path, server).call("read", key="k")
        assert len(server.received) == 1


def test_a_private_address_behind_a_name_is_not_reached(tmp_path: Path) -> None:
    with LocalServer(lambda _: said({"found": False})).running() as server:
        port = server.url.rpartition(":")[2]
        place = f"http://127.0.0.1.nip.invalid:{port}"
        clerk = Desk(tmp_path, memory(provider="http", endpoint=place))
        with pytest.raises(ToolFailed, match="cannot be reached"):
            clerk.call("read", key="k")
        assert not server.received
