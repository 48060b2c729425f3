"""A signed request becomes work, once, whatever dies between the two.

A real repository, a real daemon with its port, a real runner with a scripted model. What a
sender does who hears nothing is send again: the event then has its one task, and is told it.
"""

import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from followed import Followed

pytestmark = pytest.mark.story

SECRET = "a secret that nobody guesses"
EXAMPLE = Path(__file__).parents[1] / "data/upstream/examples/use-cases/event-driven-webhook"
BODY = b'{"topic": "AI startups"}'
MANIFESTS = f"""\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: default
spec:
  provider: mock
  default_model: scripted
---
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: writer
spec:
  model: scripted
---
apiVersion: orloj.dev/v1
kind: Secret
metadata:
  name: signing
spec:
  stringData:
    value: {SECRET}
---
apiVersion: orloj.dev/v1
kind: Task
metadata:
  name: report
spec:
  mode: template
  agent: writer
  input:
    topic: none
---
apiVersion: orloj.dev/v1
kind: TaskWebhook
metadata:
  name: hook
spec:
  task_ref: report
  auth:
    secret_ref: signing
"""


class World(Followed):
    """A home with a webhook, and a port."""

    def port(self) -> int:
        self.until(lambda: bool(self.logged("web_listening")))
        return int(self.logged("web_listening")[-1]["port"])

    @contextmanager
    def runner(self) -> Iterator[None]:
        with (self.home / "runner.log").open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "runner", str(self.home)],
                env=self.environment | {"ORLOJ_RUNNER_WORKERS": "1"},
                stderr=file,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def request(event: str, secret: str = SECRET) -> tuple[str, dict[str, str]]:
    id = hashlib.sha256(b"default/hook").hexdigest()[:24]
    at = str(int(time.time()))
    digest = hmac.new(secret.encode(), at.encode() + b"." + BODY, hashlib.sha256)
    return f"/v1/webhook-deliveries/{id}", {
        "Content-Type": "application/json",
        "X-Timestamp": at,
        "X-Event-Id": event,
        "X-Signature": f"sha256={digest.hexdigest()}",
    }


def deliver(port: int, event: str) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as asked:
        path, headers = request(event)
        asked.request("POST", path, BODY, headers)
        answered = asked.getresponse()
        return answered.status, json.loads(answered.read())


def send_unheard(port: int, event: str) -> socket.socket:
    """The whole request, and a sender who does not read."""
    path, headers = request(event)
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n{lines}\r\n"
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(head.encode() + BODY)
    return connection


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.settings('[web]\nlisten = "127.0.0.1:0"\n')
    yield world
    world.close()


def test_a_signed_request_is_worked_on_and_can_be_walked_back(world: World) -> None:
    commit = world.push({"all.yaml": MANIFESTS})
    with world.daemon(), world.runner():
        world.applied(commit)
        status, answered = deliver(world.port(), "evt-1")
        task = answered["task"]
        assert status == 202
        world.until(
            lambda: world.rows("SELECT state FROM task WHERE id = ?", task) == [("succeeded",)]
        )
        assert deliver(world.port(), "evt-1") == (200, answered | {"duplicate": True})
        shown = json.loads(world.run("task", task, "--json").stdout)
        (listed,) = json.loads(world.run("webhooks", "--json").stdout)
    assert shown["commit"] == commit
    assert shown["actor"] == "webhook:default/hook"
    assert shown["input"]["webhook_payload"] == BODY.decode()
    assert listed["url"].endswith(request("")[0])
    assert listed["last_delivery"]["task"] == task
    assert (listed["accepted"], listed["duplicates"], listed["condition"]) == (1, 1, "ready")
    log = json.loads(world.run("audit", "log", "--task", task, "--json").stdout)
    received = [entry for entry in log if entry["type"] == "webhook.received"]
    assert [entry["commit"] for entry in received] == [commit]
    assert world.run("audit", "verify").returncode in (0, 2)
    text = (world.home / "daemon.log").read_text() + (world.home / "runner.log").read_text()
    assert SECRET not in text
    assert "AI startups" not in text


def test_a_daemon_killed_before_it_answers_has_queued_once_or_not_at_all(world: World) -> None:
    commit = world.push({"all.yaml": MANIFESTS})
    known: dict[str, str] = {}
    for number, patience_s in enumerate((0.0, 0.006, 0.012, 0.1)):
        (world.home / "daemon.log").write_text("")
        event = f"evt-{number}"
        with world.daemon() as daemon:
            world.applied(commit)
            port = world.port()
            for earlier, task in known.items():
                assert deliver(port, earlier)[1] == {
                    "accepted": True, "duplicate": True, "task": task,
                }  # fmt: skip
            with closing(send_unheard(port, event)):
                time.sleep(patience_s)  # What is tried: an end at any point of the request.
                os.kill(daemon.pid, signal.SIGKILL)
                daemon.wait(timeout=30)
        before = world.rows("SELECT task_id FROM task_webhook_event WHERE event = ?",
                            hashlib.sha256(event.encode()).hexdigest())  # fmt: skip
        (world.home / "daemon.log").write_text("")
        with world.daemon():
            status, answered = deliver(world.port(), event)
        assert (status, answered["duplicate"]) == ((200, True) if before else (202, False))
        known[event] = answered["task"]
    tasks = [row[0] for row in world.rows("SELECT id FROM task ORDER BY id")]
    assert tasks == sorted(known.values())
    assert len(tasks) == 4


def test_the_public_example_takes_deliveries_unchanged(world: World) -> None:
    """What the example's document tells senders to sign is believed; its model is not asked."""
    files = {
        str(path.relative_to(EXAMPLE)): path.read_text() for path in EXAMPLE.rglob("*.yaml")
    }
    commit = world.push(files)
    with world.daemon():
        world.applied(commit)
        (listed,) = json.loads(world.run("webhooks", "--json").stdout)
        secret = "replace-with-a-long-random-shared-secret"
        _, headers = request("evt-001", secret)
        headers["Content-Type"] = "application/json; charset=utf-8"
        with closing(http.client.HTTPConnection("127.0.0.1", world.port())) as asked:
            path = listed["url"][listed["url"].index("/v1/") :]
            asked.request("POST", path, BODY, headers)
            assert asked.getresponse().status == 202
    ((stored, name, retry),) = world.rows("SELECT input, task_name, retry FROM task")
    assert json.loads(stored)["webhook_payload"] == BODY.decode()
    assert json.loads(stored)["topic"] == "default topic if payload omits context"
    assert (name, json.loads(retry)["max_attempts"]) == ("uc-webhook-template-task", 2)


def test_a_webhook_of_a_commit_listens_until_a_commit_takes_it_away(world: World) -> None:
    first = world.push({"all.yaml": MANIFESTS})
    with world.daemon():
        world.applied(first)
        port = world.port()
        assert deliver(port, "1")[0] == 202
        suspended = MANIFESTS.replace(
            "  task_ref: report", "  suspend: true\n  task_ref: report"
        )
        world.applied(world.push({"all.yaml": suspended}))
        assert deliver(port, "2")[0] == 503
        gone = MANIFESTS[: MANIFESTS.index("---\napiVersion: orloj.dev/v1\nkind: TaskWebhook")]
        world.applied(world.push({"all.yaml": gone}))
        assert deliver(port, "3")[0] == 404
        world.applied(world.push({"all.yaml": MANIFESTS}))
        assert deliver(port, "1")[0] == 200  # What was known stays known.
    assert len(world.rows("SELECT id FROM task")) == 1
