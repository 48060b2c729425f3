"""A worker's side of the wire: ask and wait for durability, tell and go on, keep alive.

`trusted_us` is how long this worker may act without a word from the dispatcher; it is
counted from the moment a ping was sent, so a slow answer cannot stretch it.
"""

import asyncio
from typing import Any

from runner import lease
from runner.contract import clock
from runner.contract.errors import LeaseLost
from runner.wire import Wire


class TrustLost(LeaseLost):
    """This worker was not told for most of a lease that its tasks are still its own."""


class Link:
    """The worker's connection to its dispatcher."""

    def __init__(self, wire: Wire, lease_us: int) -> None:
        self._wire = wire
        self._lease_us = lease_us
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0
        self.trusted_us = lease.trusted_until(clock.boot_us(), lease_us)

    async def ask(self, op: str, **message: Any) -> dict[str, Any]:
        """The dispatcher's answer, which comes when what was asked is durable; TrustLost."""
        self.trusted()
        self._last_id += 1
        question = self._last_id
        future = asyncio.get_running_loop().create_future()
        self._waiting[question] = future
        self._wire.send({"op": op, "id": question, **message})
        try:
            answer = dict(await future)
        finally:
            del self._waiting[question]
        self.trusted()  # This process may have slept on the answer, and it is out of date.
        return answer

    def trusted(self) -> None:
        """TrustLost when this worker may not act any more."""
        if clock.boot_us() >= self.trusted_us:
            raise TrustLost

    def tell(self, op: str, **message: Any) -> None:
        """Send without waiting; what is asked next is answered after this is durable."""
        self._wire.send({"op": op, **message})

    def ping(self) -> None:
        """Ask for another lease."""
        self._wire.send({"op": "ping", "at": clock.boot_us()})

    def answered(self, message: dict[str, Any]) -> None:
        """Take in an answer or a pong."""
        if message["do"] == "pong":
            self.trusted_us = lease.trusted_until(message["at"], self._lease_us)
            return
        future = self._waiting.get(message["id"])
        if future is not None and not future.done():
            future.set_result(message)
