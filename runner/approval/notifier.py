"""Sends notifications, beside the dispatcher and never in its way.

    knock, or the next one is due ──> take ──> send ──> sent | later | failed, in the log

It has a thread of its own for the database, and the loop only waits on sockets: a hook that
hangs holds up nothing but itself. A notification is tried six times within six minutes.
Nothing of a hook's address but its host is ever logged, since a path may be a secret.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2
from sqlalchemy import Connection

from runner import credentials
from runner.approval import notification, outbox
from runner.approval import rows as approval_rows
from runner.approval.outbox import Notice
from runner.approval.request import ApprovalRecord
from runner.background import Background
from runner.contract import audit, clock, seal, service, wake, webhook
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.errors import DatabaseUnavailable, OrlojError, Refused
from runner.contract.settings import Settings
from runner.contract.telemetry import log, log_exception
from runner.tools import egress

ATTEMPTS_MAX: Final = 6
PAUSES_S: Final = (1, 4, 16, 64, 256)
TIMEOUT_S: Final = 10.0
IDLE_S: Final = 15.0  # The net under the knock: another host may have left something.
LET_GO_S: Final = 1.0
_RETRYABLE: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class _Letter:
    """A notification with all that sending it takes; `problem` is why it cannot be."""

    notice: Notice
    record: ApprovalRecord | None = None
    body: bytes = b""
    secret: str | None = None
    problem: str | None = None


class Notifier:
    """The sender of one runner."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._thread = Background("orloj-notifier")
        self._awake = asyncio.Event()
        self._due_us: int | None = None
        shared = database.shared
        self._host = service.host_id(settings.home) if shared else os.uname().nodename

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        loop = asyncio.get_running_loop()
        receiver = wake.listen(self._settings.run, wake.NOTIFIER)
        try:

            def knocked() -> None:
                wake.drain(receiver)
                self._awake.set()

            loop.add_reader(receiver, knocked)
            while True:
                self._awake.clear()
                try:
                    await self._send_due()
                except DatabaseUnavailable:
                    self._due_us = None  # The dispatcher says so; the next look is ours.
                except Exception:  # noqa: BLE001 - a notification must not end the runner.
                    log_exception("notifier_failed", "Notifications met an unforeseen error.")
                    self._due_us = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._awake.wait()
        finally:
            loop.remove_reader(receiver)
            receiver.close()

    def close(self) -> bool:
        """Let go of the database; False when the thread still waits for it."""
        return self._thread.close(LET_GO_S)

    def _pause_s(self) -> float:
        if self._due_us is None:
            return IDLE_S
        return min(IDLE_S, max(0.0, (self._due_us - clock.now_us()) / 1_000_000))

    async def _send_due(self) -> None:
        while letters := await self._thread.run(self._take):
            await asyncio.gather(*(self._deliver(letter) for letter in letters))

    def _take(self) -> list[_Letter]:
        with self._database.read() as connection:
            self._due_us = outbox.next_due_us(connection)
        if self._due_us is None or self._due_us > clock.now_us():
            return []
        with self._database.write() as connection:
            taken = outbox.take(connection, clock.now_us())
            return [self._letter(connection, notice) for notice in taken]

    def _letter(self, connection: Connection, notice: Notice) -> _Letter:
        try:
            record = approval_rows.get(connection, notice.approval)
            body = notification.body(notice.hook.format, notice.event, record)
        except OrlojError as error:
            return _Letter(notice, problem=str(error))
        if notice.hook.auth is None:
            return _Letter(notice, record, body)
        auth, sealer = notice.hook.auth, seal.sealer(self._settings.home)
        secret = credentials.recorded(
            connection, auth, notice.namespace, sealer, self._settings
        )
        problem = None if secret else f"its secret {auth.secret_ref} has no value for it here"
        return _Letter(notice, record, body, secret, problem)

    async def _deliver(self, letter: _Letter) -> None:
        problem, again = letter.problem, False
        if problem is None:
            problem, again = await _sent(letter)
        await self._thread.run(lambda: self._settle(letter, problem, again))

    def _settle(self, letter: _Letter, problem: str | None, again: bool) -> None:
        notice, now_us = letter.notice, clock.now_us()
        with self._database.write() as connection:
            if problem is not None and again and notice.attempts < ATTEMPTS_MAX:
                pause_us = PAUSES_S[notice.attempts - 1] * 1_000_000
                outbox.put_back(connection, notice.id, now_us + pause_us, problem)
            elif outbox.close(connection, notice.id, problem, now_us):
                audit.append(connection, [self._entry(letter, problem)], now_us)
        if problem is not None:
            host = _host(notice.hook.url)
            log("notification_failed", "A hook was not told.", host=host, problem=problem)

    def _entry(self, letter: _Letter, problem: str | None) -> Entry:
        call = None if letter.record is None else letter.record.request().call
        kind = EntryType.NOTIFICATION_SENT if problem is None else EntryType.NOTIFICATION_FAILED
        how = f"{letter.notice.event} to {_host(letter.notice.hook.url)}"
        return Entry(
            type=kind,
            actor=f"dispatcher:{self._host}",
            commit=NO_COMMIT if call is None else call.commit,
            task=None if call is None else call.task,
            approval=letter.notice.approval,
            reason=how if problem is None else f"{how}: {problem}",
        )


async def _sent(letter: _Letter) -> tuple[str | None, bool]:
    """Why a hook was not told, None: it was; and whether trying again may help."""
    headers = {"Content-Type": "application/json", webhook.KEY_HEADER: letter.notice.id}
    if letter.secret is not None:
        time_s = clock.now_us() // 1_000_000
        headers["Authorization"] = f"Bearer {letter.secret}"
        headers[webhook.SIGNATURE_HEADER] = webhook.signature(
            letter.secret, time_s, letter.body
        )
    url = letter.notice.hook.url
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            egress.client(egress.reach(url)) as client,
            client.stream("POST", url, content=letter.body, headers=headers) as response,
        ):
            status = response.status_code  # What it answers besides is not read.
    except (Refused, httpx2.InvalidURL, httpx2.LocalProtocolError, ValueError) as error:
        return f"it cannot be asked ({type(error).__name__})", False
    except (httpx2.HTTPError, OSError, TimeoutError) as error:
        return f"it cannot be reached ({type(error).__name__})", True
    if 200 <= status < 300:
        return None, False
    return f"it answered {status}", status in _RETRYABLE or status >= 500


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "a hook without a host"
    except ValueError:
        return "a hook without a host"
