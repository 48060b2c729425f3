"""No argument moves a filled endpoint: scheme, host, port, user and path stay as declared."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_server import Answer, LocalServer, Received

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call, address_template
from runner.tools.redirect import URL_CHARACTERS_MAX

ENDPOINT = "https://api.example.com:8443/v1/users/{args.id}/x-{args.part}.json?q={args.q}&n=1"
FINE = {"id": "7", "part": "a", "q": "b"}


def filled(endpoint: str, arguments: dict[str, Any], *, in_query: bool = False) -> str:
    return address_template.fill(endpoint, arguments, in_query=in_query)[0]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", "a%20b"),
        ("50%", "50%25"),
        ("?x=1", "%3Fx%3D1"),
        ("#top", "%23top"),
        ("me@evil.test", "me%40evil.test"),
        ("a:80", "a%3A80"),
        ("bücher", "b%C3%BCcher"),
        ("a;b,c&d=e", "a%3Bb%2Cc%26d%3De"),
        ("...", "..."),
        (".well-known", ".well-known"),
        (7, "7"),
        (2.5, "2.5"),
        (True, "true"),
    ],
    ids=ascii,
)
def test_a_value_in_the_path_is_one_part_of_it(value: Any, written: str) -> None:
    url = filled(ENDPOINT, {**FINE, "id": value})
    assert url == f"https://api.example.com:8443/v1/users/{written}/x-a.json?q=b&n=1"


STEERING = ["", ".", "..", "/", "a/b", "../x", "a\\b", "..\\", "%2f", "%2F", "a%2fb", "%5c"]
STEERING += [
    "%2e%2e",
    "%00",
    "%252f",
    "a\x00",
    "a\n",
    "a\r\nX-Evil: 1",
    "\x7f",
    "a\x85",
    "\u2028",
]
STEERING += [
    "\uff0e\uff0e",
    "\uff0e",
    "\u2025",
    "\uff0f",
    "a\uff0fb",
    "\uff3c",
    "%\uff12f",
    " ",
    "\t",
    "..;",
    ".. ",
]
STEERING += ["..;x=1", "\uff0e\uff0e;a", "\u2024\u2024"]


@pytest.mark.parametrize("value", STEERING, ids=ascii)
def test_a_value_that_a_server_might_take_for_a_way_is_refused_in_the_path(value: str) -> None:
    with pytest.raises(ToolFailed, match="argument"):
        filled(ENDPOINT, {**FINE, "id": value})


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/a/.{args.x}/b", {"x": "."}),
        ("/a/{args.x}{args.y}/b", {"x": ".", "y": "."}),
        ("/a/{args.x}./b", {"x": "."}),
        ("/a/%2e{args.x}", {"x": "."}),
    ],
)
def test_two_values_do_not_lead_up_together(path: str, arguments: dict[str, str]) -> None:
    with pytest.raises(ToolFailed, match="a dot or two"):
        filled("https://api.example.com" + path, arguments)


@pytest.mark.parametrize(
    "value", ["&n=2", "a#b", "a=b", "/../..", "é", "a b+c", "\x00", "\r\n", "\ud800", "%26"]
)
def test_a_value_in_the_query_is_one_value(value: str) -> None:
    url = httpx2.URL(filled(ENDPOINT, {**FINE, "q": value}))
    kept = value.encode("utf-8", "replace").decode()
    assert list(url.params.multi_items()) == [("q", kept), ("n", "1")]
    assert url.raw_path.startswith(b"/v1/users/7/x-a.json?")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"part": "a", "q": "b"}, "the argument id is missing"),
        ({**FINE, "id": None}, "id is neither a text nor a number"),
        ({**FINE, "id": ["7"]}, "id is neither a text nor a number"),
        ({**FINE, "q": {"a": 1}}, "q is neither a text nor a number"),
    ],
    ids=["missing", "null", "list", "object"],
)
def test_an_argument_that_cannot_be_put_there_is_an_answer(
    arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        filled(ENDPOINT, arguments)


def test_a_part_of_an_argument_can_be_used() -> None:
    endpoint = "https://api.example.com/{args.user.id}"
    url, left = address_template.fill(endpoint, {"user": {"id": 7, "n": 1}}, in_query=False)
    assert url == "https://api.example.com/7"
    assert left == {"user": {"id": 7, "n": 1}}, "what was used in part still travels"


def test_what_is_used_in_the_address_is_not_sent_again() -> None:
    seen: list[Received] = []

    def answer(request: Received) -> Answer:
        seen.append(request)
        return Answer(200, b"ok")

    with LocalServer(answer).running() as server:
        for method in ("GET", "PUT"):
            tool = Tool(type="http", endpoint=server.url + "/users/{args.id}", method=method)
            call = Call("t:1", None, Bounds(Path("/nonexistent"), (), 2_048))
            asyncio.run(tools.call(tool, {"id": "7", "name": "n m"}, call))
    assert [request.path for request in seen] == ["/users/7?name=n%20m", "/users/7"]
    assert json.loads(seen[1].body) == {"name": "n m"}


@pytest.mark.parametrize("name", ["key", "k%65y", "n"])
def test_an_argument_never_says_again_what_the_endpoint_says(name: str) -> None:
    endpoint = "https://api.example.com/?key=fixed&n={args.number}"
    arguments = {"number": 1, unquote(name): "other"}
    with pytest.raises(ToolFailed, match="the endpoint itself says what"):
        filled(endpoint, arguments, in_query=True)


@pytest.mark.parametrize(
    "endpoint", ["https://a.test/?q={args.q}", "https://a.test/", "{args.u}"]
)
def test_a_long_address_is_not_sent(endpoint: str) -> None:
    long = "x" * URL_CHARACTERS_MAX
    arguments = {"q": long, "u": "https://a.test/" + long}
    with pytest.raises(ToolFailed, match="at most 2048 are sent") as failed:
        filled(endpoint, arguments, in_query=True)
    assert "x" * 300 not in str(failed.value)


def test_an_address_is_measured_as_it_is_sent() -> None:
    with pytest.raises(ToolFailed, match="at most 2048 are sent"):
        filled("https://a.test/?q={args.q}", {"q": "é" * 400})
    assert len(filled("https://a.test/?q={args.q}", {"q": "é" * 300})) < URL_CHARACTERS_MAX


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/x",
        "//a.test/",
        "file:///etc/passwd",
        "ftp://a.test/",
        "javascript:x",
        "http://",
    ]
    + ["http://me@a.test/", "http://me:x@a.test/", "http://a.test\\@b.test/", "http://a.test@b"]
    + [
        "http://a.test /",
        "http://a.test/\n",
        "http://a\u3002test/",
        "http://\uff41.test/",
        " http://a/",
    ]
    + ["http://bücher.test/", "http://127.1/", "http://0x7f000001/", "http://2130706433/"]
    + ["http://[::1%25eth0]/", "http://a.test:80:80/", "http://a.test:/", "HTTP://a.test/"],
    ids=ascii,
)
def test_an_address_from_an_argument_is_plain_or_refused(url: str) -> None:
    with pytest.raises(ToolFailed, match="the address asked for"):
        filled("{args.url}", {"url": url})


def test_an_address_from_an_argument_is_asked_if_its_host_is_listed() -> None:
    with LocalServer(lambda _: Answer(200, b"ok")).running() as server:
        tool = Tool.model_validate(
            {
                "type": "http",
                "endpoint": "{args.url}",
                "method": "GET",
                "network": {"hosts": [f"127.0.0.1:{server.port}"], "private": ["127.0.0.1/32"]},
            }
        )

        def asked(url: str) -> str:
            call = Call("t:1", None, Bounds(Path("/nonexistent"), (), 2_048))
            return asyncio.run(tools.call(tool, {"url": url, "page": 2}, call)).text

        assert asked(server.url + "/x?y=é#top") == "ok"
        for other in ("http://127.0.0.1:1/", "http://example.com/", "http://localhost/"):
            with pytest.raises(ToolFailed, match="is not among the hosts"):
                asked(other)
    assert [request.path for request in server.received] == ["/x?y=%C3%A9&page=2"]


HARD = "/\\.%?#@:;&=+ \t\r\n\x00\x7f\x85aZ0-_~[]{}<>\"'`^|,$!*()"
HARD += "\uff0e\uff0f\uff3c\u3002\u2025\u2024\u2028é\u0301ß"
VALUES = st.text() | st.text(alphabet=HARD) | st.sampled_from(STEERING) | st.integers()


@given(id=VALUES, part=VALUES, q=VALUES, extra=st.dictionaries(st.text(), VALUES, max_size=3))
def test_no_argument_moves_an_endpoint(id: Any, part: Any, q: Any, extra: Any) -> None:
    arguments = {**extra, "id": id, "part": part, "q": q}
    try:
        url = httpx2.URL(filled(ENDPOINT, arguments, in_query=True))
    except ToolFailed:
        return
    assert (url.scheme, url.raw_host, url.port) == ("https", b"api.example.com", 8443)
    assert (url.userinfo, url.fragment) == (b"", "")
    path, _, query = url.raw_path.decode("ascii").partition("?")
    # As a server sees it, also one that decodes twice and splits afterwards.
    for seen in (path, unquote(path), unquote(unquote(path))):
        steps = seen.split("/")
        assert steps[:3] == ["", "v1", "users"]
        assert len(steps) == 5
        assert not {"", ".", ".."} & set(steps[1:])
        assert "\\" not in seen
    assert steps[4].startswith("x-")
    assert steps[4].endswith(".json")
    assert url.params.get_list("n") == ["1"]
    assert len(url.params.get_list("q")) == 1
    assert query.count("&") == len({*arguments} - {"id", "part", "q"}) + 1
    assert len(str(url)) <= URL_CHARACTERS_MAX


@given(st.text() | st.text(alphabet=HARD + "htps"), st.text(alphabet=HARD))
def test_no_address_from_an_argument_hides_its_host(start: str, end: str) -> None:
    for url in (start, "http://" + start, "http://a.test" + start + end):
        try:
            sent = httpx2.URL(filled("{args.url}", {"url": url}))
        except (ToolFailed, httpx2.InvalidURL):
            continue
        host = url.partition("//")[2].partition("/")[0].partition("?")[0].partition("#")[0]
        assert sent.raw_host.decode("ascii") == host.lower().partition(":")[0].strip("[]")
