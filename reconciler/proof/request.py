"""What a log asks of a witness, and how the witness decides. Pure.

    old <size>\\n
    <base64 of a hash>\\n      none to 63 of them: a consistency proof from the old size
    \\n
    <the signed checkpoint>

    origin known? ─404  signed? ─403  old <= size? ─400  old == last? ─409
    same size, same root? ─409  consistent? ─422        else cosign: 200

Source: c2sp.org/tlog-witness.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.proof import checkpoint, note
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.note import Note, VerifierKey
from runner.contract import merkle

PROOF_MAX: Final = 63
BYTES_MAX: Final = 1 << 20
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Request:
    """A checkpoint to cosign, and the proof that it goes on from the tree of `old` entries."""

    old: int
    proof: tuple[bytes, ...]
    signed: Note

    @property
    def head(self) -> str:
        """What stands before the checkpoint."""
        return f"old {self.old}\n{hashes(self.proof)}\n"

    def __str__(self) -> str:
        return f"{self.head}{self.signed}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a witness does not cosign: a status of HTTP, and what to say.

    `fork` says that the log signed two trees of one size: its signatures prove it.
    """

    status: int
    problem: str
    size: int | None = None
    fork: bool = False


def parse(content: str) -> Request:
    """A request from its text; ValueError says what is wrong with it."""
    if len(content) > BYTES_MAX:
        raise ValueError("a request of more than one mebibyte")
    head, separator, rest = content.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if not separator or old is None:
        raise ValueError("a request is `old <size>`, a proof, an empty line and a checkpoint")
    if len(lines) > PROOF_MAX:
        raise ValueError(f"a proof of more than {PROOF_MAX} hashes")
    return Request(int(old[1]), parse_hashes(lines), note.parse(rest))


def decide(
    request: Request, logs: Sequence[VerifierKey], last: Checkpoint | None
) -> Checkpoint | Refusal:
    """The checkpoint to cosign. `last` is the one that was cosigned of this log before."""
    try:
        said = checkpoint.parse(request.signed.text)
    except ValueError as error:
        return Refusal(400, str(error))
    keys = [key for key in logs if key.name == said.origin]
    if not keys:
        return Refusal(404, f"no key of the log {said.origin} is known here")
    if not _signed(request.signed, keys):
        return Refusal(403, f"no key of {said.origin} that is known here has signed this")
    return _grown(request, said, last or Checkpoint(said.origin, 0, merkle.EMPTY))


def _grown(request: Request, said: Checkpoint, last: Checkpoint) -> Checkpoint | Refusal:
    assert said.origin == last.origin
    if said.size == last.size and said.root != last.root:
        problem = (
            f"fork: {said.origin} signed two trees of {said.size} entries, with the heads"
            f" {last.root.hex()} and {said.root.hex()}"
        )
        return Refusal(409, problem, last.size, fork=last.size > 0)
    if request.old > said.size:
        return Refusal(400, f"{request.old} entries cannot have grown to {said.size}")
    if request.old != last.size:
        return Refusal(409, f"the last tree cosigned had {last.size} entries", last.size)
    if not request.old or request.old == said.size:
        grew = not request.proof
    else:
        grew = merkle.consistent(last.size, last.root, said.size, said.root, request.proof)
    if not grew:
        problem = (
            f"nothing proves that the {last.size} entries of {said.origin} that were cosigned"
            f" only grew to these {said.size}: the proof is wrong, or the log is another one"
        )
        return Refusal(422, problem)
    return said


def _signed(signed: Note, keys: Sequence[VerifierKey]) -> bool:
    try:
        return bool(note.verified(signed, keys))
    except ValueError:
        return False


def hashes(proof: Sequence[bytes]) -> str:
    """The lines of a proof."""
    return "".join(f"{base64.b64encode(digest).decode()}\n" for digest in proof)


def parse_hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    """The hashes of a proof; ValueError says which line is none."""
    return tuple(_hash(line) for line in lines)


def _hash(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != merkle.HASH_BYTES or base64.b64encode(digest).decode() != line:
        raise ValueError(f"{line[:60]!r} is no hash in base64")
    return digest
