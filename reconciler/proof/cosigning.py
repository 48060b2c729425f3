"""Gets the checkpoints of our log cosigned by the witnesses of its policy.

    signed note ──add-checkpoint──> each witness with a URL, at once ──lines──> cosigned note
                     └─ 409 with a size: prove from there, once more

What a witness answers is believed when its key signed this text, and otherwise is nothing. No
witness can hold a checkpoint up: each has ten seconds, and its failure is a value. One that
saw more of the log than there is, or another log, is said to have seen a fork.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy import Connection

from reconciler.proof import checkpoint, checkpoints, note
from reconciler.proof import policy as policies
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.inclusion import Tree
from reconciler.proof.note import Note, Signature
from reconciler.proof.policy import Policy, Witness
from reconciler.proof.request import Request
from runner.contract import errors, web_settings, webhook
from runner.contract.database import Database
from runner.contract.settings import Settings

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 65_536
POLICY_BYTES_MAX: Final = 1 << 20
_PATH: Final = "/add-checkpoint"
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SAID_CHARACTERS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking one witness; `problem` is None when it cosigned.

    `fork`: it saw another log under this name, or more of it than there is here.
    """

    witness: str
    signatures: tuple[Signature, ...] = ()
    problem: str | None = None
    fork: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The note with what was added, and what each witness said."""

    signed: Note
    replies: tuple[Reply, ...] = ()

    @property
    def problems(self) -> list[Reply]:
        """Those that did not cosign."""
        return [reply for reply in self.replies if reply.problem is not None]


def policy_of(settings: Settings) -> Policy | None:
    """The policy of this home; None when it has none. SettingsInvalid with file and line."""
    if not settings.audit.policy:
        return None
    return policy_from(settings.home / settings.audit.policy)


def policy_from(file: Path) -> Policy:
    """A policy from its file; SettingsInvalid with file and line."""
    try:
        with file.open("rb") as opened:
            content = opened.read(POLICY_BYTES_MAX + 1)
    except OSError as error:
        raise errors.SettingsInvalid(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > POLICY_BYTES_MAX:
        raise errors.SettingsInvalid(f"{file} is no policy: it is more than one mebibyte")
    try:
        # Bytes that are no UTF-8 may stand in names and comments, and mean only themselves.
        return policies.parse(content.decode("utf-8", "surrogateescape"), str(file))
    except ValueError as error:
        raise errors.SettingsInvalid(str(error)) from None


def growth(connection: Connection, old: int, size: int) -> tuple[bytes, ...]:
    """What proves to a witness that the tree of `old` entries grew to be this one."""
    return tuple(Tree(connection, size).consistency(old)) if 0 < old < size else ()


class Cosigner:
    """Asks witnesses; remembers which size each saw last, to prove from there at once."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._witnesses = [witness for witness in policy.witnesses if witness.url]
        self._seen: dict[str, int] = {}

    def cosigned(self, signed: Note, timeout_s: float = TIMEOUT_S) -> Outcome:
        """The note with the cosignatures that could be had. Waits; never in a transaction."""
        said = checkpoint.parse(signed.text)
        if not self._witnesses:
            return Outcome(signed)
        replies = asyncio.run(self._ask_all(signed, said, timeout_s))
        for reply in replies:
            if reply.problem is None:
                self._seen[reply.witness] = said.size
        more = [one for reply in replies for one in reply.signatures]
        return Outcome(added(signed, more), tuple(replies))

    async def _ask_all(self, signed: Note, said: Checkpoint, timeout_s: float) -> list[Reply]:
        async with httpx2.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=None
        ) as client:
            asking = (self._ask(client, one, signed, timeout_s) for one in self._witnesses)
            answers = await asyncio.gather(*asking)
        return [
            one if isinstance(one, Reply) else _reply(witness, signed, said, one)
            for witness, one in zip(self._witnesses, answers, strict=True)
        ]

    async def _ask(
        self, client: httpx2.AsyncClient, witness: Witness, signed: Note, timeout_s: float
    ) -> "Reply | _Answer":
        size = checkpoint.parse(signed.text).size
        try:
            url = web_settings.where_to_tell(witness.url.rstrip("/") + _PATH)
            async with asyncio.timeout(timeout_s):
                old = min(self._seen.get(witness.name, 0), size)
                answer = await self._post(client, url, old, signed)
                known = _known_size(answer)
                if known is not None and known < size:
                    answer = await self._post(client, url, known, signed)
        except (httpx2.InvalidURL, httpx2.LocalProtocolError, ValueError) as error:
            return Reply(witness.name, problem=f"it cannot be asked: {error}")
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            return Reply(witness.name, problem=f"no answer ({type(error).__name__})")
        return answer

    async def _post(
        self, client: httpx2.AsyncClient, url: str, old: int, signed: Note
    ) -> "_Answer":
        size = checkpoint.parse(signed.text).size
        with self._database.read() as connection:
            asked = Request(old, growth(connection, old, size), signed)
        async with client.stream("POST", url, content=str(asked).encode()) as response:
            parts, length = [], 0
            async for part in response.aiter_raw(ANSWER_BYTES_MAX):
                parts.append(part)
                length += len(part)
                if length >= ANSWER_BYTES_MAX:
                    break
            text = b"".join(parts)[:ANSWER_BYTES_MAX].decode("utf-8", "replace")
            return _Answer(response.status_code, text)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str


