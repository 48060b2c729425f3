"""An SSH signature taken apart, before a program verifies it. Pure.

The form is OpenSSH's PROTOCOL.sshsig: a magic word, a version, the public key, the
namespace, a reserved field, the hash, and the signature with its algorithm. Nothing here
says that a signature is good; `fault` says why it cannot be, in words that ssh-keygen lacks.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "git"
RSA_BITS_MIN: Final = 2_048
_ARMOUR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\n*"
)
_MAGIC: Final = b"SSHSIG"
_CERTIFICATE: Final = "-cert-v01@openssh.com"
_HASHES: Final = ("sha256", "sha512")
_WEAK: Final = {"ssh-dss": "DSA", "ssh-rsa": "SHA-1"}


@dataclass(frozen=True, slots=True)
class SshSignature:
    """What a signature says of itself: the key's fingerprint, and why it cannot be good."""

    key: str = ""
    fault: str = ""


class _Broken(Exception):
    """The bytes end too early, or are no text where they should be."""


class _Reader:
    """Takes length-prefixed strings from the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def string(self) -> bytes:
        length = int.from_bytes(self.bytes(4), "big")
        return self.bytes(length)

    def text(self) -> str:
        return self.string().decode("ascii", "replace")

    def bytes(self, length: int) -> bytes:
        if length > len(self._data):
            raise _Broken
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    @property
    def empty(self) -> bool:
        return not self._data


def read(armoured: bytes) -> SshSignature:
    """What an armoured signature says, and what is wrong with it whoever signed."""
    match = _ARMOUR.fullmatch(armoured)
    if match is None:
        return SshSignature(fault="it is not one whole SSH signature")
    try:
        data = base64.b64decode(match[1].replace(b"\n", b""), validate=True)
        return _taken_apart(_Reader(data))
    except (_Broken, binascii.Error):
        return SshSignature(fault="it is not one whole SSH signature")


def _taken_apart(reader: _Reader) -> SshSignature:
    if reader.bytes(len(_MAGIC)) != _MAGIC or reader.bytes(4) != (1).to_bytes(4, "big"):
        raise _Broken
    key = reader.string()
    namespace, _, digest = reader.text(), reader.string(), reader.text()
    signature = _Reader(reader.string())
    if not reader.empty:
        raise _Broken
    name = _fingerprint(key)
    if namespace != NAMESPACE:
        return SshSignature(name, "it was made for another purpose than a commit")
    if digest not in _HASHES:
        return SshSignature(name, "it uses a hash that is not allowed")
    return SshSignature(name, _weakness(key, signature.text()))


def _weakness(key: bytes, algorithm: str) -> str:
    """Why the key or the algorithm is too weak, whoever holds it."""
    if algorithm in _WEAK:
        return f"it uses {_WEAK[algorithm]}, which is broken"
    reader = _Reader(key)
    kind = reader.text()
    if kind.endswith(_CERTIFICATE):
        reader.string()  # The nonce before the key.
    if kind.removesuffix(_CERTIFICATE) == "ssh-rsa":
        reader.string()
        bits = int.from_bytes(reader.string(), "big").bit_length()
        if bits < RSA_BITS_MIN:
            return f"its RSA key has {bits} bits, and {RSA_BITS_MIN} are the least"
    return ""


def _fingerprint(key: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"
