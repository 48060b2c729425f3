"""Where the port is reached from outside. Pure."""

from typing import Final

from runner.contract.web_settings import Web

DELIVERIES: Final = "/v1/webhook-deliveries/"


def base(web: Web) -> str:
    """What stands before the path of an address; "" while nothing listens."""
    if not web.listen:
        return ""
    return web.url.rstrip("/") if web.url else f"http://{web.listen}"


def path(identity: str) -> str:
    """The path of a task webhook."""
    return DELIVERIES + identity
