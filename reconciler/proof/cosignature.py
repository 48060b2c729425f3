"""What a cosignature is made over, and how it stands in a note. Pure.

    signature bytes = time (8 bytes, seconds, big-endian) ‖ signature of the message below

    cosignature/v1 (Ed25519)   "cosignature/v1\\ntime <seconds>\\n" ‖ the checkpoint's text
    subtree/v1 (ML-DSA-44)     label ‖ who signs ‖ time ‖ origin ‖ 0 ‖ size ‖ root

It says: at this time, this is the largest tree of this log that I saw, and it only grew.
Lines after the third are part of the first message and not of the second, and no statement
is made about them by either. Source: c2sp.org/tlog-cosignature.
"""

import struct
from typing import Final

from reconciler.proof import checkpoint

TIME_BYTES: Final = 8
_TIME_MAX: Final = 2**63 - 1
_LABEL: Final = b"subtree/v1\n\x00"


def ed25519_message(text: str, at_s: int) -> bytes:
    """What a cosignature/v1 signs."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def ml_dsa_message(name: str, text: str, at_s: int) -> bytes:
    """What an ML-DSA-44 cosignature signs; ValueError when the text is no checkpoint."""
    said = checkpoint.parse(text)
    return b"".join(
        (
            _LABEL,
            _short(name),
            struct.pack(">Q", at_s),
            _short(said.origin),
            struct.pack(">QQ", 0, said.size),
            said.root,
        )
    )


def joined(at_s: int, signature: bytes) -> bytes:
    """Time and signature as they stand in a note."""
    return struct.pack(">Q", at_s) + signature


def split(value: bytes) -> tuple[int, bytes]:
    """Time and signature of a cosignature; ValueError when it is none."""
    if len(value) <= TIME_BYTES:
        raise ValueError("a cosignature without a signature")
    (at_s,) = struct.unpack_from(">Q", value)
    if at_s > _TIME_MAX:
        raise ValueError("a time that nobody can have")
    return at_s, value[TIME_BYTES:]


def _short(text: str) -> bytes:
    """A text after its length, which one byte says."""
    content = text.encode()
    if not 0 < len(content) < 256:
        raise ValueError("a name of more than 255 bytes cannot be cosigned")
    return bytes([len(content)]) + content
