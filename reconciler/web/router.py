"""Which handler answers a path, and what is refused before a body is read.

    rate ─> path ─> method ─> the route's own look at the head ─> body ─> handler

A path that leads nowhere, whatever it is, gets the same answer.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from reconciler.web.message import Answer, Handler, Head, Judge, answer
from reconciler.web.rate import Rate, neighbourhood
from runner.contract import clock, telemetry

ASKED_MOST: Final = 120.0
ASKED_A_SECOND: Final = 2.0


@dataclass(frozen=True, slots=True)
class Route:
    """Everything below `prefix`, or it alone; answered by `handler` when `judge` lets it."""

    prefix: str
    methods: tuple[str, ...]
    handler: Handler
    judge: Judge = lambda _head: None

    def leads(self, path: str) -> bool:
        """Whether the path is this route's; a prefix ending in `/` takes one more part."""
        if not self.prefix.endswith("/"):
            return path == self.prefix
        rest = path.removeprefix(self.prefix)
        return rest != path and bool(rest) and "/" not in rest


class Router:
    """The routes of the port. Called from many threads."""

    def __init__(self, routes: Sequence[Route], proxies: Sequence[str] = ()) -> None:
        self._routes = routes
        self._proxies = frozenset(proxies)
        self._rate = Rate(ASKED_MOST, ASKED_A_SECOND)
        self._lock = threading.Lock()

    def judge(self, head: Head) -> Answer | None:
        """An answer that needs no body; None: read it."""
        with self._lock:
            asked_too_often = not self._rate.take(self._bucket(head), clock.boot_us())
        if asked_too_often:
            return answer(429, error="too many requests", headers={"Retry-After": "30"})
        route = self._route(head)
        if route is None:
            return answer(404, error="not found")
        if head.method not in route.methods:
            allowed = {"Allow": ", ".join(route.methods)}
            return answer(405, error="method not allowed", headers=allowed)
        return route.judge(head)

    def handle(self, head: Head, body: bytes) -> Answer:
        """The answer to a whole request; the handler sees who really asks."""
        route = self._route(head)
        assert route is not None, "judged before"
        try:
            found = route.handler(replace(head, address=asker(head, self._proxies)), body)
        except Exception:  # noqa: BLE001  # The boundary: whatever was sent, the port lives on.
            telemetry.log_exception("web_failed", "A request met an error nobody foresaw.")
            return answer(500, error="internal error")
        if found.earned:
            with self._lock:
                self._rate.give_back(self._bucket(head))
        return found

    def _route(self, head: Head) -> Route | None:
        return next((route for route in self._routes if route.leads(head.path)), None)

    def _bucket(self, head: Head) -> str:
        return neighbourhood(asker(head, self._proxies))


def asker(head: Head, proxies: frozenset[str]) -> str:
    """Who really asks: what the nearest proxy of ours says, else the other end."""
    if head.address not in proxies:
        return head.address
    said = [value for key, value in head.headers if key == "x-forwarded-for"]
    try:
        return str(ip_address(said[-1].rpartition(",")[2].strip()))
    except (IndexError, ValueError):
        return head.address
