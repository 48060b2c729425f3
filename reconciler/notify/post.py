"""Send one notification, once, and say what came of it. The shell around `letter`.

No redirect is followed, nothing is taken from the environment, ten seconds is the whole of
it, and of the answer no more is read than an error message is long. Its secret is masked in
all that is said afterwards.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from reconciler.notify import letter as letters
from reconciler.notify.letter import Letter
from reconciler.notify.notice import Notice
from runner.contract import clock, errors, masking, secret_file, web_settings, webhook
from runner.contract.web_settings import Notify

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 2_048
RETRY_AFTER_MAX_S: Final = 3_600
_SAID_CHARACTERS_MAX: Final = 120
_MENDABLE: Final = frozenset({401, 403, 404, 408, 409, 425, 429})
"""A token or a right can be given meanwhile, a limit ends; 5xx goes here too."""
_GITLAB_KNOWS: Final = "Cannot transition status"
"""What GitLab answers to a status that the commit has already."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it: `problem` is None when it was told. `said` is the answer, masked."""

    problem: str | None
    again: bool = False
    retry_after_s: float = 0.0
    status: int | None = None
    said: str = ""


def send(home: Path, name: str, target: Notify, notice: Notice) -> Reply:
    """Send a notification to the target of that name, once. Waits for it."""
    try:
        secret = _secret(home, name, target)
        made = letters.letter(target, notice, secret, clock.now_us() // 1_000_000)
    except errors.SettingsInvalid as error:
        return Reply(f"it cannot be asked: {error}", again=True)
    return asyncio.run(_post(target, made))


def _secret(home: Path, name: str, target: Notify) -> str:
    """The token, the key or Slack's address; read each time, so that a new one counts."""
    keys = {"slack": "url_file", "webhook": "secret_file"}
    key = keys.get(target.type, "token_file")
    setting = f"notify.{name}.{key}"
    secret = secret_file.read(home, getattr(target, key), setting)
    if target.type != "slack":
        return secret
    try:
        return web_settings.where_to_tell(secret)
    except ValueError as error:
        raise errors.SettingsInvalid(f"{setting}: {error}") from None


async def _post(target: Notify, made: Letter) -> Reply:
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=None) as client,
            client.stream(
                "POST", made.url, content=made.body, headers=made.headers
            ) as response,
        ):
            text = await _beginning(response)
            return _reply(target, made, response, text)
    except (httpx2.InvalidURL, httpx2.LocalProtocolError, ValueError) as error:
        return Reply(f"it cannot be asked ({type(error).__name__})")
    except (httpx2.HTTPError, OSError, TimeoutError) as error:
        return Reply(f"it cannot be reached ({type(error).__name__})", again=True)


async def _beginning(response: httpx2.Response) -> str:
    parts, length = [], 0
    async for part in response.aiter_raw(ANSWER_BYTES_MAX):
        parts.append(part)
        length += len(part)
        if length >= ANSWER_BYTES_MAX:
            break
    return b"".join(parts)[:ANSWER_BYTES_MAX].decode("utf-8", "replace")


def _reply(target: Notify, made: Letter, response: httpx2.Response, text: str) -> Reply:
    code = response.status_code
    said = webhook.line(masking.redact(text, (made.secret,)), _SAID_CHARACTERS_MAX)
    known = target.type == "gitlab-status" and code == 400 and _GITLAB_KNOWS in text
    if 200 <= code < 300 or known:
        return Reply(None, status=code, said=said)
    after = response.headers.get("retry-after", "")
    return Reply(
        f"it answered {code}" + (f": {said}" if said else ""),
        again=code in _MENDABLE or code >= 500,
        retry_after_s=float(min(int(after), RETRY_AFTER_MAX_S)) if after.isdecimal() else 0.0,
        status=code,
        said=said,
    )
