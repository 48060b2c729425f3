"""A request goes where the manifest says, to the address that was looked at, or nowhere.

Servers of the test listen on 127.0.0.1, 127.0.0.2 and ::1; names are answered for by the
test, which counts how often it is asked.
"""

import asyncio
import datetime
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from local_server import Answer, LocalServer, Received

from runner import tools
from runner.contract.errors import Refused, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.network import Network
from runner.tools import Bounds, Call, egress, redirect
from runner.tools.address import Address
from runner.tools.redirect import HOPS_MAX, Question

SECRET = "canary-egress-51d0"


class Names:
    """A resolver with a script: each name's answers in turn, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    async def __call__(self, name: str, port: int) -> Sequence[Address]:
        self.asked.append(name)
        answers = self._answers[name.replace(".", "_")]
        count = self.asked.count(name)
        return [ip_address(text) for text in answers[min(count, len(answers)) - 1]]


def get(url: str, declared: dict[str, Any], names: Names, endpoint: str | None = None) -> str:
    """The answer to one question through a door of its own."""

    async def asked() -> str:
        where = egress.reach(endpoint, Network.model_validate(declared))
        async with egress.client(where, names) as client:
            return (await client.get(url)).text

    return asyncio.run(asked())


def serving(text: bytes = b"ok", address: str = "127.0.0.1") -> LocalServer:
    return LocalServer(lambda _: Answer(200, text), address)


LOCAL = {"private": ["127.0.0.0/8"]}


def test_a_host_that_is_not_listed_is_refused_before_its_name_is_looked_up() -> None:
    names = Names(api_test=[["127.0.0.1"]])
    with pytest.raises(Refused, match=r"other\.test:80 is not among the hosts"):
        get("http://other.test/", {"hosts": ["api.test"], **LOCAL}, names)
    assert names.asked == []


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://api.test:81/", "api.test:80"),
        ("https://api.test/", "api.test:80"),
        ("http://api.test/", "*.api.test"),
        ("http://evilapi.test/", "*.api.test"),
        ("http://api.test.evil.test/", "api.test"),
        ("http://127.0.0.1/", "localhost"),
        ("http://127.1/", "127.0.0.1"),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.1"),
    ],
    ids=str,
)
def test_what_is_listed_is_meant_letter_by_letter(url: str, listed: str) -> None:
    names = Names()
    with pytest.raises(Refused):
        get(url, {"hosts": [listed], "private": ["0.0.0.0/0", "::/0"]}, names)
    assert names.asked == []


def test_a_listed_name_is_connected_to_and_the_server_is_told_it() -> None:
    names = Names(api_test=[["127.0.0.1"]])
    with serving().running() as server:
        url = f"http://API.test:{server.port}/x"
        assert get(url, {"hosts": ["api.test"], **LOCAL}, names) == "ok"
    assert names.asked == ["api.test"]
    assert server.received[0].headers["Host"] == f"api.test:{server.port}"


def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    names = Names(api_test=[["127.0.0.2"], ["169.254.169.254"]])
    with serving(b"first", "127.0.0.2").running() as server:
        url = f"http://api.test:{server.port}/"
        assert get(url, {"hosts": ["api.test"], **LOCAL}, names) == "first"
        with pytest.raises(Refused, match="no tool may connect to"):
            get(url, {"hosts": ["api.test"], "private": ["0.0.0.0/0"]}, names)
    assert names.asked == ["api.test"] * 2, "a name is looked up once for each request"


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["127.0.0.1", "169.254.169.254"], "no tool may connect to"),
        (["127.0.0.1", "10.0.0.1"], "stands for 10.0.0.1, which is not public"),
        (["::ffff:127.0.0.1"], "which is not public"),
        (["fd00:ec2::254"], "no tool may connect to"),
    ],
    ids=str,
)
def test_one_address_that_is_refused_refuses_the_name(
    addresses: list[str], reason: str
) -> None:
    with serving().running() as server:
        url = f"http://api.test:{server.port}/"
        with pytest.raises(Refused, match=reason):
            get(url, {"hosts": ["api.test"], **LOCAL}, Names(api_test=[addresses]))
    assert server.received == []


def test_an_address_where_nobody_listens_is_passed_over_for_the_next() -> None:
    names = Names(api_test=[["127.0.0.3", "127.0.0.1"]])
    with serving().running() as server:
        assert get(f"http://api.test:{server.port}/", {"hosts": ["api.test"], **LOCAL}, names)


def test_a_name_without_an_address_is_worth_another_try() -> None:
    with pytest.raises(httpx2.ConnectError, match="has no address"):
        get("http://api.test/", {"hosts": ["api.test"]}, Names(api_test=[[]]))


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [("http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/")]
    + [("http://localhost:{port}/", "http://localhost:{port}/")],
    ids=["address", "localhost"],
)
def test_an_endpoint_that_is_private_is_declared_for_itself_alone(
    endpoint: str, url: str
) -> None:
    names = Names(localhost=[["127.0.0.1"]], api_test=[["127.0.0.1"]])
    with serving().running() as server:
        own = endpoint.format(port=server.port)
        assert get(url.format(port=server.port), {}, names, own) == "ok"
        for other in (f"http://api.test:{server.port}/", f"http://127.0.0.2:{server.port}/"):
            with pytest.raises(Refused, match="which is not public"):
                get(other, {"hosts": ["api.test", "127.0.0.2"]}, names, own)
        with pytest.raises(Refused, match="is not among the hosts"):
            get("http://127.0.0.1:1/", {}, names, own)


def test_localhost_stands_for_this_host_and_no_other() -> None:
    names = Names(localhost=[["10.0.0.1"]])
    with pytest.raises(Refused, match=r"stands for 10\.0\.0\.1"):
        get("http://localhost/", {}, names, "http://localhost/")


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]"]
    + ["[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::169.254.169.254]", "[fe80::1]"]
    + ["[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "224.0.0.1", "[ff02::1]"]
    + ["255.255.255.255", "0.0.0.0", "[::]", "0.1.2.3"],
)
def test_nobody_asks_for_the_credentials_of_the_machine(host: str) -> None:
    with pytest.raises(ToolFailed, match="that no tool may connect to") as failed:
        call(f"http://{host}/latest/meta-data/", network={"private": ["0.0.0.0/0", "::/0"]})
    assert not failed.value.retryable


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """A server's TLS for a name, and the certificate that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=365))
        .not_valid_after(today + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "certificate.pem").write_bytes(text)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context, text.decode()


