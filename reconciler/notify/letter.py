"""What is sent to a target: address, headers and body. Pure.

Messages hold what people wrote, down to the subjects of commits: they arrive as text that
does nothing there.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from reconciler.notify.notice import Notice, Status
from runner.contract import clock, webhook
from runner.contract.web_settings import Notify

DESCRIPTION_CHARACTERS_MAX: Final = 140
"""GitHub refuses a longer one."""
MESSAGE_CHARACTERS_MAX: Final = 300
APIS: Final = {
    "github-status": "https://api.github.com",
    "gitlab-status": "https://gitlab.com/api/v4",
}
_GITLAB: Final = {Status.FAILURE: "failed"}


@dataclass(frozen=True, slots=True)
class Letter:
    """A POST. `secret` is what must be said nowhere else."""

    url: str = field(repr=False)
    body: bytes
    headers: dict[str, str] = field(repr=False)
    secret: str = field(repr=False)


def letter(target: Notify, notice: Notice, secret: str, now_s: int) -> Letter:
    """What the target is sent. `secret` is its token, its key, or Slack's address."""
    match target.type:
        case "slack":
            return _letter(secret, _slack(notice), {}, secret)
        case "webhook":
            return _webhook(target, notice, secret, now_s)
    assert notice.event.commit is not None, "a status is that of a commit"
    url = f"{(target.url or APIS[target.type]).rstrip('/')}{_path(target, notice.event.commit)}"
    return _letter(url, _status(target, notice), _authorized(target, secret), secret)


def _letter(url: str, value: dict[str, Any], headers: dict[str, str], secret: str) -> Letter:
    fixed = {
        "Content-Type": "application/json",
        "User-Agent": "orloj",
        "Accept-Encoding": "identity",  # Of the answer a few letters are read, as they come.
    }
    return Letter(url, _bytes(value), fixed | headers, secret)


def _bytes(value: dict[str, Any]) -> bytes:
    """The bytes that are signed: sorted keys, no spaces, nothing but ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _path(target: Notify, commit: str) -> str:
    if target.type == "gitlab-status":
        return f"/projects/{quote(target.repository, safe='')}/statuses/{commit}"
    return f"/repos/{target.repository}/statuses/{commit}"


def _authorized(target: Notify, token: str) -> dict[str, str]:
    match target.type:
        case "gitlab-status":
            return {"PRIVATE-TOKEN": token}
        case "gitea-status":
            return {"Authorization": f"token {token}"}
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }


def _status(target: Notify, notice: Notice) -> dict[str, Any]:
    assert notice.status is not None
    text = f"{notice.event.reason}: {notice.event.message}"
    description = webhook.line(text, DESCRIPTION_CHARACTERS_MAX)
    context = f"orloj/{notice.event.source}"
    if target.type == "gitlab-status":
        state = _GITLAB.get(notice.status, notice.status.value)
        return {"state": state, "name": context, "description": description}
    return {"state": notice.status.value, "context": context, "description": description}


def _webhook(target: Notify, notice: Notice, secret: str, now_s: int) -> Letter:
    event = notice.event
    value = {
        "event": "source.event",
        "id": notice.id,
        "source": event.source,
        "severity": event.severity.value,
        "reason": event.reason,
        "message": event.message,
        "commit": event.commit,
        "resource": event.resource,
        "happened_at": clock.iso(notice.happened_at),
    }
    made = _letter(target.url, value, {webhook.KEY_HEADER: notice.id}, secret)
    made.headers[webhook.SIGNATURE_HEADER] = webhook.signature(secret, now_s, made.body)
    return made


def _slack(notice: Notice) -> dict[str, Any]:
    event = notice.event
    code = webhook.slack_code
    what = f"{event.severity.value.upper()} {code(event.reason)} of {code(event.source)}"
    if event.commit is not None:
        what += f" at {code(event.commit[:12])}"
    if event.resource is not None:
        what += f" ({code(event.resource)})"
    text = f"{what}: {code(event.message, MESSAGE_CHARACTERS_MAX)}"
    return {"text": text, "unfurl_links": False, "unfurl_media": False}
