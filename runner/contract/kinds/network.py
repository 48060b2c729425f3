"""Where a tool may connect: hosts as manifests write them, and the shape of an endpoint. Pure.

    https://api.example.com:8443/v1/{args.id}?q={args.query}
    scheme  host            port  path         query

A host is compared letter by letter after folding case. Spellings that a resolver would take
for an address (`127.1`, `0x7f000001`, `2130706433`) are no hosts, and neither is a name that
would have to be translated first: international names are written as they travel, `xn--`.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from pydantic import field_validator

from runner.contract.kinds.base import Strict

ANYWHERE: Final = "*"
PORTS: Final = {"http": 80, "https": 443}
NAME_CHARACTERS_MAX: Final = 253

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LIKE_A_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ENDPOINT: Final = re.compile(
    r"(https?)://(?:([^/?#@]*)@)?([^/?#@]*)((?:[/?][^#]*)?)(#.*)?", re.S
)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Host:
    """A host, or with `below` every name below it; without a port, every port of it."""

    name: str
    port: int | None = None
    below: bool = False

    def covers(self, name: str, port: int) -> bool:
        """Whether a connection to that name and port is meant."""
        same = name.endswith("." + self.name) if self.below else name == self.name
        return same and self.port in (None, port)

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The address that it is; None for a name."""
        return _literal(self.name)

    def __str__(self) -> str:
        """As manifests write it."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return ("*." if self.below else "") + name + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of an http address. `path` and `query` are as they were written."""

    scheme: str
    user: str | None
    host: Host
    path: str
    query: str

    @property
    def port(self) -> int:
        """The port that is connected to."""
        return self.host.port or PORTS[self.scheme]

    def __str__(self) -> str:
        """The place alone, fit to be shown: without user, password and query."""
        return f"{self.scheme}://{self.host}{self.path}"


def host(text: str) -> Host:
    """The host that a manifest names, `*.name` included; ValueError."""
    below = text.startswith("*.")
    found = _host(text.removeprefix("*."))
    if below and (found.address is not None or "." not in found.name):
        raise ValueError("`*.` stands before a name of two parts or more, as in *.example.com")
    return Host(found.name, found.port, below)


def endpoint(text: str) -> Endpoint:
    """The parts of an address; ValueError when it is none that http can be spoken with."""
    if _UNPRINTABLE.search(text):
        raise ValueError("an address has no space, backslash or control character in it")
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise ValueError("an address begins with http:// or https:// and a host")
    scheme, user, authority, rest, _ = match.groups()
    path, _, query = rest.partition("?")
    return Endpoint(scheme, user, _host(authority), path, query)


def _host(text: str) -> Host:
    literal = _literal(text)
    if literal is not None and literal.version == 6:
        return Host(str(literal))
    match = _HOST.fullmatch(text)
    if match is None:
        raise ValueError(
            "a host is a name (api.example.com), *.name or an address, with :port where only"
            " one is meant"
        )
    name, port = match[1].lower(), match[2]
    if port is not None and not 0 < int(port) < 65_536:
        raise ValueError(f"there is no port {port}")
    return Host(_name(name), None if port is None else int(port))


def _name(name: str) -> str:
    literal = _literal(name.removeprefix("[").removesuffix("]"))
    if literal is not None and (literal.version == 6) == name.startswith("["):
        return str(literal)
    labels = name.split(".")
    if _LIKE_A_NUMBER.fullmatch(labels[-1]):
        raise ValueError(
            "an address of a host is written as four decimal numbers, as in 192.0.2.1"
        )
    if len(name) > NAME_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"`{name}` is not the name of a host")
    return name


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return None if isinstance(found, IPv6Address) and found.scope_id is not None else found


class Network(Strict):
    """Where a call may connect: nothing named, to the host of `endpoint` and nowhere else.

    A host is a name, `*.name` or a literal address, with `:port` where only one is meant; a
    program can only be given the whole network, `*`. `private` lists the networks (CIDR) of
    private addresses that a host may stand for; an endpoint that is such an address itself
    needs no entry. `redirects` says whether they are followed: as it is, by GET alone.
    """

    hosts: list[str] = []
    private: list[str] = []
    redirects: bool | None = None

    @field_validator("hosts")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        if hosts == [ANYWHERE]:
            return hosts
        if ANYWHERE in hosts:
            raise ValueError("`*` stands alone: it is every host")
        for text in hosts:
            host(text)
        return hosts

    @field_validator("private")
    @classmethod
    def _networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)
        return networks
