"""What may be kept, and a long text cut into pieces that overlap. Pure."""

import unicodedata
from typing import Final

from runner.contract.errors import Refused

KEY_MAX: Final = 512
CHUNK: Final = 1_000
OVERLAP: Final = 200
CHUNK_MAX: Final = 16_000
PIECES_MAX: Final = 2_000


def key(text: str, what: str = "key") -> str:
    """A key that can be kept, listed and shown; Refused."""
    if not text or len(text) > KEY_MAX:
        raise Refused(f"{what} has 1 to {KEY_MAX} characters")
    return prefix(text, what)


def prefix(text: str, what: str = "prefix") -> str:
    """The beginning of keys, which may be nothing; Refused."""
    if len(text) > KEY_MAX:
        raise Refused(f"{what} has at most {KEY_MAX} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise Refused(f"{what} holds a control character")
    return text


def value(text: str, bytes_max: int) -> str:
    """A value that can be kept; Refused. Half of a surrogate pair becomes a `?`."""
    stored = text.encode("utf-8", "replace")
    if len(stored) > bytes_max:
        raise Refused(
            f"the value has {len(stored)} bytes, and memory takes {bytes_max} (the setting"
            " memory.value_bytes_max); keep less, or let memory.ingest cut it into pieces"
        )
    return stored.decode().replace("\x00", "")


def cut(content: str, size: int = CHUNK, overlap: int = OVERLAP) -> list[str]:
    """A text in pieces of `size` characters, each beginning `overlap` before the last ended."""
    if not 1 <= size <= CHUNK_MAX:
        raise Refused(f"chunk_size is 1 to {CHUNK_MAX}")
    if not 0 <= overlap < size:
        raise Refused("overlap is 0 or more, and less than chunk_size")
    step = size - overlap
    last = max(len(content) - overlap, 1)
    starts = range(0, last, step)
    if len(starts) > PIECES_MAX:
        raise Refused(
            f"the content makes {len(starts)} pieces, and one call keeps {PIECES_MAX}; take a"
            " larger chunk_size, or split the content"
        )
    return [content[at : at + size] for at in starts]


def named(source: str, pieces: list[str]) -> list[tuple[str, str]]:
    """Each piece under its key: `SOURCE/chunk-0001` and on."""
    return [(f"{source}/chunk-{at:04d}", piece) for at, piece in enumerate(pieces, 1)]
