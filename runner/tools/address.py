"""Which addresses a tool may connect to. Pure.

Three kinds: those that nobody may ever reach, because they stand for the host itself or hand
out its credentials; those of private and special networks, which must be declared; and the
public ones. An IPv6 address that carries an IPv4 address inside is as good as both.
"""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
AddressNetwork = IPv4Network | IPv6Network

NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # Linux connects it to the host itself.
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "100.100.100.200/32",  # Metadata at Alibaba Cloud,
        "168.63.129.16/32",  # at Azure,
        "192.0.0.192/32",  # at Oracle,
        "fd00:ec2::/32",  # and at AWS over IPv6.
        "::/128",
        "fe80::/10",
        "ff00::/8",
    )
)
LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

_SPECIAL: Final = tuple(
    # What `is_global` calls public, in this or another version of Python, and is not meant.
    ip_network(text)
    for text in (
        "100.64.0.0/10",  # Shared between a provider and its customers.
        "192.0.0.0/24",  # Protocols, among them anycast to the nearest router.
        "192.88.99.0/24",  # The relays of 6to4, taken back by RFC 7526.
        "240.0.0.0/4",
        "2001::/23",  # Protocols, Teredo among them.
        "2001:db8::/32",
        "2002::/16",  # 6to4.
        "3fff::/20",  # Documentation, since RFC 9637.
    )
)
_GLOBAL_UNICAST: Final = ip_network("2000::/3")  # No other part of IPv6 is given out.
_NAT64: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))


def refusal(address: Address, private: Sequence[AddressNetwork]) -> str | None:
    """Why no connection goes there, as the end of a sentence; None when one may.

    `private` are the networks that were declared. What stands in `NEVER` they cannot open.
    """
    inner = embedded(address)
    reasons = [] if inner is None else [refusal(inner, private)]
    if _within(address, NEVER):
        reasons.append("stands for an address that no tool may connect to")
    if not (public(address) or _within(address, private)):
        reasons.append(
            f"stands for {address}, which is not public; if that is meant, spec.network.private"
            " lists its network"
        )
    # What can never be allowed is said first: no declaration helps there.
    return min(filter(None, reasons), key=lambda reason: "no tool" not in reason, default=None)


def public(address: Address) -> bool:
    """Whether it is an address of the public network, and of no special part of it."""
    if _within(address, _SPECIAL) or not address.is_global or embedded(address) is not None:
        return False
    return address.version == 4 or address in _GLOBAL_UNICAST


def embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    low = int(address) & 0xFFFF_FFFF
    if _within(address, _NAT64) or 1 < int(address) < 2**32:
        return IPv4Address(low)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _within(address: Address, networks: Sequence[AddressNetwork]) -> bool:
    return any(address in network for network in networks)
