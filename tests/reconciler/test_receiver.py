"""Nobody wakes a repository, or stops the port, who does not know the secret.

A real server on a free port, spoken to over sockets, byte by byte where that matters. Each
test of an attack has been seen to fail with its defence taken out; which one that was stands
in the list at the end.
"""

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.pulse import Pulse
from reconciler.web import payload, server
from reconciler.web.hooks import PREFIX, Hooks
from reconciler.web.message import Head, answer
from reconciler.web.rate import KEPT_MAX, Rate, neighbourhood
from reconciler.web.router import ASKED_MOST, Route, Router, asker
from reconciler.web.seen import Seen
from reconciler.web.server import BODY_BYTES_MAX, CONNECTIONS_MAX, Server
from runner.contract import clock, errors, settings, telemetry
from runner.contract.source_settings import Source

SECRET = "a secret that nobody guesses"
PUSH = b'{"ref": "refs/heads/main",  "x": 1}'


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Port:
    """A server with receivers of every kind; `woken` holds what they woke, in order."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        (home / "hook.secret").write_text(SECRET + "\n")
        kinds = ("github", "gitlab", "gitea", "generic-hmac", "generic")
        (home / "orloj.toml").write_text(
            '[source]\nurl = "/srv/a.git"\n[sources.b]\nurl = "/srv/b.git"\nref = "dev"\n'
            + "".join(
                f'[receivers.{kind}]\nkind = "{kind}"\nsecret_file = "hook.secret"\n'
                for kind in kinds
            )
            + '[receivers.picky]\nkind = "github"\nsecret_file = "hook.secret"\n'
            'sources = ["b"]\nevents = ["push"]\n'
        )
        self.home = home
        self.woken: list[list[str]] = []
        hooks = Hooks(settings.load(home, {}), lambda names: self.woken.append(list(names)))
        hooks.check()
        routes = [
            Route("/healthz", ("GET",), lambda _head, _body: answer(200, status="ok")),
            Route("/fault", ("GET",), lambda _head, _body: answer(1 // 0)),
            Route(PREFIX, ("POST",), hooks.handle, hooks.judge),
        ]
        self.server = Server("127.0.0.1", 0, Router(routes, ["127.0.0.1"]))
        self.server.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=20)

    def speak(self, said: bytes) -> bytes:
        """All that comes back for these bytes."""
        with self.connect() as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def post(self, name: str, body: bytes = PUSH, **headers: str) -> int:
        """The status of a delivery; `x_event="push"` is the header X-Event."""
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        lines = "".join(f"{key}: {value}\r\n" for key, value in given.items())
        head = f"POST {PREFIX}{name} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
        return status(self.speak(head.encode() + body))

    def push(self, body: bytes = PUSH, id: str = "1", **headers: str) -> int:
        """A delivery of GitHub as it should be."""
        signature = {"X_Hub_Signature_256": f"sha256={sign(body)}"}
        return self.post(
            "github",
            body,
            **({"X_GitHub_Delivery": id, "X_GitHub_Event": "push"} | signature | headers),
        )


def read_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass  # Cut off, which is an answer too.
    return b"".join(parts)


def status(answered: bytes) -> int:
    """0: the connection was closed without an answer."""
    return int(answered.split(b" ", 2)[1]) if answered else 0


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    port = Port(tmp_path / "home")
    yield port
    port.server.stop()


# Who knows the secret wakes what the receiver is for.


def test_a_signed_push_wakes_whoever_follows_its_branch(port: Port) -> None:
    assert port.push() == 202
    assert port.push(b'{"ref": "refs/heads/dev"}', id="2") == 202
    assert port.woken == [["default"], ["b"]]


def test_a_push_of_another_branch_wakes_nobody(port: Port) -> None:
    assert port.push(b'{"ref": "refs/heads/other"}') == 200
    assert port.woken == []


def test_a_ping_is_answered_and_wakes_nobody(port: Port) -> None:
    assert port.push(b'{"zen": "x"}', X_GitHub_Event="ping") == 200
    assert port.woken == []


def test_a_receiver_wakes_its_own_repositories_for_its_own_events(port: Port) -> None:
    body = b"{}"
    signature = {"X_Hub_Signature_256": f"sha256={sign(body)}"}
    assert port.post("picky", body, X_GitHub_Event="issues", **signature) == 200
    body = b'{"a": 1}'
    signature = {"X_Hub_Signature_256": f"sha256={sign(body)}"}
    assert port.post("picky", body, X_GitHub_Event="push", **signature) == 202
    assert port.woken == [["b"]]


def timed(body: bytes, seconds: int) -> dict[str, str]:
    content = f"{seconds}.".encode() + body
    return {"X_Timestamp": str(seconds), "X_Signature": f"sha256={sign(content)}"}


def now_s() -> int:
    return clock.now_us() // 1_000_000


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        pytest.param("gitea", {"X_Gitea_Signature": sign(PUSH)}, id="gitea"),
        pytest.param("gitlab", {"X_Gitlab_Token": SECRET}, id="gitlab"),
        pytest.param("generic-hmac", {}, id="generic-hmac"),
        pytest.param("generic", {"Authorization": f"Bearer {SECRET}"}, id="generic"),
    ],
)
def test_every_kind_of_host_wakes_with_its_own_proof(
    port: Port, name: str, headers: dict[str, str]
) -> None:
    # A time is signed when it is sent: what is written above may be minutes old.
    proof = headers or timed(PUSH, now_s())
    assert port.post(name, **proof) == 202
    assert port.woken == [["default"]]


# Who does not, gets one answer, whatever they try.

FORGED: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "no proof": ("github", PUSH, {}),
    "another secret": ("github", PUSH, {"X_Hub_Signature_256": f"sha256={sign(PUSH, 'x')}"}),
    "signed after parsing": (
        "github",
        PUSH,
        {"X_Hub_Signature_256": f"sha256={sign(json.dumps(json.loads(PUSH)).encode())}"},
    ),
    "another body": ("github", PUSH + b" ", {"X_Hub_Signature_256": f"sha256={sign(PUSH)}"}),
    "sha1 alone": (
        "github",
        PUSH,
        {"X_Hub_Signature": "sha1=" + hmac.new(SECRET.encode(), PUSH, "sha1").hexdigest()},
    ),
    "an empty signature": ("github", PUSH, {"X_Hub_Signature_256": "sha256="}),
    "a signature of other letters": ("github", PUSH, {"X_Hub_Signature_256": "sha256=ä"}),
    "an upper-case signature": (
        "github",
        PUSH,
        {"X_Hub_Signature_256": f"sha256={sign(PUSH).upper()}"},
    ),
    "the proof of another kind": ("gitea", PUSH, {"X_Hub_Signature_256": sign(PUSH)}),
    "gitea unsigned": ("gitea", PUSH, {}),
    "gitlab without token": ("gitlab", PUSH, {}),
    "gitlab with an empty token": ("gitlab", PUSH, {"X_Gitlab_Token": ""}),
    "gitlab with half a token": ("gitlab", PUSH, {"X_Gitlab_Token": SECRET[:-1]}),
    "a bearer of nothing": ("generic", PUSH, {"Authorization": "Bearer "}),
    "another scheme": ("generic", PUSH, {"Authorization": f"Basic {SECRET}"}),
    "generic without a time": (
        "generic-hmac",
        PUSH,
        {"X_Signature": f"sha256={sign(b'.' + PUSH)}"},
    ),
    "a body signed without its time": (
        "generic-hmac",
        PUSH,
        {"X_Signature": f"sha256={sign(PUSH)}", "X_Timestamp": str(now_s())},
    ),
    "a time long ago": ("generic-hmac", PUSH, timed(PUSH, now_s() - 400)),
    "a time to come": ("generic-hmac", PUSH, timed(PUSH, now_s() + 3_000)),
    "an old delivery under a new time": (
        "generic-hmac",
        PUSH,
        timed(PUSH, now_s() - 400) | {"X_Timestamp": str(now_s())},
    ),
    "a name that nobody has": ("nobody", PUSH, {"X_Hub_Signature_256": f"sha256={sign(PUSH)}"}),
    "a folder above": ("..", PUSH, {"X_Hub_Signature_256": f"sha256={sign(PUSH)}"}),
    "a long name": ("x" * 4_000, PUSH, {"X_Hub_Signature_256": f"sha256={sign(PUSH)}"}),
}


@pytest.mark.parametrize("attack", FORGED)
def test_what_is_not_proved_is_refused_and_wakes_nobody(port: Port, attack: str) -> None:
    name, body, headers = FORGED[attack]
    assert port.post(name, body, **headers) == 401
    assert port.woken == []


def test_a_proof_that_is_there_twice_is_none(port: Port) -> None:
    twice = f"sha256={sign(PUSH)}\r\nX-Hub-Signature-256: sha256={sign(PUSH)}"
    assert port.push(X_Hub_Signature_256=twice) == 401
    assert port.woken == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "post", "QUERY"])
def test_a_signed_delivery_by_another_method_wakes_nobody(port: Port, method: str) -> None:
    said = (
        f"{method} {PREFIX}github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={sign(PUSH)}\r\nContent-Length: {len(PUSH)}\r\n\r\n"
    )
    assert status(port.speak(said.encode() + PUSH)) == 405
    assert port.woken == []


def raw(name: str, method: str = "POST", media_type: str = "application/json") -> bytes:
    return (
        f"{method} {PREFIX}{name} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n"
        "Content-Length: 2\r\n\r\n{}"
    ).encode()


@pytest.mark.parametrize(
    ("method", "media_type"),
    [
        pytest.param("POST", "application/json", id="unsigned"),
        pytest.param("POST", "text/plain", id="another media type"),
        pytest.param("GET", "application/json", id="another method"),
        pytest.param("DELETE", "application/json", id="a third method"),
        pytest.param("HEAD", "application/json", id="no body wanted"),
    ],
)
def test_no_answer_says_whether_a_receiver_exists(
    port: Port, method: str, media_type: str
) -> None:
    known = port.speak(raw("github", method, media_type))
    assert port.speak(raw("nobody", method, media_type)) == known
    assert status(known) in (401, 405, 415)


@pytest.mark.parametrize("path", ["/", "/hooks", "/hooks/", "/hooks/github/x", "/admin", "*"])
def test_a_path_that_leads_nowhere_is_not_found(port: Port, path: str) -> None:
    said = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    assert status(port.speak(said.encode())) == 404


def test_a_secret_that_cannot_be_read_refuses_everybody(port: Port) -> None:
    (port.home / "hook.secret").unlink()
    assert port.push() == 401
    (port.home / "hook.secret").write_text("")
    assert port.push(b"{}") == 401
    assert port.post("gitlab", X_Gitlab_Token="") == 401
    assert port.woken == []


def test_a_secret_that_can_be_guessed_is_refused_at_the_start(port: Port) -> None:
    (port.home / "hook.secret").write_text("hunter2")
    with pytest.raises(errors.SettingsInvalid, match="can be guessed") as refused:
        Hooks(settings.load(port.home, {}), lambda _: None).check()
    assert "hunter2" not in str(refused.value)


# A delivery counts once.


def test_a_delivery_that_comes_again_is_refused(port: Port) -> None:
    assert [port.push(), port.push()] == [202, 409]
    assert port.woken == [["default"]]


def test_a_copy_under_another_id_is_refused_since_no_host_signs_the_id(port: Port) -> None:
    assert [port.push(id="1"), port.push(id="2")] == [202, 409]


def test_another_body_under_the_same_id_is_refused(port: Port) -> None:
    assert [port.push(), port.push(PUSH + b" ")] == [202, 409]


def test_a_copy_for_another_receiver_of_the_same_secret_counts_there(port: Port) -> None:
    assert port.push() == 202
    assert port.post("gitea", X_Gitea_Signature=sign(PUSH)) == 202


@pytest.mark.parametrize(
    ("name", "headers", "id"),
    [
        pytest.param(
            "generic", {"Authorization": f"Bearer {SECRET}"}, "X_Delivery", id="generic"
        ),
        pytest.param("gitlab", {"X_Gitlab_Token": SECRET}, "X_Gitlab_Event_UUID", id="gitlab"),
    ],
)
def test_who_tells_the_secret_itself_may_say_the_same_twice(
    port: Port, name: str, headers: dict[str, str], id: str
) -> None:
    """A job that sends one fixed body after every push, which no digest tells apart."""
    assert [port.post(name, **headers) for _ in range(2)] == [202, 202]
    assert [port.post(name, **headers, **{id: "1"}) for _ in range(2)] == [202, 409]


def test_a_stranger_cannot_use_up_the_id_of_a_delivery(port: Port) -> None:
    assert port.push(X_Hub_Signature_256="sha256=0") == 401
    assert port.push() == 202


def test_what_was_seen_is_remembered_up_to_a_bound() -> None:
    seen = Seen(kept_max=3)
    assert [seen.first([key]) for key in "aabcd"] == [True, False, True, True, True]
    assert seen.first(["a"])  # Pushed out: what the bound costs.
    assert not seen.first(["d"])


def test_a_loop_that_owes_an_answer_for_a_minute_is_not_lively() -> None:
    rings: list[None] = []
    pulse = Pulse(lambda: rings.append(None))
    assert pulse.lively(0)
    assert pulse.lively(59_999_999)
    assert not pulse.lively(60_000_000)
    pulse.beat()
    assert pulse.lively(60_000_001)
    assert len(rings) == 4


# What is sent is bounded before it is read.


def test_a_body_that_says_it_is_too_long_is_refused_unread(port: Port) -> None:
    with port.connect() as connection:
        connection.sendall(
            b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 52428800\r\n\r\n"
        )
        assert status(read_all(connection)) == 413  # Of the body, not a byte was sent.


def test_a_body_without_end_is_cut_off(port: Port) -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    sent = 0
    with port.connect() as connection:
        connection.sendall(
            b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 200 * BODY_BYTES_MAX:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
    assert sent < 200 * BODY_BYTES_MAX
    assert port.push() == 202


def test_a_chunked_body_within_the_bound_is_read_whole(port: Port) -> None:
    said = (
        "POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={sign(PUSH)}\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(PUSH):x}\r\n{PUSH.decode()}\r\n0\r\n\r\n"
    )
    assert status(port.speak(said.encode())) == 202


def test_the_largest_body_is_taken_and_one_byte_more_is_not(port: Port) -> None:
    assert port.push(b" " * BODY_BYTES_MAX) == 202
    assert port.push(b" " * (BODY_BYTES_MAX + 1)) == 413


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000, id="long head"
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(b"\x00" * 1_000, id="zeros"),
        pytest.param(b"GET /healthz\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"POST /hooks/github HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(
            b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            id="negative length",
        ),
        pytest.param(
            b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            b"Content-Length: 2\r\n\r\n{}",
            id="two lengths",
        ),
        pytest.param(
            b"POST /hooks/a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", id="zero byte in the path"
        ),
        pytest.param(
            b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="broken chunk",
        ),
    ],
)
def test_what_is_no_request_is_a_400_or_nothing_and_the_port_lives_on(
    port: Port, said: bytes
) -> None:
    assert status(port.speak(said)) in (400, 431, 0)
    assert port.push() == 202


def test_a_body_that_breaks_off_wakes_nobody(port: Port) -> None:
    body = PUSH[:-1]
    said = raw("github").replace(b"Content-Length: 2", b"Content-Length: 999")
    assert status(port.speak(said + body)) in (400, 0)
    assert port.woken == []


def test_a_header_of_theirs_does_not_become_one_of_ours(port: Port) -> None:
    said = b"POST /hooks/x%0d%0aSet-Cookie:a HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b"Set-Cookie" not in port.speak(said)
    split = b"POST /hooks/x\r\nSet-Cookie: a HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b"Set-Cookie" not in port.speak(split)
    answered = port.speak(raw("github"))
    assert b"\r\nServer:" not in answered
    assert b"\r\nConnection: close\r\n" in answered


def test_a_fault_of_a_handler_is_a_500_that_says_nothing(
    port: Port, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure()
    answered = port.speak(b"GET /fault HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(answered) == 500
    assert b"division" not in answered
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["action"] == "web_failed"
    assert port.push() == 202


# Who is slow is cut off, and who comes often waits.


def test_slow_clients_make_room_for_a_good_one(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 600.0)  # Not time is what puts them out.
    slow = [port.connect() for _ in range(4 * CONNECTIONS_MAX)]
    for connection in slow:
        connection.sendall(b"POST /hooks/github HTTP/1.1\r\nX: ")
    assert port.push() == 202
    for connection in slow[: 3 * CONNECTIONS_MAX]:
        assert read_all(connection) == b""  # Put out, the oldest first.
    for connection in slow:
        connection.close()


def test_a_client_that_drips_is_cut_off_in_time(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.3)
    with port.connect() as connection:
        connection.sendall(b"POST /hooks/github HTTP/1.1\r\nX: ")
        cut_off = False
        for _ in range(200):
            try:
                connection.sendall(b"a")
            except OSError:
                cut_off = True
                break
            time.sleep(0.02)  # The drip itself.
    assert cut_off


def test_strangers_run_dry_and_who_is_proved_does_not(port: Port) -> None:
    for number in range(int(ASKED_MOST) + 20):
        assert port.push(PUSH + b" " * number, id=str(number)) == 202
    answers = {port.post("github") for _ in range(int(ASKED_MOST) + 20)}
    assert answers == {401, 429}


def test_a_bucket_fills_again_with_time() -> None:
    rate = Rate(most=2, a_second=1)
    assert [rate.take("a", 0) for _ in range(3)] == [True, True, False]
    assert rate.take("b", 0)
    assert not rate.take("a", 999_999)
    assert rate.take("a", 2_000_000)
    rate.give_back("a")
    assert rate.take("a", 2_000_000)


def test_the_memory_of_who_asked_is_bounded() -> None:
    rate = Rate(most=1, a_second=0)
    for number in range(KEPT_MAX + 1):
        assert rate.take(str(number), 0)
    assert rate.take("0", 0)  # Forgotten.
    assert not rate.take(str(KEPT_MAX), 0)


def test_a_customer_of_ipv6_has_one_bucket() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1")
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("::ffff:192.0.2.1") == neighbourhood("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("address", "said", "expected"),
    [
        pytest.param("10.0.0.1", ["1.1.1.1, 2.2.2.2"], "2.2.2.2", id="of a proxy"),
        pytest.param("10.0.0.1", ["1.1.1.1", "3.3.3.3"], "3.3.3.3", id="twice"),
        pytest.param("10.0.0.1", ["nonsense"], "10.0.0.1", id="no address"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="nothing"),
        pytest.param("10.0.0.2", ["1.1.1.1"], "10.0.0.2", id="of a stranger"),
    ],
)
def test_only_a_proxy_of_ours_says_who_asks(
    address: str, said: list[str], expected: str
) -> None:
    headers = tuple(("x-forwarded-for", text) for text in said)
    head = Head("POST", "/hooks/x", address, headers)
    assert asker(head, frozenset({"10.0.0.1"})) == expected


# What was sent only decides not to wake, and cannot hurt.


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 1_000_000, id="deep list"),
        pytest.param(b'{"a":' * 150_000, id="deep object"),
        pytest.param(b'{"ref": ' + b"9" * 500_000 + b"}", id="a long number"),
        pytest.param(b'{"ref": null}', id="null ref"),
        pytest.param(b'{"ref": {"ref": []}}', id="object as ref"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_proved_body_that_cannot_be_read_wakes_all_the_same(port: Port, body: bytes) -> None:
    assert port.push(body) == 202
    assert port.woken == [["default", "b"]]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("ref"), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_without_an_error(body: bytes) -> None:
    ref = payload.pushed_ref(body)
    assert ref is None or ref.startswith("refs/")


@given(JSON)
def test_any_payload_of_a_push_is_read_without_an_error(value: Any) -> None:
    body = json.dumps({"ref": value, "repository": value, "commits": value}).encode()
    payload.concerns(payload.pushed_ref(body), Source(url="x"))


@pytest.mark.parametrize(
    ("ref", "source", "expected"),
    [
        pytest.param("refs/heads/main", {}, True, id="its branch"),
        pytest.param("refs/heads/main2", {}, False, id="another branch"),
        pytest.param("refs/tags/v1", {}, False, id="a tag"),
        pytest.param("refs/tags/v1", {"ref": "refs/tags/v1"}, True, id="its tag"),
        pytest.param("refs/tags/v9", {"semver": ">=1"}, True, id="tags by version"),
        pytest.param("refs/heads/main", {"semver": ">=1"}, False, id="a branch beside"),
        pytest.param(None, {}, True, id="nobody knows"),
    ],
)
def test_a_push_concerns_who_follows_its_ref(
    ref: str | None, source: dict[str, str], expected: bool
) -> None:
    assert payload.concerns(ref, Source(**source)) is expected


# What is written down.


def test_no_secret_and_no_word_of_a_stranger_is_logged(
    port: Port, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure()
    canary = 'canary"\n{"action": "forged"}'
    assert port.push() == 202
    assert port.post("gitlab", X_Gitlab_Token=SECRET + "x") == 401
    assert port.post("canary", PUSH, X_GitHub_Delivery="canary", X_GitHub_Event="canary") == 401
    assert port.push(json.dumps({"ref": canary}).encode(), id="canary") == 202
    assert port.speak(b"POST /hooks/canary HTTP/1.1\r\nHost: canary\r\n\r\n")
    said = capfd.readouterr().err
    actions = [json.loads(line)["action"] for line in said.splitlines()]
    assert actions == ["hook_accepted", "hook_refused", "hook_refused", "hook_accepted"]
    for word in (SECRET, "canary", sign(PUSH)):
        assert word not in said


def test_refusals_do_not_fill_the_log(port: Port, capfd: pytest.CaptureFixture[str]) -> None:
    telemetry.configure()
    for _ in range(int(ASKED_MOST)):
        port.post("github")
    assert 0 < len(capfd.readouterr().err.splitlines()) < 40


def test_a_refusal_is_logged_with_who_really_asked(
    port: Port, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure()
    port.post("github", X_Forwarded_For="192.0.2.7")
    assert json.loads(capfd.readouterr().err)["address"] == "192.0.2.7"


def test_a_port_that_is_taken_is_one_sentence(port: Port) -> None:
    second = Server("127.0.0.1", port.server.port, Router([]))
    with pytest.raises(errors.SettingsInvalid, match="nothing can listen on 127"):
        second.start()


# Seen red, each with the defence on the left taken out:
#
#   the comparison of digests              what_is_not_proved (no proof)
#   signing raw bytes, not parsed ones     a_signed_push_wakes (its bytes are no tidy JSON)
#   the time inside of what is signed      every_kind_of_host (generic-hmac)
#   the bound on the time, the time at all what_is_not_proved (long ago; without a time)
#   the whole token, not its beginning     what_is_not_proved (gitlab without token)
#   a header twice is none                 a_proof_that_is_there_twice
#   the digest as a key of what was seen   a_copy_under_another_id
#   the id as a key of what was seen       another_body_under_the_same_id
#   409 for what was seen                  a_delivery_that_comes_again
#   remembering only what is proved        a_signed_push_wakes
#   the bound of what is remembered        what_was_seen_is_remembered_up_to_a_bound
#   the length that a body says it has     a_body_that_says_it_is_too_long
#   the length that comes                  a_body_without_end
#   making room for new connections        slow_clients_make_room
#   one deadline for a whole request       a_client_that_drips
#   the method                             a_signed_delivery_by_another_method
#   one answer for known and unknown names what_is_not_proved (a name that nobody has)
#   catching depth, null and other types   a_proved_body_that_cannot_be_read
#   the rate, and giving back to it        strangers_run_dry
#   the bound of refusals in the log       refusals_do_not_fill_the_log
#   no header and no unknown name in logs  no_secret_and_no_word_of_a_stranger
#   the boundary around handlers           a_fault_of_a_handler
#   the least length of a secret           a_secret_that_can_be_guessed
#   believing proxies of ours alone        only_a_proxy_of_ours
