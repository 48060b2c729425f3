"""Opens the port of a daemon with every route that stands on it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.daemon import Daemon
from reconciler.pulse import Pulse
from reconciler.web import addresses
from reconciler.web.deliveries import Deliveries
from reconciler.web.hooks import PREFIX, Hooks
from reconciler.web.message import Answer, Head, answer
from reconciler.web.router import Route, Router
from reconciler.web.server import Server
from runner.contract import clock, telemetry, web_settings
from runner.contract.database import Database
from runner.contract.settings import Settings

HEALTH: Final = "/healthz"


@contextlib.contextmanager
def opened(settings: Settings, daemon: Daemon, database: Database) -> Iterator[None]:
    """Serve while the block runs, if the settings say where; SettingsInvalid."""
    if not settings.web.listen:
        yield
        return
    host, port = web_settings.host_and_port(settings.web.listen)
    hooks = Hooks(settings, daemon.hook)
    hooks.check()
    tasks = Deliveries(settings, database)
    routes = [
        Route(HEALTH, ("GET",), _health(daemon.pulse)),
        Route(PREFIX, ("POST",), hooks.handle, hooks.judge),
        Route(addresses.DELIVERIES, ("POST",), tasks.handle, tasks.judge),
    ]
    server = Server(host, port, Router(routes, settings.web.proxies))
    server.start()
    try:
        telemetry.log(
            "web_listening",
            "The port is open.",
            address=host,
            port=server.port,
            receivers=list(settings.receivers),
        )
        yield
    finally:
        server.stop()
        tasks.tally.stop()


def _health(pulse: Pulse) -> Callable[[Head, bytes], Answer]:
    def handle(_head: Head, _body: bytes) -> Answer:
        lively = pulse.lively(clock.boot_us())
        return answer(200, status="ok") if lively else answer(503, status="the loop is stuck")

    return handle
