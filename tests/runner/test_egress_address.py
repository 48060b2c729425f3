"""A tool reaches public addresses, private ones that were declared, never the host's own."""

from ipaddress import ip_address, ip_network

import pytest

from runner.tools.address import AddressNetwork, refusal

NEVER = "no tool may connect to"
EVERYTHING = [ip_network("0.0.0.0/0"), ip_network("::/0")]

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "192.88.98.1", "100.63.255.255", "100.128.0.0"]
PUBLIC += ["172.15.0.1", "172.32.0.1", "11.0.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.1"]
PUBLIC += ["2606:4700::1", "2a00:1450::1", "2001:200::1", "2001:4860::1", "3ffe::1"]

PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "127.0.0.1", "127.1.2.3"]
PRIVATE += ["100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.0.9", "192.0.0.170"]
PRIVATE += ["192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.1"]
PRIVATE += ["192.88.99.1", "240.0.0.1", "254.1.1.1"]
PRIVATE += ["::1", "fc00::1", "fd12:3456::1", "fec0::1", "2001:db8::1", "3fff::1", "100::1"]
PRIVATE += ["2001:10::1", "2001:20::1", "5f00::1", "4000::1", "1::1", "64:ff9a::1"]

# What carries a public IPv4 address inside: the outside must be declared all the same.
CARRYING = ["::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::808:808", "2002:808:808::1"]
CARRYING += ["::8.8.8.8", "2001:0:4136:e378:8000:63bf:f7f7:f7f7"]

ALWAYS = ["169.254.169.254", "169.254.1.1", "169.254.170.2", "100.100.100.200", "168.63.129.16"]
ALWAYS += ["192.0.0.192", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255"]
ALWAYS += ["255.255.255.255", "::", "fe80::1", "febf::1", "ff02::1", "ff0e::1"]
ALWAYS += ["fd00:ec2::254", "::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0.0.0.0"]
ALWAYS += ["64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1"]
ALWAYS += ["2001:0:4136:e378:8000:63bf:5601:5601", "64:ff9b::e000:1"]  # 169.254.169.254 inside.


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_network_needs_no_declaration(address: str) -> None:
    assert refusal(ip_address(address), ()) is None


@pytest.mark.parametrize("address", PRIVATE + CARRYING)
def test_what_is_not_public_is_refused_until_it_is_declared(address: str) -> None:
    found = ip_address(address)
    assert "which is not public" in str(refusal(found, ()))
    assert refusal(found, [ip_network(f"{found}/{found.max_prefixlen}")]) is None
    assert refusal(found, EVERYTHING) is None


@pytest.mark.parametrize("address", ALWAYS)
def test_no_declaration_opens_what_stands_for_the_host(address: str) -> None:
    found = ip_address(address)
    for declared in ([], [ip_network(found)], EVERYTHING):
        assert NEVER in str(refusal(found, declared))


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("::ffff:10.0.0.1", "::ffff:0:0/96"),
        ("64:ff9b::10.0.0.1", "64:ff9b::/96"),
        ("64:ff9b:1::7f00:1", "64:ff9b:1::/48"),
        ("2002:7f00:1::1", "2002::/16"),
        ("::10.0.0.1", "::/96"),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", "2001::/32"),  # 127.0.0.1 inside.
    ],
)
def test_what_is_inside_an_address_is_declared_for_itself(address: str, outside: str) -> None:
    networks: list[AddressNetwork] = [ip_network(outside)]
    assert "which is not public" in str(refusal(ip_address(address), networks))
    inside = [ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")]
    assert refusal(ip_address(address), networks + inside) is None
    assert "which is not public" in str(refusal(ip_address(address), inside))


def test_a_declared_network_opens_nothing_beside_it() -> None:
    declared = [ip_network("10.1.0.0/16")]
    assert refusal(ip_address("10.1.2.3"), declared) is None
    assert refusal(ip_address("10.2.0.1"), declared) is not None
    assert refusal(ip_address("::1"), declared) is not None
