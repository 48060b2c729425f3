"""A manifest names hosts that mean one thing only, and endpoints that nothing moves."""

from typing import Any

import pytest
from pydantic import ValidationError

from runner.contract.kinds import Tool
from runner.contract.kinds.network import Host, Network, endpoint, host


@pytest.mark.parametrize(
    ("text", "name", "port", "covers", "not_covers"),
    [
        (
            "api.example.com",
            "api.example.com",
            None,
            ("api.example.com", 8),
            ("example.com", 8),
        ),
        ("API.Example.COM:443", "api.example.com", 443, ("api.example.com", 443), ("x", 443)),
        ("*.example.com", "example.com", None, ("a.b.example.com", 1), ("example.com", 1)),
        ("*.example.com:80", "example.com", 80, ("a.example.com", 80), ("a.example.com", 81)),
        ("*.example.com", "example.com", None, ("a.example.com", 1), ("badexample.com", 1)),
        ("localhost", "localhost", None, ("localhost", 9), ("localhost.x", 9)),
        ("my_service:8080", "my_service", 8080, ("my_service", 8080), ("my_service", 80)),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None)
        + (("xn--bcher-kva.example", 1), ("bücher.example", 1)),
        ("192.0.2.1", "192.0.2.1", None, ("192.0.2.1", 1), ("192.0.2.10", 1)),
        ("[::1]:80", "::1", 80, ("::1", 80), ("::1", 81)),
        ("::1", "::1", None, ("::1", 80), ("::2", 80)),
        ("[0:0::0:1]", "::1", None, ("::1", 80), ("::2", 80)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_host_covers_what_it_says_and_nothing_else(
    text: str, name: str, port: int | None, covers: tuple[str, int], not_covers: tuple[str, int]
) -> None:
    found = host(text)
    assert (found.name, found.port) == (name, port)
    assert found.covers(*covers)
    assert not found.covers(*not_covers)


NO_HOSTS = ["", ".", "*", "*.", "*.com", "a.*.com", "*.*.com", "a..b", "a.", ".a", "a b", "a/b"]
NO_HOSTS += [
    "a@b",
    "a:b@c",
    "http://a",
    "a:0",
    "a:65536",
    "a:",
    "a:x",
    "bücher.example",
    "-a.b",
]
NO_HOSTS += ["127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "0", "017700000001"]
NO_HOSTS += ["127.0.0.0x1", "1.2.3.4.5", "256.1.1.1", "127.0.0.01", "example.com.123", "a\x00b"]
NO_HOSTS += ["[::1", "::1]", "[127.0.0.1]", "[fe80::1%eth0]", "fe80::1%eth0", "*.127.0.0.1"]
NO_HOSTS += [
    "a" * 64,
    "a." * 127 + "ab",
    "example\u3002com",
    "\uff45xample.com",
    "a\u2024b",
    "a\n",
]


@pytest.mark.parametrize("text", NO_HOSTS, ids=ascii)
def test_what_a_resolver_might_read_in_another_way_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        host(text)


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "ftp://x/", "//x/", "x", "http://", "http:///x", "https:x"]
    + [
        "http://[::1",
        "http://\x00/",
        "http://a b/",
        "http://a\\@b/",
        "http://a/\\b",
        "http://a@",
    ]
    + ["http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://0/", "http://a@b@c/"]
    + ["http://2852039166/", "http://0xa9fea9fe/", "http://169.16689662/"]
    + ["http://a:0/", "http://a:99999/", "http://é.example/", "http://a\n/", "gopher://x/"],
    ids=ascii,
)
def test_an_endpoint_that_is_no_plain_http_address_is_refused_in_the_manifest(
    text: str,
) -> None:
    with pytest.raises(ValidationError):
        Tool.model_validate({"type": "http", "endpoint": text})


def test_the_parts_of_an_endpoint_are_told_apart_and_shown_without_secrets() -> None:
    found = endpoint("https://me:pass@API.example.com:8443/v1/x?key=k#top")
    assert (found.scheme, found.user, found.host) == (
        "https",
        "me:pass",
        Host("api.example.com", 8443),
    )
    assert (found.path, found.query) == ("/v1/x", "key=k")
    assert str(found) == "https://api.example.com:8443/v1/x"
    assert endpoint("http://a").port == 80


URL = "https://api.example.com"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"endpoint": "{args.url}"}, "network.hosts must name the hosts"),
        ({"endpoint": "{args.scheme}://x/"}, "stands in the path or the query"),
        ({"endpoint": "https://{args.host}/"}, "stands in the path or the query"),
        ({"endpoint": "https://a.{args.host}/"}, "stands in the path or the query"),
        ({"endpoint": "https://a{args.port}/"}, "stands in the path or the query"),
        ({"endpoint": "https://a:{args.port}/"}, "stands in the path or the query"),
        ({"endpoint": "https://{args.user}@a/"}, "stands in the path or the query"),
        ({"endpoint": "{args.url}/x"}, "begins with http:// or https://"),
        ({"endpoint": URL + "/#{args.x}"}, "stands in the path or the query"),
        ({"endpoint": URL + "/?{args.x}"}, "stands for a value"),
        ({"endpoint": URL + "/?{args.x}=1"}, "stands for a value"),
        ({"endpoint": URL + "/?a={args.x}&b{args.x}=1"}, "stands for a value"),
        ({"endpoint": URL + "/{id}"}, "a template is written"),
        ({"endpoint": URL + "/{args.}"}, "a template is written"),
        ({"endpoint": URL, "network": {"hosts": ["*"]}}, "only a program"),
        ({"endpoint": URL, "network": {"hosts": ["*", "a.b"]}}, "stands alone"),
        ({"endpoint": URL, "network": {"hosts": ["http://a"]}}, "a host is a name"),
        ({"endpoint": URL, "network": {"hosts": ["127.1"]}}, "four decimal numbers"),
        ({"endpoint": URL, "network": {"private": ["10.0.0.1/8"]}}, "host bits"),
    ],
    ids=ascii,
)
def test_a_manifest_that_leaves_open_where_a_call_goes_is_refused(
    spec: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        Tool.model_validate({"type": "http", **spec})


@pytest.mark.parametrize(
    "spec",
    [
        {"endpoint": "{args.url}", "network": {"hosts": ["*.example.com"]}},
        {"endpoint": URL + "/v1/{args.id}/x-{args.a.b}?q={args.q}&fixed=1"},
        {"endpoint": "http://127.0.0.1:8080/"},
        {"endpoint": "http://[::1]:8080/x"},
        {
            "endpoint": URL,
            "network": {"hosts": ["b.example.com:443"], "private": ["10.0.0.0/8"]},
        },
    ],
    ids=ascii,
)
def test_a_manifest_that_says_where_a_call_goes_is_taken(spec: dict[str, Any]) -> None:
    assert Tool.model_validate({"type": "http", **spec}).endpoint == spec["endpoint"]


@pytest.mark.parametrize(
    "spec",
    [{"type": "command", "command": ["/bin/x"]}, {"type": "python", "function": "read_file"}],
    ids=["command", "python"],
)
def test_a_program_is_given_the_whole_network_or_none_of_it(spec: dict[str, Any]) -> None:
    for hosts in ([], ["*"]):
        assert Tool.model_validate({**spec, "network": {"hosts": hosts}}).network.hosts == hosts
    with pytest.raises(ValidationError, match="it cannot be held to names"):
        Tool.model_validate({**spec, "network": {"hosts": ["example.com"]}})


def test_nothing_is_declared_by_saying_nothing() -> None:
    assert Network() == Network(hosts=[], private=[], redirects=None)
