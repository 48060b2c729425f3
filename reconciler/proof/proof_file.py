"""A file that proves one entry without the database. Pure.

    c2sp.org/tlog-proof@v1
    extra <base64 of the entry's bytes>
    index <number from 0>
    <base64 of a hash>             nearest first
    <empty line>
    <the signed checkpoint>

What stands in `extra` is authentic only because its hash leads to the signed root.
Source: c2sp.org/tlog-proof.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from reconciler.proof import checkpoint, note, request
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.note import Note
from runner.contract import merkle

BYTES_MAX: Final = 1 << 22
SUFFIX: Final = ".tlog-proof"
_TITLE: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_EXTRA: Final = "extra "


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry stands at an index, from 0, of the tree that a checkpoint signs."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    signed: Note

    def __str__(self) -> str:
        extra = f"{_EXTRA}{base64.b64encode(self.entry).decode()}\n"
        path = request.hashes(self.path)
        return f"{_TITLE}\n{extra}index {self.index}\n{path}\n{self.signed}"

    def holds(self) -> Checkpoint | None:
        """What the checkpoint says, if the entry is in its tree; whose it is, is not asked."""
        said = checkpoint.parse(self.signed.text)
        digest = merkle.leaf(self.entry)
        ok = merkle.included(digest, self.index, said.size, self.path, said.root)
        return said if ok else None


def parse(content: str) -> Proof:
    """A proof from its file; ValueError says what is wrong with it."""
    if len(content) > BYTES_MAX:
        raise ValueError("a proof of more than four mebibytes")
    head, separator, rest = content.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != _TITLE or len(lines) < 3:
        raise ValueError(f"a proof begins with {_TITLE}, and has an entry and an index")
    if not lines[1].startswith(_EXTRA):
        raise ValueError("it holds no entry: its second line is not `extra`")
    index = _INDEX.fullmatch(lines[2])
    if index is None:
        raise ValueError(f"{lines[2][:60]!r} is no index")
    path = request.parse_hashes(lines[3:])
    signed = note.parse(rest)
    checkpoint.parse(signed.text)
    return Proof(_entry(lines[1]), int(index[1]), path, signed)


def _entry(line: str) -> bytes:
    encoded = line.removeprefix(_EXTRA)
    try:
        entry = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        entry = b""
    if not entry or base64.b64encode(entry).decode() != encoded:
        raise ValueError("the entry is not base64")
    return entry