def _known_size(answer: _Answer) -> int | None:
    """How many entries a witness says that it cosigned last; None when it does not say."""
    found = _SIZE.fullmatch(answer.text.strip()) if answer.status == 409 else None
    return int(found[0]) if found else None


def _reply(witness: Witness, signed: Note, said: Checkpoint, answer: _Answer) -> Reply:
    if answer.status == 200:
        found = _by(witness, signed, answer.text)
        if found:
            return Reply(witness.name, found)
        return Reply(witness.name, problem="what it answered is no cosignature by its key")
    seen = _known_size(answer)
    if seen == said.size:
        problem = f"it saw another log of this name: its first {seen} entries are not ours"
        return Reply(witness.name, problem=problem, fork=True)
    if seen is not None and seen > said.size:
        problem = f"it saw {seen} entries of this log, and here it has {said.size}"
        return Reply(witness.name, problem=problem, fork=True)
    if answer.status == 422:
        problem = "it saw another log of this name: ours does not go on from what it cosigned"
        return Reply(witness.name, problem=problem, fork=True)
    sentence = webhook.line(answer.text, _SAID_CHARACTERS_MAX)
    return Reply(witness.name, problem=f"it answered {answer.status}: {sentence}")


def _by(witness: Witness, signed: Note, lines: str) -> tuple[Signature, ...]:
    """The signatures in an answer that this witness made of this text."""
    try:
        answered = note.parse(f"{signed.text}\n{lines}")
    except ValueError:
        return ()
    return tuple(
        one
        for one in answered.signatures
        if (one.name, one.key_id) == (witness.key.name, witness.key.key_id)
        and witness.key.signed(signed.text, one)
    )


def added(signed: Note, more: Iterable[Signature]) -> Note:
    """The note with these signatures, each key's once: the newer one stays."""
    new = {(one.name, one.key_id): one for one in more}
    kept = [one for one in signed.signatures if (one.name, one.key_id) not in new]
    return Note(signed.text, (*kept, *new.values()))


def keep(connection: Connection, said: Checkpoint, cosigned: Note, policy: Policy) -> list[str]:
    """Add what the policy's witnesses cosigned to the checkpoint that is stored; who they are.

    Refused when that checkpoint is not stored here.
    """
    stored = next(checkpoints.between(connection, said.size, said.size), None)
    if stored is None or note.parse(stored.note).text != cosigned.text:
        raise errors.Refused(
            f"the checkpoint of {said.size} entries that was cosigned is not that of this log"
        )
    names = policies.cosigners(cosigned, policy)
    keys = {(one.key.name, one.key.key_id) for one in policy.witnesses if one.name in names}
    more = [one for one in cosigned.signatures if (one.name, one.key_id) in keys]
    checkpoints.replace(connection, said.size, added(note.parse(stored.note), more))
    return names
