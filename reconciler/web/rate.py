"""How many requests each address may make: a bucket that fills again with time. Pure.

A request that proves who made it gives its drop back, so that only strangers run dry. The
memory is bounded: the address that asked longest ago is forgotten first, with a full bucket.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

KEPT_MAX: Final = 4_096
_SECOND_US: Final = 1_000_000
_IPV6_PREFIX: Final = 64


@dataclass(slots=True)
class _Bucket:
    drops: float
    at_us: int


class Rate:
    """Buckets of `most` drops, each filled by `a_second` drops a second."""

    def __init__(self, most: float, a_second: float) -> None:
        self._most = most
        self._a_second = a_second
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str, now_us: int) -> bool:
        """Whether there was a drop left, which is taken."""
        bucket = self._buckets.pop(key, None) or _Bucket(self._most, now_us)
        passed_s = max(0, now_us - bucket.at_us) / _SECOND_US
        bucket.drops = min(self._most, bucket.drops + passed_s * self._a_second)
        bucket.at_us = now_us
        self._buckets[key] = bucket
        while len(self._buckets) > KEPT_MAX:
            self._buckets.popitem(last=False)
        if bucket.drops < 1.0:
            return False
        bucket.drops -= 1.0
        return True

    def give_back(self, key: str) -> None:
        """Return a drop that was taken."""
        if (bucket := self._buckets.get(key)) is not None:
            bucket.drops = min(self._most, bucket.drops + 1.0)


def neighbourhood(address: str) -> str:
    """Whose bucket an address uses: in IPv6 a customer has a whole network of them."""
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(ip_network((found, _IPV6_PREFIX), strict=False))
    return str(found.ipv4_mapped if isinstance(found, IPv6Address) else found)
