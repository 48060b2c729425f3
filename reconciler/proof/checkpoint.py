"""A checkpoint: how many entries a log has, and the root over them. Pure.

    <origin>\n<size>\n<base64 of the root>\n

Source: c2sp.org/tlog-checkpoint. It is the text of a signed note; extension lines are
read and passed over, never written.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from runner.contract import merkle

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the tree at a size; `root` is 32 bytes."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"


def parse(text: str) -> Checkpoint:
    """A checkpoint from the text of its note; ValueError says what is wrong with it."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise ValueError("a checkpoint is at least three lines, none of them empty")
    origin, size, encoded = lines[:3]
    if not _SIZE.fullmatch(size):
        raise ValueError(f"{size[:40]!r} is no number of entries")
    try:
        root = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        root = b""
    # Base64 has several texts for some values: only one of them is signed.
    if len(root) != merkle.HASH_BYTES or base64.b64encode(root).decode() != encoded:
        raise ValueError("the root is not 32 bytes in base64")
    return Checkpoint(origin, int(size), root)
