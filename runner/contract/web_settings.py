"""The settings of the port that the daemon listens on, and of what may wake it there."""

import re
from ipaddress import ip_address
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from runner.contract.kinds import network
from runner.contract.settings_table import Table

EXAMPLE: Final = "127.0.0.1:8471"
_REPOSITORY: Final = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)


class Web(Table):
    """The port of the daemon."""

    listen: str = ""
    """`ADDRESS:PORT` to listen on, such as `127.0.0.1:8471`. Empty: nothing listens."""
    proxies: list[str] = []
    """Addresses of reverse proxies whose `X-Forwarded-For` says who really asks."""

    url: str = ""
    """How senders reach the port, where a proxy stands before it: what addresses that are shown
    begin with. Empty: `http://` and `listen`."""

    @field_validator("url")
    @classmethod
    def _begins(cls, text: str) -> str:
        if text and not text.startswith(("https://", "http://")):
            raise ValueError("it begins with https:// or http://")
        return text

    @field_validator("listen")
    @classmethod
    def _address(cls, text: str) -> str:
        if text:
            host_and_port(text)
        return text

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, texts: list[str]) -> list[str]:
        return [str(ip_address(text)) for text in texts]


def host_and_port(text: str) -> tuple[str, int]:
    """The address and the port to listen on; ValueError. Port 0 is any that is free."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"write it as ADDRESS:PORT, such as {EXAMPLE}")
    try:
        return str(ip_address(host)), int(port)
    except ValueError:
        raise ValueError(f"write it as ADDRESS:PORT, such as {EXAMPLE}") from None


def where_to_tell(text: str) -> str:
    """An address that secrets may be sent to: https, or http on this machine; ValueError."""
    place = network.endpoint(text)
    literal = place.host.address
    local = place.host.name == "localhost" or (literal is not None and literal.is_loopback)
    if place.user is not None:
        raise ValueError("no user or password stands in an address: use token_file")
    if place.scheme != "https" and not local:
        raise ValueError("the address must begin with https://; http is for this machine only")
    return text


class Receiver(Table):
    """Who may wake repositories through `/hooks/NAME`, and how they prove who they are."""

    kind: Literal["github", "gitlab", "gitea", "generic-hmac", "generic"]
    """Whose deliveries these are."""
    secret_file: str = Field(min_length=1)
    """File that holds the secret; relative to the home."""
    sources: list[str] = []
    """Repositories to wake. Empty: all."""
    events: list[str] = []
    """Names of events that wake. Empty: every one but a ping."""


class NotifyFilter(Table):
    """Which events a notification is sent for."""

    severity: Literal["info", "warning", "error"] = "info"
    """The least severity. That things are well again is always told who heard they are not."""
    reasons: list[str] = []
    """Patterns of reasons, as a shell has them: `Applied`, `Drift*`. Empty: all."""
    include: list[str] = []
    """Patterns of messages, of which one must match. Empty: all."""
    exclude: list[str] = []
    """Patterns of messages that are not sent."""
    sources: list[str] = []
    """Repositories whose events are sent. Empty: all."""


class Notify(NotifyFilter):
    """Whom to tell of events, and how."""

    type: Literal["github-status", "gitlab-status", "gitea-status", "webhook", "slack"]
    """What is spoken there."""
    url: str = ""
    """Where: the base of the API for a status, the address for a webhook."""
    url_file: str = ""
    """File that holds the address, where the address is the secret, as Slack's are."""
    repository: str = ""
    """The repository of a status: `OWNER/NAME`; for GitLab its path or its number."""
    token_file: str = ""
    """File that holds the token of the API."""
    secret_file: str = ""
    """File that holds the secret that a webhook is signed with."""

    @field_validator("url")
    @classmethod
    def _safe(cls, text: str) -> str:
        return where_to_tell(text) if text else text

    @property
    def is_status(self) -> bool:
        """Whether it sets the status of commits, and says nothing of anything else."""
        return self.type.endswith("-status")

    @field_validator("repository")
    @classmethod
    def _repository(cls, text: str) -> str:
        if text and not _REPOSITORY.fullmatch(text):
            raise ValueError("write it as OWNER/NAME")
        return text

    @model_validator(mode="after")
    def _complete(self) -> "Notify":
        if self.is_status and not (self.repository and self.token_file):
            raise ValueError("a status needs repository and token_file")
        if self.type == "gitea-status" and not self.url:
            raise ValueError("gitea-status needs url, such as https://git.example.com/api/v1")
        if self.type == "webhook" and not (self.secret_file and self.url):
            raise ValueError("a webhook needs url and secret_file")
        if self.type == "slack" and not self.url_file:
            raise ValueError("slack needs url_file, since its address is a secret")
        if self.url_file and self.type != "slack":
            raise ValueError("url_file is for slack; write url")
        return self
