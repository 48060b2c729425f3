"""Nobody queues a task through a TaskWebhook who does not know its secret, and none twice.

A real server on a free port and a real database, SQLite and PostgreSQL, spoken to over
sockets. Each refusal is told apart from the others by what is counted.
"""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import COMMIT, Home

from reconciler import moved_rows, recorded
from reconciler.change import Action, Change
from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.event import BODY_BYTES_MAX
from reconciler.web import addresses, deliveries, tally
from reconciler.web.deliveries import Deliveries
from reconciler.web.router import Route, Router
from reconciler.web.server import Server
from runner.contract import clock, settings
from runner.contract.kinds import Key

SECRET = "a secret that nobody guesses"
BODY = b'{"event": "report",  "topic": "x"}'
GENERIC = {"task_ref": "report", "auth": {"secret_ref": "signing"}}
GITHUB = {"task_ref": "report", "auth": {"secret_ref": "signing", "profile": "github"}}


def sign(content: bytes, algorithm: str = "sha256", secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), content, algorithm).hexdigest()


def now_s() -> int:
    return clock.now_us() // 1_000_000


class Port:
    """A home with a template, a Secret and webhooks, and a server that takes deliveries."""

    def __init__(self, folder: Path, url: str) -> None:
        self.home = Home(folder / "home", url)
        (folder / "secrets").mkdir()
        self.secret = folder / "secrets" / "signing"
        self.secret.write_text(SECRET + "\n")
        (folder / "home" / "orloj.toml").write_text(
            f'[secrets]\nfolder = "{folder / "secrets"}"\n'
        )
        self.home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
        self.home.record("Agent", "writer", {"model": "m"})
        self.home.record("Secret", "signing", {"fromFile": {"value": "signing"}})
        template = {"agent": "writer", "mode": "template", "input": {"topic": "none", "n": ""}}
        self.home.record("Task", "report", template | {"priority": "high"})
        self.webhook("hook", GENERIC)
        loaded = settings.load(folder / "home", {"ORLOJ_DATABASE_URL": url} if url else {})
        self.deliveries = Deliveries(loaded, self.home.database)
        route = Route(
            addresses.DELIVERIES, ("POST",), self.deliveries.handle, self.deliveries.judge
        )
        self.server = Server("127.0.0.1", 0, Router([route]))
        self.server.start()

    def webhook(self, name: str, spec: dict[str, Any]) -> None:
        self.home.record("TaskWebhook", name, spec)

    def close(self) -> None:
        self.server.stop()
        self.deliveries.tally.stop()
        self.home.close()

    def send(
        self, name: str, headers: dict[str, str], body: bytes = BODY, *, said: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer; `said` stands after the headers as it is."""
        id = delivery_rows.identity(Key("default", "TaskWebhook", name))
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
        lines = "".join(f"{key}: {value}\r\n" for key, value in given.items() if value)
        head = f"POST {addresses.DELIVERIES}{id} HTTP/1.1\r\nHost: x\r\n{lines}{said}\r\n"
        return self.speak(head.encode() + body)

    def speak(self, said: bytes) -> tuple[int, dict[str, Any]]:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as one:
            one.sendall(said)
            one.shutdown(socket.SHUT_WR)
            parts = []
            while part := one.recv(65_536):
                parts.append(part)
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(body)

    def tasks(self) -> list[Any]:
        return self.home.rows("SELECT id, input, actor, task_name, priority FROM task")

    def standing(self, name: str = "hook") -> delivery_rows.Standing:
        self.deliveries.tally.write()
        with self.home.database.read() as connection:
            key = Key("default", "TaskWebhook", name)
            return delivery_rows.standings(connection).get(key, delivery_rows.Standing())


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    port = Port(tmp_path, "")
    yield port
    port.close()


@pytest.fixture
def either(tmp_path: Path, database_url: str) -> Iterator[Port]:
    """A port on each database."""
    port = Port(tmp_path, database_url)
    yield port
    port.close()


def timed(body: bytes = BODY, event: str = "e-1", at: int | None = None) -> dict[str, str]:
    time = str(now_s() if at is None else at)
    signature = sign(time.encode() + b"." + body)
    return {"X-Timestamp": time, "X-Event-Id": event, "X-Signature": f"sha256={signature}"}


# Who knows the secret queues a task, once for each event.


def test_a_delivery_queues_the_template_with_its_payload(either: Port) -> None:
    status, answered = either.send("hook", timed())
    assert (status, answered["accepted"], answered["duplicate"]) == (202, True, False)
    ((task, stored, actor, template, priority),) = either.tasks()
    inputs = json.loads(stored)
    assert (task, actor, template, priority) == (
        answered["task"], "webhook:default/hook", "report", 1,
    )  # fmt: skip
    assert inputs.pop("webhook_received_at").endswith("Z")
    assert inputs == {
        "topic": "none",
        "n": "",
        "webhook_payload": BODY.decode(),
        "webhook_event_id": "e-1",
        "webhook_source": "default/hook",
    }
    standing = either.standing()
    assert (standing.accepted, standing.task) == (1, task)


def test_the_log_says_what_came_and_keeps_neither_event_nor_payload(either: Port) -> None:
    _, answered = either.send("hook", timed(event="a-name-of-theirs"))
    queued, received = either.home.entries(answered["task"])
    assert (queued["type"], queued["actor"]) == ("task.queued", "webhook:default/hook")
    assert received["type"] == "webhook.received"
    assert received["rule"] == "taskwebhooks/hook.yaml:1"
    assert received["commit"] == queued["commit"] == COMMIT
    assert received["resource"] == "taskwebhook/default/hook"
    ((raw,),) = either.home.rows("SELECT raw FROM audit_entry WHERE type = 'webhook.received'")
    assert b"a-name-of-theirs" not in bytes(raw)
    assert b"commit" in bytes(raw)
    ((known,),) = either.home.rows("SELECT event FROM task_webhook_event")
    assert known == hashlib.sha256(b"a-name-of-theirs").hexdigest()


def test_the_same_event_again_is_told_its_task_and_queues_none(either: Port) -> None:
    _, first = either.send("hook", timed())
    status, again = either.send("hook", timed(b'{"other": 1}'), b'{"other": 1}')
    assert (status, again) == (200, first | {"duplicate": True})
    assert len(either.tasks()) == 1
    assert (either.standing().accepted, either.standing().duplicates) == (1, 1)


def test_another_event_is_another_task(either: Port) -> None:
    tasks = {either.send("hook", timed(event=f"e-{n}"))[1]["task"] for n in range(3)}
    assert tasks == {row[0] for row in either.tasks()}
    assert len(tasks) == 3


def test_one_event_sent_by_ten_at_once_is_one_task(either: Port) -> None:
    answers: list[tuple[int, dict[str, Any]]] = []
    headers = timed()
    senders = [
        threading.Thread(target=lambda: answers.append(either.send("hook", headers)))
        for _ in range(10)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(status for status, _ in answers) == [200] * 9 + [202]
    assert len({answered["task"] for _, answered in answers}) == len(either.tasks()) == 1


def test_an_event_is_known_as_long_as_its_window_lasts(either: Port) -> None:
    either.send("hook", timed())
    with either.home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task_webhook_event SET expires_at = 1")
    assert either.send("hook", timed())[0] == 202
    assert len(either.tasks()) == 2
    ((until,),) = either.home.rows("SELECT expires_at FROM task_webhook_event")
    assert until > clock.now_us() + 80_000 * 1_000_000


def test_events_whose_window_is_over_are_forgotten(either: Port) -> None:
    for number in range(3):
        either.send("hook", timed(event=f"e-{number}"))
    with either.home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task_webhook_event SET expires_at = 1")
    either.send("hook", timed(event="e-9"))
    assert len(either.home.rows("SELECT event FROM task_webhook_event")) == 1


def test_the_known_events_follow_a_webhook_to_its_new_name(port: Port) -> None:
    port.send("hook", timed())
    old, new = Key("default", "TaskWebhook", "hook"), Key("default", "TaskWebhook", "renamed")
    port.webhook("renamed", GENERIC)
    carry(port, old, new)
    assert port.send("renamed", timed())[0] == 200


def carry(port: Port, old: Key, new: Key) -> None:
    """Move as an apply does."""
    with port.home.database.write() as connection:
        before = recorded.resources_with(connection, [old])[old]
        change = Change(action=Action.MOVE, key=new, reason="", before=before, after=None)
        moved_rows.carry(connection, [change], serial=2, commit=COMMIT, now_us=1)


def test_the_short_address_leads_to_the_same_webhook(port: Port) -> None:
    id = delivery_rows.identity(Key("default", "TaskWebhook", "hook"))
    assert id == hashlib.sha256(b"default/hook").hexdigest()[:24]
    lines = "".join(f"{key}: {value}\r\n" for key, value in timed().items())
    said = (
        f"POST {addresses.DELIVERIES}{id[:12]} HTTP/1.1\r\nHost: x\r\n{lines}"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    assert port.speak(said.encode() + BODY)[0] == 202


# Every way to prove it.

PROFILES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "github": (
        {"profile": "github"},
        {"X-Hub-Signature-256": f"sha256={sign(BODY)}", "X-GitHub-Delivery": "g-1"},
    ),
    "a shared token": (
        {"profile": "shared_token", "signature_header": "X-Telegram-Bot-Api-Secret-Token"},
        {"X-Telegram-Bot-Api-Secret-Token": SECRET, "X-Event-Id": "t-1"},
    ),
    "a bearer token": (
        {
            "profile": "shared_token",
            "signature_header": "Authorization",
            "signature_prefix": "Bearer ",
        },
        {"Authorization": f"Bearer {SECRET}", "X-Event-Id": "t-1"},
    ),
    "hmac of the body in base64": (
        {"profile": "hmac", "signature_header": "X-Mac", "signature_encoding": "base64"},
        {"X-Mac": base64.b64encode(bytes.fromhex(sign(BODY))).decode(), "X-Event-Id": "1"},
    ),
    "hmac by sha1": (
        {
            "profile": "hmac",
            "signature_header": "X-Hub-Signature",
            "signature_prefix": "sha1=",
            "algorithm": "sha1",
        },
        {"X-Hub-Signature": f"sha1={sign(BODY, 'sha1')}", "X-Event-Id": "1"},
    ),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_queues_with_its_own_proof(port: Port, profile: str) -> None:
    auth, headers = PROFILES[profile]
    port.webhook("other", {"task_ref": "report", "auth": {"secret_ref": "signing"} | auth})
    assert port.send("other", headers)[0] == 202
    wrong = {
        key: value[:-1] + ("1" if value[-1] == "0" else "0") if len(value) > 9 else value
        for key, value in headers.items()
    }
    assert port.send("other", wrong)[0] == 401
    assert port.send("other", {})[0] == 401
    assert len(port.tasks()) == 1


STRIPE = {
    "profile": "hmac",
    "secret_ref": "signing",
    "signature_header": "Stripe-Signature",
    "header_format": "kv_pairs",
    "signature_key": "v1",
    "timestamp_key": "t",
    "payload_format": "timestamp_dot_body",
}
SLACK = {
    "profile": "hmac",
    "secret_ref": "signing",
    "signature_header": "X-Slack-Signature",
    "signature_prefix": "v0=",
    "timestamp_header": "X-Slack-Request-Timestamp",
    "payload_format": "prefix_timestamp_body",
    "payload_prefix": "v0",
    "payload_separator": ":",
}


def test_pairs_are_read_as_stripe_writes_them(port: Port) -> None:
    port.webhook(
        "stripe",
        {
            "task_ref": "report",
            "auth": STRIPE,
            "idempotency": {"event_id_from_body": "data.id"},
        },
    )
    body, at = b'{"data": {"id": "evt_1"}}', now_s()
    right = sign(f"{at}.".encode() + body)
    for header, status in (
        (f"t={at},v1={right}", 202),
        (f"t={at},v1={'0' * 64},v1={right}", 200),  # Two, while a secret is changed.
        (f"t={at},v0={right}", 401),
        (f"t={at},t={at},v1={right}", 401),
        (f"v1={right}", 401),
        (f"t={at - 400},v1={sign(f'{at - 400}.'.encode() + body)}", 401),
    ):
        assert port.send("stripe", {"Stripe-Signature": header}, body)[0] == status, header
    assert [row[0] for row in port.home.rows("SELECT event FROM task_webhook_event")] == [
        hashlib.sha256(b"evt_1").hexdigest()
    ]


def test_a_prefix_is_signed_as_slack_does(port: Port) -> None:
    port.webhook(
        "slack",
        {"task_ref": "report", "auth": SLACK, "idempotency": {"event_id_from_body": "id"}},
    )
    body, at = b'{"id": 7}', now_s()
    headers = {
        "X-Slack-Request-Timestamp": str(at),
        "X-Slack-Signature": f"v0={sign(f'v0:{at}:'.encode() + body)}",
    }
    assert port.send("slack", headers, body)[0] == 202
    late = headers | {"X-Slack-Request-Timestamp": str(at - 1)}
    assert port.send("slack", late, body)[0] == 401


def test_a_task_that_stands_in_the_webhook_is_queued(port: Port) -> None:
    port.webhook(
        "inline",
        {
            "task_template": {"agent": "writer", "input": {"topic": "?"}, "priority": "low"},
            "auth": {"secret_ref": "signing"},
            "payload": {"mode": "json"},
        },
    )
    body = b'{"topic": {"a": [1]}, "n": "not declared", "webhook_source": "forged"}'
    assert port.send("inline", timed(body), body)[0] == 202
    ((_, stored, _, template, priority),) = port.tasks()
    inputs = json.loads(stored)
    assert (template, priority, inputs["topic"]) == (None, 3, '{"a": [1]}')
    assert inputs["webhook_source"] == "default/inline"
    assert "n" not in inputs


# Who does not, queues nothing and learns nothing.


def forged(name: str) -> tuple[dict[str, str], bytes]:
    at = str(now_s())
    good = timed()
    return {
        "no proof": ({}, BODY),
        "no time": (good | {"X-Timestamp": ""}, BODY),
        "a body signed alone": (good | {"X-Signature": f"sha256={sign(BODY)}"}, BODY),
        "another body": (good, BODY + b" "),
        "another secret": (
            good | {"X-Signature": "sha256=" + sign(f"{at}.".encode() + BODY, secret="x")},
            BODY,
        ),
        "no prefix": (good | {"X-Signature": good["X-Signature"][7:]}, BODY),
        "an empty proof": (good | {"X-Signature": "sha256="}, BODY),
        "upper case": (
            good | {"X-Signature": f"sha256={good['X-Signature'][7:].upper()}"},
            BODY,
        ),
        "letters of elsewhere": (good | {"X-Signature": "sha256=ä"}, BODY),
        "the header of another": (
            {"X-Hub-Signature-256": f"sha256={sign(BODY)}", "X-Event-Id": "1"},
            BODY,
        ),
        "long ago": (timed(at=now_s() - 400), BODY),
        "to come": (timed(at=now_s() + 3_000), BODY),
        "no number": (
            {
                "X-Timestamp": "1e3",
                "X-Signature": f"sha256={sign(b'1e3.' + BODY)}",
                "X-Event-Id": "1",
            },
            BODY,
        ),
        "an old delivery under a new time": (
            timed(at=now_s() - 400) | {"X-Timestamp": at},
            BODY,
        ),
    }[name]


FORGED = (
    "no proof", "no time", "a body signed alone", "another body", "another secret",
    "no prefix", "an empty proof", "upper case", "letters of elsewhere",
    "the header of another", "long ago", "to come", "no number",
    "an old delivery under a new time",
)  # fmt: skip


@pytest.mark.parametrize("attack", FORGED)
def test_what_is_not_proved_queues_nothing_and_is_counted(port: Port, attack: str) -> None:
    headers, body = forged(attack)
    assert port.send("hook", headers, body) == (401, {"error": "refused"})
    assert port.tasks() == []
    assert port.standing().refused == 1


@pytest.mark.parametrize("header", ["X-Signature", "X-Timestamp"])
def test_a_proof_that_is_there_twice_is_none(port: Port, header: str) -> None:
    headers = timed()
    assert port.send("hook", headers, said=f"{header}: {headers[header]}\r\n")[0] == 401
    assert port.tasks() == []


def test_an_address_that_nobody_has_is_not_there(port: Port) -> None:
    assert port.send("nobody", timed()) == (404, {"error": "not found"})
    assert port.tasks() == []


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param({"Content-Type": "text/plain"}, BODY, 415, id="a text"),
        pytest.param({"Content-Type": ""}, BODY, 415, id="no media type"),
        pytest.param(
            {"Content-Type": "application/x-www-form-urlencoded"}, BODY, 415, id="a form"
        ),
        pytest.param({}, b" " * (BODY_BYTES_MAX + 1), 413, id="too long"),
        pytest.param(
            {"Content-Length": "", "Transfer-Encoding": "chunked"},
            b"0\r\n\r\n",
            411,
            id="chunks",
        ),
    ],
)
def test_what_is_no_delivery_is_refused_before_anything_is_read(
    port: Port, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert port.send("hook", timed(body) | headers, body)[0] == status
    assert port.tasks() == []


def test_a_stranger_who_asks_again_and_again_is_told_to_wait(port: Port) -> None:
    statuses = [port.send("hook", {})[0] for _ in range(122)]
    assert statuses[:119] == [401] * 119
    assert statuses[-1] == 429


def test_a_sender_who_knows_the_secret_and_goes_wild_is_held_up(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port.deliveries, "_accepted", deliveries.Rate(2.0, 0.0))
    statuses = [port.send("hook", timed(event=f"e-{n}"))[0] for n in range(3)]
    assert statuses == [202, 202, 429]
    assert len(port.tasks()) == 2


# What has shown its secret is told what is wrong.


@pytest.mark.parametrize(
    ("spec", "headers", "body", "said"),
    [
        pytest.param(GENERIC, {"X-Event-Id": ""}, BODY, "X-Event-Id", id="no event"),
        pytest.param(
            GENERIC, {"X-Event-Id": "x" * 300}, BODY, "longer than", id="a long event"
        ),
        pytest.param(GENERIC, {}, b"\xff", "no UTF-8", id="no text"),
        pytest.param(GENERIC, {}, b"\x00", "a NUL", id="a nul"),
        pytest.param(
            GENERIC | {"payload": {"mode": "json"}}, {}, b"[1]", "a JSON object", id="a list"
        ),
        pytest.param(
            GENERIC | {"payload": {"mode": "json"}}, {}, b"{", "no JSON", id="no json"
        ),
        pytest.param(
            GENERIC | {"payload": {"mode": "json"}}, {}, b"[" * 100_000, "no JSON", id="deep"
        ),
        pytest.param(
            GENERIC | {"payload": {"mode": "json"}},
            {},
            b'{"topic": "\\u0000"}',
            "a NUL",
            id="a hidden nul",
        ),
        pytest.param(
            GENERIC | {"payload": {"mode": "json"}},
            {},
            b'{"topic": "\\ud800"}',
            "no JSON",
            id="half a pair",
        ),
        pytest.param(
            GENERIC | {"idempotency": {"event_id_from_body": "a.b"}},
            {},
            b'{"a": {"b": true}}',
            "a.b",
            id="no event in the body",
        ),
    ],
)
def test_a_delivery_that_cannot_be_used_is_told_why(
    either: Port, spec: dict[str, Any], headers: dict[str, str], body: bytes, said: str
) -> None:
    either.webhook("hook", spec)
    status, answered = either.send("hook", timed(body) | headers, body)
    assert status == 400
    assert said in answered["error"]
    assert either.tasks() == []
    assert said in (either.standing().refusal or "")


def test_a_suspended_webhook_queues_nothing_and_says_so_to_its_sender(port: Port) -> None:
    port.webhook("hook", GENERIC | {"suspend": True})
    status, answered = port.send("hook", timed())
    assert (status, answered["error"]) == (503, "its manifest suspends it")
    assert port.send("hook", {}) == (401, {"error": "refused"})
    port.webhook("hook", GENERIC)
    assert port.send("hook", timed())[0] == 202
    assert len(port.tasks()) == 1


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_secret_without_a_value_lets_nobody_in(port: Port, value: str | None) -> None:
    if value is None:
        port.secret.unlink()
    else:
        port.secret.write_text(value)
    at = str(now_s())
    empty = {"X-Signature": f"sha256={sign(f'{at}.'.encode() + BODY, secret='')}"}
    forged = {"X-Timestamp": at, "X-Event-Id": "e"} | empty
    assert port.send("hook", forged) == (503, {"error": "try again later"})
    assert port.tasks() == []
    assert (
        port.standing().problem == "secret/default/signing has no value for value on this host"
    )
    port.secret.write_text(SECRET)
    assert port.send("hook", timed())[0] == 202
    assert not port.standing().problem


def test_a_new_secret_counts_at_once(port: Port) -> None:
    port.secret.write_text("another secret")
    assert port.send("hook", timed())[0] == 401


def test_a_secret_of_another_namespace_must_allow_it(port: Port) -> None:
    port.home.record("Secret", "theirs", {"fromFile": {"value": "signing"}}, namespace="b")
    port.webhook("hook", {"task_ref": "report", "auth": {"secret_ref": "b/theirs"}})
    assert port.send("hook", timed())[0] == 503
    assert port.tasks() == []


def test_a_template_that_is_gone_is_a_condition(either: Port) -> None:
    either.webhook("hook", GENERIC | {"task_ref": "gone"})
    status, answered = either.send("hook", timed())
    assert (status, answered["error"]) == (503, "task/default/gone is not there")
    assert either.standing().problem == "task/default/gone is not there"
    either.webhook("hook", GENERIC)
    assert either.send("hook", timed())[0] == 202


def test_refusals_are_counted_and_written_not_too_often(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "LATER_S", 3_600.0)
    for _ in range(40):
        port.send("hook", {})
    ((written,),) = port.home.rows("SELECT refused FROM task_webhook")
    assert tally.WRITTEN_MOST <= written < 40
    assert port.standing().refused == 40
