"""The public blueprints and use cases run here from end to end, over real HTTP.

Each runs from a repository of its own with a real daemon, dispatcher and worker. A copy is
worked on in which only `base_url` and the values of Secrets differ: they lead to a local
server that speaks chat completions and refuses whoever has not the key.
"""

import hashlib
import hmac
import http.client
import json
import re
import socket
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from local_server import Answer, Received
from model_server import ModelServer, completion, failure
from public_place import Place

pytestmark = pytest.mark.story

EXAMPLES = Path(__file__).parent / "public/examples"
KEY = "sk-local-stub-5512"
SECRET = "local-signing-secret-3390"
SHARED = (
    "resources/model-endpoints/openai_default.yaml",
    "resources/secrets/openai_api_key.yaml",
)
"""What the blueprints rely on besides their own files."""


def copy(files: list[Path], url: str) -> list[tuple[str, str]]:
    """The files as they are published, but for where models are asked and the secrets."""
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"(?m)^(\s+base_url: ).*$", rf"\g<1>{url}/v1", text)
        value = SECRET if "webhook" in file.name else KEY
        if re.search(r"(?m)^kind: Secret$", text):
            text = re.sub(r"(?m)^(\s+value: ).*$", rf"\g<1>{value}", text)
        found.append((str(file.relative_to(EXAMPLES)), text))
    return found


def changed_lines(files: list[Path], url: str) -> list[str]:
    return [
        new
        for file, (_, text) in zip(files, copy(files, url), strict=True)
        for old, new in zip(file.read_text().splitlines(), text.splitlines(), strict=True)
        if old != new
    ]


def answered(request: Received) -> Answer:
    """An answer that says who was asked: the first words of the prompt."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("authorization") != f"Bearer {KEY}":
        return failure(401)
    messages = json.loads(request.body)["messages"]
    prompt = next(one["content"] for one in messages if one["role"] == "system")
    words = " ".join(prompt.split()[:6])
    return completion(f"Done as told: {words}")


def folder(name: str) -> list[Path]:
    files = sorted((EXAMPLES / name).rglob("*.yaml"))
    assert files
    if name.startswith("blueprints"):
        files += [EXAMPLES / shared for shared in SHARED]
    return files


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("blueprints/pipeline", 3),
        ("blueprints/hierarchical", 6),
        ("blueprints/swarm-loop", None),
        ("use-cases/weekly-intelligence-brief", 3),
        ("use-cases/cross-functional-pmo", 6),
        ("use-cases/roadmap-synthesis-swarm", None),
    ],
)
def test_a_public_example_runs_from_end_to_end(
    name: str, turns: int | None, tmp_path: Path
) -> None:
    with ModelServer(answered).running() as model:
        place = Place(tmp_path)
        place.commit(*copy(folder(name), model.url))
        with place.up():
            task = place.finished()
        asked = len(model.received)
    assert task["state"] == "succeeded", task["error"]
    assert "Done as told: You are" in task["output"] or "Done as told" in task["output"]
    by_agent = Counter(step["agent"] for step in task["steps"] if step["kind"] == "model")
    assert sum(by_agent.values()) == asked
    if turns is None:  # A loop: every agent worked, and `max_turns` ended it.
        assert len(by_agent) == 5
        assert max(by_agent.values()) > 1
    else:
        assert by_agent == Counter(dict.fromkeys(by_agent, 1))
        assert asked == turns


def test_a_signed_delivery_runs_the_webhook_use_case(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with ModelServer(answered).running() as model:
        place = Place(tmp_path, ORLOJ_WEB_LISTEN=f"127.0.0.1:{port}")
        place.commit(*copy(folder("use-cases/event-driven-webhook"), model.url))
        with place.up():
            first, second = (delivered(place, port) for _ in range(2))
            assert (first, second) == (202, 200)
            task = place.finished()
        asked = len(model.received)
    assert (task["state"], asked) == ("succeeded", 3), task


def delivered(place: Place, port: int) -> int:
    """The status of one delivery, once the webhook is there."""
    id = hashlib.sha256(b"default/uc-webhook-generic").hexdigest()[:24]
    body, over = b'{"event": "opened"}', time.monotonic() + 30
    while True:
        at = str(int(time.time()))
        signature = hmac.new(SECRET.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Signature": f"sha256={signature}",
            "X-Timestamp": at,
            "X-Event-Id": "event-1",
        }
        status = None
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            try:
                connection.request("POST", f"/v1/webhook-deliveries/{id}", body, headers)
                status = connection.getresponse().status
            except ConnectionError:
                pass
        if status not in (None, 404, 503):
            return status
        assert time.monotonic() < over, (status, (place.folder / "up.log").read_text())
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["blueprints/pipeline", "use-cases/event-driven-webhook"])
def test_the_copy_differs_in_addresses_and_secrets_only(name: str) -> None:
    changed = changed_lines(folder(name), "http://127.0.0.1:1")
    assert {line.split(":")[0].strip() for line in changed} == {"base_url", "value"}