def test_a_certificate_is_compared_with_the_name_and_not_with_a_connection_of_before(
    tmp_path: Path,
) -> None:
    context, vouching = certified(tmp_path, "good.test")
    egress.authorities().load_verify_locations(cadata=vouching)
    server = serving()
    server.secure(context)
    names = Names(good_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    where = egress.reach(None, Network(hosts=["*.test.x", "good.test", "other.test"], **LOCAL))

    async def asked() -> str:
        async with egress.client(where, names) as client:
            text = (await client.get(f"https://good.test:{server.port}/")).text
            with pytest.raises(httpx2.ConnectError, match="certificate"):
                await client.get(f"https://other.test:{server.port}/")
            return text

    with server.running():
        assert asyncio.run(asked()) == "ok"
    assert len(server.received) == 1


def test_no_cookie_is_kept() -> None:
    given = Answer(200, b"", {"Set-Cookie": "session=1; Path=/"})
    with LocalServer(lambda _: given).running() as server:

        async def twice() -> None:
            async with egress.client(egress.reach(server.url)) as client:
                await client.get(server.url)
                await client.get(server.url)

        asyncio.run(twice())
    assert len(server.received) == 2
    assert all("Cookie" not in seen.headers for seen in server.received)


def call(
    endpoint: str,
    arguments: dict[str, Any] | None = None,
    *,
    method: str = "GET",
    secret: str | None = None,
    **spec: Any,
) -> str:
    tool = Tool.model_validate({"type": "http", "endpoint": endpoint, "method": method, **spec})
    bounds = Bounds(Path("/nonexistent"), (), 2_048)
    return asyncio.run(tools.call(tool, arguments or {}, Call("t:1", secret, bounds))).text


def away(target: str, status: int = 302) -> LocalServer:
    return LocalServer(lambda _: Answer(status, b"moved", {"Location": target}))


AUTH = {"secret": SECRET, "auth": {"secretRef": "s"}}


@pytest.mark.parametrize("address", ["127.0.0.2", "::1"])
def test_a_redirect_to_a_declared_place_is_followed_without_the_secret(address: str) -> None:
    with (
        serving(b"there", address).running() as there,
        away(there.url + "/x").running() as here,
    ):
        host = there.url.removeprefix("http://")
        declared = {"hosts": [host], "private": ["127.0.0.2/32", "::1/128"]}
        assert call(here.url, network=declared, **AUTH) == "there"
    assert here.received[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert "Authorization" not in there.received[0].headers
    assert there.received[0].headers["Idempotency-Key"] == "t:1"
    assert there.received[0].headers["Host"] == host


def test_a_key_in_a_header_of_its_own_is_dropped_as_well() -> None:
    with serving(b"", "127.0.0.2").running() as there, away(there.url).running() as here:
        declared = {"hosts": ["127.0.0.2"], "private": ["127.0.0.0/8"]}
        auth = {"secretRef": "s", "profile": "api_key_header", "headerName": "X-Mine"}
        call(here.url, network=declared, secret=SECRET, auth=auth)
    assert here.received[0].headers["X-Mine"] == SECRET
    assert SECRET not in str(there.received)


def test_another_port_is_another_place() -> None:
    with serving().running() as there, away(there.url).running() as here:
        call(here.url, network={"hosts": ["127.0.0.1"], **LOCAL}, **AUTH)
    assert SECRET not in str(there.received)


def test_a_redirect_within_the_place_keeps_the_secret() -> None:
    def answer(request: Received) -> Answer:
        if request.path == "/b":
            return Answer(200, b"there")
        return Answer(302, b"", {"Location": "/b"})

    with LocalServer(answer).running() as server:
        assert call(server.url + "/a", **AUTH) == "there"
    assert [seen.headers["Authorization"] for seen in server.received] == [
        f"Bearer {SECRET}"
    ] * 2


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("http://169.254.169.254/latest?x=1", r"169\.254\.169\.254:80 is not among"),
        ("http://127.0.0.2:{port}/x?token=1", r"127\.0\.0\.2:\d+ is not among"),
        ("http://example.com/?q=1", r"example\.com:80 is not among"),
        ("http://10.0.0.1/", r"10\.0\.0\.1:80 is not among"),
        ("file:///etc/passwd", "no http or https address"),
        ("gopher://127.0.0.1/", "no http or https address"),
        ("http://127.1/", "no http or https address"),
        ("http://2130706433/", "no http or https address"),
        ("//a b/", "no http or https address"),
        ("http://me:x@127.0.0.1:{port}/", "names a user or is too long"),
        ("/" + "x" * 3_000, "names a user or is too long"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_redirect_to_a_refused_place_fails_and_names_it(target: str, named: str) -> None:
    with serving(b"stolen", "127.0.0.2").running() as thief:
        leading = away(target.format(port=thief.port))
        with leading.running() as server, pytest.raises(ToolFailed, match=named) as failed:
            call(server.url, **AUTH)
    assert thief.received == []
    assert len(server.received) == 1
    assert not failed.value.retryable
    assert "?" not in str(failed.value)
    assert "token" not in str(failed.value)


def test_a_redirect_to_a_listed_name_that_stands_for_the_host_fails() -> None:
    with away("http://metadata.test/").running() as server:
        names = Names(metadata_test=[["169.254.169.254"]])

        async def asked() -> None:
            declared = Network(hosts=["metadata.test"])
            question = Question(method="GET", url=server.url, headers={}, authorization={})
            async with (
                egress.client(egress.reach(server.url, declared), names) as client,
                redirect.ask(client, question, follow=True),
            ):
                pytest.fail("a refused place answered")

        with pytest.raises(Refused, match=r"metadata\.test stands for an address that no tool"):
            asyncio.run(asked())


def test_redirects_end_after_five() -> None:
    def answer(request: Received) -> Answer:
        number = int(request.path.removeprefix("/"))
        return Answer(302, b"", {"Location": f"/{number + 1}"})

    with (
        LocalServer(answer).running() as server,
        pytest.raises(ToolFailed, match="more than 5"),
    ):
        call(server.url + "/0")
    assert len(server.received) == HOPS_MAX + 1


@pytest.mark.parametrize(
    ("method", "status", "becomes"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 303, "GET"),
        ("PATCH", 308, "PATCH"),
        ("DELETE", 303, "GET"),
        ("DELETE", 302, "DELETE"),
        ("GET", 307, "GET"),
    ],
)
def test_methods_and_bodies_change_as_the_protocol_says(
    method: str, status: int, becomes: str
) -> None:
    def answer(request: Received) -> Answer:
        if request.path.startswith("/b"):
            return Answer(200, b"there")
        return Answer(status, b"", {"Location": "/b"})

    with LocalServer(answer).running() as server:
        told = call(server.url + "/a", {"x": 1}, method=method, network={"redirects": True})
    assert told == "there"
    first, second = server.received
    assert (first.method, second.method) == (method, becomes)
    assert second.body == (first.body if becomes == method else b"")
    if becomes != method:
        assert "Content-Type" not in second.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_may_change_something_is_not_asked_again_elsewhere(method: str) -> None:
    with serving().running() as there, away(there.url).running() as here:
        declared = {"hosts": ["127.0.0.1"], **LOCAL}
        with pytest.raises(ToolFailed, match="answered 302: moved"):
            call(here.url, method=method, network=declared)
    assert there.received == []


def test_a_tool_may_refuse_every_redirect() -> None:
    with away("/b").running() as server, pytest.raises(ToolFailed, match="answered 302"):
        call(server.url, network={"redirects": False})
    assert len(server.received) == 1


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    context, vouching = certified(tmp_path, "safe.test")
    egress.authorities().load_verify_locations(cadata=vouching)
    with ExitStack() as running:
        plain = running.enter_context(serving(b"stolen").running())
        server = away(plain.url + "/x?q=1")
        server.secure(context)
        running.enter_context(server.running())
        declared = Network(hosts=["safe.test", "127.0.0.1"], private=["127.0.0.0/8"])
        url = f"https://safe.test:{server.port}/"
        question = Question(method="GET", url=url, headers={}, authorization={})

        async def asked() -> None:
            names = Names(safe_test=[["127.0.0.1"]])
            async with (
                egress.client(egress.reach(None, declared), names) as client,
                redirect.ask(client, question, follow=True),
            ):
                pytest.fail("the redirect was followed")

        with pytest.raises(Refused, match=rf"from https to http: {plain.url}/x$"):
            asyncio.run(asked())
    assert plain.received == []
