"""Whether a declared address takes a connection. Nothing is asked there, and nothing sent.

    name ──looked up──> addresses ──rules of the way out──> connect ──https: handshake──> close

A tool's address is held to the rules that its calls are held to. No key goes out: who is
there can tell only that somebody connected.
"""

import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final

from runner.contract.kinds import network
from runner.contract.kinds.network import Endpoint
from runner.contract.observations import ABSENT, THERE
from runner.tools import egress
from runner.tools.address import refusal
from runner.world.aspects import Aspect

CONNECT_S: Final = 3.0
TOGETHER: Final = 8
ADDRESSES_MAX: Final = 200
"""Addresses that one look connects to; the others keep what was seen of them."""


def found(aspects: Iterable[Aspect]) -> list[tuple[Aspect, str]]:
    """What each address does: it is there, or why not."""
    some = list(aspects)[:ADDRESSES_MAX]
    with ThreadPoolExecutor(TOGETHER, thread_name_prefix="orloj-address") as pool:
        return list(zip(some, pool.map(_found, some), strict=True))


def _found(aspect: Aspect) -> str:
    try:
        place = network.endpoint(aspect.target)
    except ValueError:
        return f"{ABSENT}: it is no address"
    try:
        return _connected(aspect, place)
    except ssl.SSLCertVerificationError as error:
        return f"{ABSENT}: its certificate is refused ({error.verify_message})"
    except ssl.SSLError:
        return f"{ABSENT}: it does not speak TLS"
    except TimeoutError:
        return f"{ABSENT}: no answer within {CONNECT_S:g} s"
    except (OSError, UnicodeError) as error:
        # The words of a resolver differ from host to host, and from day to day.
        known = isinstance(error, ConnectionRefusedError)
        return f"{ABSENT}: {'connection refused' if known else 'cannot be reached'}"


def _connected(aspect: Aspect, place: Endpoint) -> str:
    listed = socket.getaddrinfo(place.host.name, place.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(item[4][0]).partition("%")[0] for item in listed))
    if aspect.network is not None:
        where = egress.reach(aspect.target, aspect.network)
        private = where.opened(place.host.name, place.port)
        for address in addresses:
            if reason := refusal(ip_address(address), private):
                return f"{ABSENT}: {reason}"
    with socket.create_connection((addresses[0], place.port), CONNECT_S) as connection:
        if place.scheme == "https":
            context = egress.authorities()
            with context.wrap_socket(connection, server_hostname=place.host.name):
                return THERE
    return THERE
