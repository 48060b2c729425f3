"""Values that may stand in Git: sealed to the public key of a home, opened with the private.

The form is that of the public dialect: RSA-OAEP (SHA-256) wraps a fresh key for each value,
AES-256-GCM encrypts it under that key, and what is authenticated beside it binds the value
to namespace, name and entry, so that a copy under another name opens nowhere.

    home/sealing/KEY_ID.pem      private keys, 0600; the youngest seals, every one opens
"""

import base64
import contextlib
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runner.contract.errors import NotFound, Refused
from runner.contract.kinds.sealed_secret import SealedEntry

FOLDER: Final = "sealing"
ALGORITHM: Final = "rsa-oaep-sha256+aes-256-gcm"
KEY_BITS: Final = 4096
VALUE_BYTES_MAX: Final = 65_536

_NONCE_BYTES: Final = 12
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@dataclass(frozen=True, slots=True)
class Address:
    """The one place where a sealed value opens."""

    namespace: str
    name: str
    entry: str

    @property
    def binding(self) -> bytes:
        """What is authenticated with the value; no part can hold the separator."""
        parts = ("orloj.dev/v1 SealedSecret", self.namespace, self.name, self.entry)
        return "\x00".join(parts).encode()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What seals. Anybody may have it."""

    id: str
    pem: str
    key: rsa.RSAPublicKey

    def sealed(self, address: Address, value: str) -> SealedEntry:
        """The value, for nobody but the home of this key."""
        content = value.encode()
        if not 0 < len(content) <= VALUE_BYTES_MAX:
            raise Refused(f"a value has 1 to {VALUE_BYTES_MAX} bytes; {address.entry} has not")
        data_key, nonce = AESGCM.generate_key(256), os.urandom(_NONCE_BYTES)
        packed = nonce + AESGCM(data_key).encrypt(nonce, content, address.binding)
        return SealedEntry(
            key_id=self.id,
            wrapped_key=base64.b64encode(self.key.encrypt(data_key, _OAEP)).decode(),
            ciphertext=base64.b64encode(packed).decode(),
        )


def public_key(pem: str) -> PublicKey:
    """The public key that a PEM text holds; Refused."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError) as error:
        raise Refused(
            "this is no public key; `orloj secret public-key` prints that of a home"
        ) from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 2048:
        raise Refused("a sealing key is an RSA key of at least 2048 bits")
    return _public(key)


def _public(key: rsa.RSAPublicKey) -> PublicKey:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    der = key.public_bytes(serialization.Encoding.DER, info)
    pem = key.public_bytes(serialization.Encoding.PEM, info).decode()
    return PublicKey(hashlib.sha256(der).hexdigest()[:32], pem, key)


def key_ids(home: Path) -> list[str]:
    """The ids of a home's sealing keys, the one that seals last."""
    try:
        files = [(path.stat().st_mtime_ns, path.stem) for path in _files(home)]
    except OSError as error:
        raise Refused(f"{home / FOLDER} cannot be read: {error.strerror}") from error
    return [stem for _, stem in sorted(files)]


def current(home: Path) -> PublicKey:
    """The key that seals for a home; NotFound when it has none yet."""
    known = key_ids(home)
    if not known:
        raise NotFound(f"{home} has no sealing key yet; make one: orloj secret rotate")
    return _public(_private(home, known[-1]).public_key())


def rotate(home: Path) -> PublicKey:
    """Make the key that seals from now on; what the older ones sealed opens as before."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = _public(private.public_key())
    text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    folder = home / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(folder / f"{public.id}.pem", text)
    except OSError as error:
        raise Refused(f"the key cannot be kept in {folder}: {error.strerror}") from error
    return public


def retire(home: Path, key_id: str) -> None:
    """Delete a key that no longer seals: what it sealed opens nowhere any more."""
    known = key_ids(home)
    if key_id not in known:
        raise NotFound(f"there is no sealing key {key_id}; orloj secret keys lists them")
    if key_id == known[-1]:
        raise Refused(
            f"{key_id} is the key that seals; make another first: orloj secret rotate"
        )
    (home / FOLDER / f"{key_id}.pem").unlink()


def opened(home: Path, sealed: SealedEntry, address: Address) -> str:
    """The value; Refused when this home has not the key, or it was sealed for elsewhere."""
    if sealed.key_id not in key_ids(home):
        raise Refused(
            f"{address.entry} of {address.namespace}/{address.name} was sealed with the key"
            f" {sealed.key_id}, which this home has not"
        )
    private = _private(home, sealed.key_id)
    try:
        data_key = private.decrypt(base64.b64decode(sealed.wrapped_key), _OAEP)
        packed = base64.b64decode(sealed.ciphertext)
        nonce, content = packed[:_NONCE_BYTES], packed[_NONCE_BYTES:]
        return AESGCM(data_key).decrypt(nonce, content, address.binding).decode()
    except (ValueError, InvalidTag) as error:
        raise Refused(
            f"{address.entry} does not open as {address.namespace}/{address.name}: it was"
            " sealed for another name, or was changed; seal it again: orloj secret seal"
        ) from error


def _files(home: Path) -> list[Path]:
    return list((home / FOLDER).glob("[0-9a-f]*.pem"))


def _private(home: Path, key_id: str) -> rsa.RSAPrivateKey:
    path = home / FOLDER / f"{key_id}.pem"
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Refused(f"the sealing key {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise Refused(f"{path} is no sealing key; restore it from a backup") from error
    if not isinstance(key, rsa.RSAPrivateKey) or _public(key.public_key()).id != key_id:
        raise Refused(f"{path} is not the sealing key of its name; restore it from a backup")
    return key


def _put(path: Path, text: bytes) -> None:
    """Put a key there whole, or not at all."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(unfinished).unlink()
