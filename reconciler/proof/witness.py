"""A witness: what it cosigned of each log, so that it never cosigns what does not go on.

    request ─decide─> write beside, fsync, rename, fsync folder ──> cosignature leaves

One at a time, also between processes: from reading what was cosigned to having written the
next, a lock is held on `<state>.lock`. A process that is killed at any point has either
answered what is on the disk, or has not answered. A log that signed two trees of one size is
kept with both of its notes in `<state>.forks`: that is proof against it.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.proof import checkpoint, note, request
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.note import Note, Signature, SigningKey, VerifierKey
from reconciler.proof.request import Refusal, Request
from runner.contract import errors

FORKS_BYTES_MAX: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What a witness adds to a checkpoint."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    @property
    def lines(self) -> str:
        """The signature lines, as they are sent and stand in the note."""
        return "".join(f"{one.line}\n" for one in self.signatures)


class Witness:
    """Cosigns for logs with these keys; `state` is the file of what it cosigned."""

    def __init__(
        self, keys: Sequence[SigningKey], logs: Sequence[VerifierKey], state: Path
    ) -> None:
        assert keys
        assert all(key.type in note.COSIGNATURES for key in keys)
        self._keys, self._logs, self._state = keys, logs, state

    def check(self) -> None:
        """Whether the state can be read and written, before anybody asks; SettingsInvalid."""
        with self._alone():
            self._write(self._read())

    def cosign(self, asked: Request, at_s: int) -> Cosigned | Refusal:
        """Cosign a checkpoint, once it is durable that this was done; or say why not."""
        with self._alone():
            kept = self._read()
            origin = asked.signed.text.partition("\n")[0]
            last = None if origin not in kept else _checkpoint(kept[origin])
            said = request.decide(asked, self._logs, last)
            if isinstance(said, Refusal):
                if said.fork:
                    self._keep_fork(kept[origin], self._by_log(asked.signed))
                return said
            signatures = tuple(key.sign(asked.signed.text, at_s) for key in self._keys)
            if last != said:
                self._write(kept | {origin: str(self._by_log(asked.signed))})
        return Cosigned(said, signatures)

    def last(self, origin: str) -> Checkpoint | None:
        """What was cosigned last of a log."""
        with self._alone():
            kept = self._read()
        return _checkpoint(kept[origin]) if origin in kept else None

    def _by_log(self, signed: Note) -> Note:
        """The note without what others signed, of which there may be as much as they like."""
        known = {(key.name, key.key_id) for key in self._logs}
        return Note(
            signed.text,
            tuple(one for one in signed.signatures if (one.name, one.key_id) in known),
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self._state.with_name(self._state.name + ".lock")
        try:
            with lock.open("a") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise errors.SettingsInvalid(
                f"{error.filename or self._state}: a witness cannot keep its state there"
                f" ({error.strerror})"
            ) from error

    def _read(self) -> dict[str, str]:
        """The note that was cosigned last, by the origin of its log.

        A state that cannot be read is never taken for none: that would forget everything.
        """
        try:
            text = self._state.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            kept = json.loads(text)
            if not isinstance(kept, dict):
                raise ValueError("it is no object")
            for origin, text in kept.items():
                if _checkpoint(text).origin != origin:
                    raise ValueError(f"the checkpoint of {origin} is another log's")
        except (ValueError, AttributeError, TypeError) as error:
            raise errors.SettingsInvalid(
                f"{self._state} is not the state of a witness ({error}); nothing is cosigned"
                " until it is put back"
            ) from None
        return kept

    def _write(self, kept: dict[str, str]) -> None:
        durably(self._state, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")

    def _keep_fork(self, before: str, signed: Note) -> None:
        """Write both notes down, once for each pair; they are the proof."""
        file = self._state.with_name(self._state.name + ".forks")
        line = json.dumps([before, str(signed)], ensure_ascii=False) + "\n"
        known = file.read_text(encoding="utf-8") if file.exists() else ""
        if line not in known and len(known) + len(line) <= FORKS_BYTES_MAX:
            durably(file, known + line)


def durably(file: Path, text: str) -> None:
    """Write a file so that it is whole and on the disk, or as it was before."""
    unfinished = file.with_name(file.name + ".unfinished")
    with unfinished.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _checkpoint(text: Any) -> Checkpoint:
    return checkpoint.parse(note.parse(text).text)
