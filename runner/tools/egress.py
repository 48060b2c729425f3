"""The way of http tools to the network: never to an address that stands for the host itself.

A cloud's metadata service gives whoever asks the credentials of the machine. Its addresses,
all link-local ones, multicast and the unspecified address are refused, however they are
written. The name is resolved here and the connection goes to the very address that was
looked at: a name that answers differently the second time gains nothing.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

import httpx2

from runner.contract.errors import ToolFailed

_REFUSED: Final = tuple(
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
_NAT64: Final = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


def refused(address: Address) -> bool:
    """Whether no tool may connect there."""
    inner = _embedded(address)
    return any(address in network for network in _REFUSED) or (
        inner is not None and refused(inner)
    )


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64 or 1 < int(address) < 2**32:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class Transport(httpx2.AsyncHTTPTransport):
    """Connects to the addresses of a host in turn, and to none if one of them is refused."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; ToolFailed when it would go where no tool may."""
        host = request.url.host
        port = request.url.port or {"http": 80, "https": 443}[request.url.scheme]
        addresses = await _resolved(host, port)
        if any(refused(address) for address in addresses):
            raise ToolFailed(f"{host} stands for an address that no tool may connect to")
        # The server still sees the name: in the Host header, and in its certificate.
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[:-1]:
            try:
                return await self._sent(request, address)
            except httpx2.ConnectError:
                continue  # Nothing was sent: the next one may answer.
        return await self._sent(request, addresses[-1])

    async def _sent(self, request: httpx2.Request, address: Address) -> httpx2.Response:
        request.url = request.url.copy_with(host=str(address))
        return await super().handle_async_request(request)


async def _resolved(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(f"{host} has no address") from error
    return [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
