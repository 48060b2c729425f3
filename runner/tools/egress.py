"""The one door to the network for what the runner asks in a tool's or a rule's name.

    scheme ─> host:port on the list? ─> look the name up, once ─> every address allowed?
        ─> connect to an address that was looked at, with the name in Host and certificate

Whatever is refused is refused before anything is sent, and a host that is not on the list
before its name is looked up. Nothing is taken from the environment, no cookie is kept, and
no connection is used twice: a second name on the same address shows its own certificate.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address, ip_network
from typing import Final

import httpx2

from runner.contract.errors import Refused
from runner.contract.kinds import network
from runner.contract.kinds.network import Host
from runner.tools.address import LOOPBACK, Address, AddressNetwork, refusal

CONNECT_S: Final = 10.0  # For one address; there may be others that answer.

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a client may connect. `own` is the declared endpoint, which may be private."""

    hosts: tuple[Host, ...]
    private: tuple[AddressNetwork, ...] = ()
    own: Host | None = None

    def lists(self, name: str, port: int) -> bool:
        """Whether the host is one of those that were declared."""
        return any(host.covers(name, port) for host in self.hosts)

    def opened(self, name: str, port: int) -> Sequence[AddressNetwork]:
        """The networks that this host may stand in besides the public one."""
        if self.own is None or not self.own.covers(name, port):
            return self.private
        if self.own.address is not None:
            return (*self.private, ip_network(self.own.address))
        return (*self.private, *LOOPBACK) if name == "localhost" else self.private


def reach(endpoint: str | None, declared: network.Network | None = None) -> Reach:
    """What an endpoint and its manifest declare; ValueError when the endpoint is none."""
    if endpoint is None:
        return _reach(None, declared)
    parts = network.endpoint(endpoint)
    return _reach(Host(parts.host.name, parts.port), declared)


def reach_host(own: Host, declared: network.Network) -> Reach:
    """What the host of an endpoint and its manifest declare."""
    return _reach(own, declared)


def _reach(own: Host | None, declared: network.Network | None) -> Reach:
    declared = declared or network.Network()
    listed = tuple(network.host(text) for text in declared.hosts)
    private = tuple(ip_network(text) for text in declared.private)
    return Reach(listed if own is None else (own, *listed), private, own)


async def looked_up(name: str, port: int) -> list[Address]:
    """The addresses of a name, as the host's resolver says."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(f"{name} has no address") from error
    return [ip_address(str(item[4][0]).partition("%")[0]) for item in found]


async def allowed(
    where: Reach, name: str, port: int, resolve: Resolve = looked_up
) -> list[Address]:
    """The addresses of a host, each of which may be connected to; Refused."""
    if not where.lists(name, port):
        raise Refused(
            f"{Host(name, port)} is not among the hosts that may be reached;"
            " if it is meant, spec.network.hosts lists it"
        )
    literal = Host(name).address
    found = [literal] if literal else list(await resolve(name, port))
    if not found:
        raise httpx2.ConnectError(f"{name} has no address")
    for address in found:
        reason = refusal(address, where.opened(name, port))
        if reason is not None:
            raise Refused(f"{Host(name)} {reason}")
    return found


async def connected(
    where: Reach, name: str, port: int, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection for what is not http; Refused, and ConnectError when nobody takes it."""
    trouble: OSError | None = None
    for address in await allowed(where, name, port):
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(
                    str(address),
                    port,
                    ssl=context,
                    server_hostname=None if context is None else name,
                )
        except OSError as error:  # Nothing was sent: the next one may answer.
            trouble = error
    raise httpx2.ConnectError(f"{name} takes no connection") from trouble


def client(
    where: Reach,
    resolve: Resolve = looked_up,
    *,
    transport: "Transport | None" = None,
    headers: Mapping[str, str] | None = None,
) -> httpx2.AsyncClient:
    """A client that connects where `where` says, and raises Refused elsewhere.

    It follows no redirect: `redirect.ask` does, through the same door. `headers` go out
    with every request.
    """
    return httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        transport=transport or Transport(where, resolve),
        headers=headers,
    )


class Transport(httpx2.AsyncHTTPTransport):
    """Connects to the addresses of a host in turn, and to none if one of them is refused."""

    def __init__(self, where: Reach, resolve: Resolve = looked_up) -> None:
        super().__init__(
            trust_env=False,
            verify=authorities(),
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        self._where = where
        self._resolve = resolve

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; Refused when it would go where it may not."""
        try:
            place = network.endpoint(str(request.url))
        except ValueError as error:
            raise Refused(f"the address cannot be used: {error}") from None
        addresses = await allowed(self._where, place.host.name, place.port, self._resolve)
        for address in addresses[:-1]:
            try:
                return await self._sent(request, place.host.name, address)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # Nothing was sent: the next one may answer.
        return await self._sent(request, place.host.name, addresses[-1])

    async def _sent(
        self, request: httpx2.Request, name: str, address: Address
    ) -> httpx2.Response:
        # The server still sees the name: in the Host header, and in its certificate.
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name},
        )
        return await super().handle_async_request(pinned)


@functools.cache
def authorities(*, http2: bool = False) -> ssl.SSLContext:
    """The certificates that servers are believed by, read once."""
    # Reading the certificates takes 20 ms of a core: once for a worker, not for each call.
    context = httpx2.create_ssl_context(trust_env=False)
    if http2:
        context.set_alpn_protocols(["h2"])
    return context
