"""Signed notes: a text, and who signed it. Source: c2sp.org/signed-note.

    <text>\n\n— <name> <base64(key id ‖ signature)>\n

A verifier's key (`vkey`) is `name+keyid+base64(type ‖ public key)`. A signature by a key
that is not known, of whatever type, is passed over; one by a known key that is wrong rejects
the note. Three types are known: a plain Ed25519 signature, and the two cosignatures, which
also say when they were made. Everything that signs or verifies in `reconciler` does it here.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
)

from reconciler.proof import cosignature

ED25519: Final = 1
"""The type byte of a plain signature of any text."""
COSIGNATURE: Final = 4
"""A cosignature/v1 of a checkpoint, with its time."""
ML_DSA_44: Final = 6
"""A cosignature of a checkpoint, with its time, that quantum computers cannot forge."""
COSIGNATURES: Final = frozenset({COSIGNATURE, ML_DSA_44})
_PUBLIC_BYTES: Final = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
_SEED_BYTES: Final = 32
_DASH: Final = "\u2014 "
_SIGNATURES_MAX: Final = 100
_BYTES_MAX: Final = 1 << 20
_PRIVATE: Final = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: who says to have signed, with which key."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, without its end."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.value).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of them verified yet."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{one.line}\n" for one in self.signatures)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    type: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key made a signature."""
        return key_id(self.name, self.type, self.public)

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def signed(self, text: str, signature: Signature) -> bool:
        """Whether this key made a signature of a text; of a cosignature, at the time it says.

        What ML-DSA-44 signs of a checkpoint are its three lines, and none after them.
        """
        try:
            if self.type == ED25519:
                value, message = signature.value, text.encode()
            else:
                at_s, value = cosignature.split(signature.value)
                message = _cosigned(self.type, self.name, text, at_s)
            _verify(self.type, self.public, value, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its name; it never leaves the process that signs."""

    name: str
    private: Ed25519PrivateKey | MLDSA44PrivateKey
    type: int = ED25519

    def __post_init__(self) -> None:
        assert isinstance(self.private, MLDSA44PrivateKey) == (self.type == ML_DSA_44)

    @property
    def verifier(self) -> VerifierKey:
        """The key that others check with."""
        return VerifierKey(self.name, self.type, self.private.public_key().public_bytes_raw())

    def sign(self, text: str, at_s: int | None = None) -> Signature:
        """The signature of a text; a cosignature is of a checkpoint, and has a time."""
        assert (at_s is not None) == (self.type in COSIGNATURES), "they alone have a time"
        if at_s is None:
            value = self.private.sign(text.encode())
        else:
            message = _cosigned(self.type, self.name, text, at_s)
            value = cosignature.joined(at_s, self.private.sign(message))
        return Signature(self.name, self.verifier.key_id, value)

    @property
    def secret(self) -> str:
        """The one line that a key file holds, as the tools of Go's checksum database do."""
        encoded = base64.b64encode(bytes([self.type]) + self.private.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{encoded.decode()}"


def _cosigned(type: int, name: str, text: str, at_s: int) -> bytes:
    if type == ML_DSA_44:
        return cosignature.ml_dsa_message(name, text, at_s)
    return cosignature.ed25519_message(text, at_s)


def _verify(type: int, public: bytes, value: bytes, message: bytes) -> None:
    if type == ML_DSA_44:
        MLDSA44PublicKey.from_public_bytes(public).verify(value, message)
    else:
        Ed25519PublicKey.from_public_bytes(public).verify(value, message)


def generate(name: str, type: int = ED25519) -> SigningKey:
    """A new key."""
    if not _named(name):
        raise ValueError("the name of a key has no space and no plus sign in it")
    ml_dsa = type == ML_DSA_44
    return SigningKey(
        name, MLDSA44PrivateKey.generate() if ml_dsa else Ed25519PrivateKey.generate(), type
    )


def parse_signer(text: str) -> SigningKey:
    """A private key from its line; ValueError says what is wrong, and nothing of the key."""
    if not text.startswith(_PRIVATE):
        raise ValueError(f"a private key begins with {_PRIVATE}")
    name, id, content = _parts(text.strip().removeprefix(_PRIVATE), "a private key")
    type, seed = content[0], content[1:]
    if type not in _PUBLIC_BYTES or len(seed) != _SEED_BYTES:
        raise ValueError("neither an Ed25519 nor an ML-DSA-44 key")
    if type == ML_DSA_44:
        key = SigningKey(name, MLDSA44PrivateKey.from_seed_bytes(seed), type)
    else:
        key = SigningKey(name, Ed25519PrivateKey.from_private_bytes(seed), type)
    if key.verifier.key_id.hex() != id:
        raise ValueError(f"the id of {name} is not that of its key")
    return key


def key_id(name: str, type: int, public: bytes) -> bytes:
    """The id of a key: the first four bytes of SHA-256 over name, type and key."""
    content = name.encode() + b"\n" + bytes([type]) + public
    return hashlib.sha256(content).digest()[:4]


def parse(content: str) -> Note:
    """A note from its text; ValueError says what is wrong with it."""
    if len(content) > _BYTES_MAX:
        raise ValueError("a note of more than one mebibyte")
    if any(character < " " and character != "\n" for character in content):
        raise ValueError("a control character in a note")
    text, separator, lines = content.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise ValueError("a note is a text, an empty line and signatures")
    signatures = lines[:-1].split("\n")
    if len(signatures) > _SIGNATURES_MAX:
        raise ValueError(f"more than {_SIGNATURES_MAX} signatures")
    return Note(text + "\n", tuple(_signature(line) for line in signatures))


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _named(name):
        raise ValueError(f"{line[:80]!r} is no signature line")
    value = _decoded(encoded, "a signature")
    if len(value) < 5:
        raise ValueError("a signature that is shorter than the id of its key")
    return Signature(name, value[:4], value[4:])


def parse_verifier(text: str) -> VerifierKey:
    """A public key from its vkey; ValueError says what is wrong with it."""
    name, id, content = _parts(text.strip(), "a key")
    if len(content) - 1 != _PUBLIC_BYTES.get(content[0]):
        raise ValueError("neither an Ed25519 nor an ML-DSA-44 key")
    key = VerifierKey(name, content[0], content[1:])
    if key.key_id.hex() != id:
        raise ValueError(f"the id of {name} is not that of its key")
    return key


def _parts(text: str, what: str) -> tuple[str, str, bytes]:
    """Name, id and content of a key, which is at least one byte."""
    name, _, rest = text.partition("+")
    id, plus, encoded = rest.partition("+")
    if not _named(name) or not plus:
        raise ValueError(f"{what} is name+id+base64")
    return name, id, _decoded(encoded, what)


def _decoded(text: str, what: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or base64.b64encode(value).decode() != text:
        raise ValueError(f"{what} is not base64")
    return value


def _named(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def verified(note: Note, keys: Iterable[VerifierKey]) -> Sequence[VerifierKey]:
    """The keys of these that signed a note; ValueError when one of them did not sign *this*."""
    known = {(key.name, key.key_id): key for key in keys}
    found: list[VerifierKey] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None or key in found:
            continue
        if not key.signed(note.text, signature):
            raise ValueError(f"the signature of {key.name} is not of this text")
        found.append(key)
    return found


def cosigned_at(note: Note, key: VerifierKey) -> int | None:
    """When a key cosigned a note, in seconds; None when it did not."""
    for signature in note.signatures:
        mine = (signature.name, signature.key_id) == (key.name, key.key_id)
        if mine and key.type in COSIGNATURES and key.signed(note.text, signature):
            return cosignature.split(signature.value)[0]
    return None
