"""Keep secret values out of everything that is stored, compared or printed.

A value is replaced by its keyed digest (HMAC-SHA256 under the home's key), which changes
when the value does and tells nothing else; the value itself is kept encrypted (Fernet:
AES-128-CBC and HMAC-SHA256) under that digest. The key is a file in the home, mode 0600.
"""

import contextlib
import hashlib
import hmac
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet, InvalidToken

from runner.contract.errors import Refused
from runner.contract.masking import MASK, excerpt, longest, redact

if TYPE_CHECKING:  # A worker opens seals and has no database.
    from sqlalchemy import Connection

KEY_FILE: Final = "secret.key"

__all__ = [
    "KEY_FILE",
    "MASK",
    "Sealer",
    "excerpt",
    "longest",
    "redact",
    "same_key",
    "sealer",
]


class Sealer:
    """Seals and opens with the key of one home."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)
        self._digest_key = hashlib.sha256(b"orloj digest\x00" + key).digest()
        self._mark_key = hashlib.sha256(b"orloj mark\x00" + key).digest()

    def seal(self, value: str) -> tuple[str, str]:
        """The digest that stands for a value, and the ciphertext to keep under it."""
        ciphertext = self._fernet.encrypt(value.encode()).decode("ascii")
        return self._digest(value), ciphertext

    def opened(self, digest: str, ciphertext: str) -> str:
        """The value that a digest stands for; Refused when another one is kept under it.

        Whoever writes the database cannot seal, but can put one ciphertext in the place of
        another.
        """
        value = self.open(ciphertext)
        if self._digest(value) != digest:
            raise Refused("a sealed value is not the one that its digest stands for")
        return value

    def mark(self, text: str) -> str:
        """What only this home can have written beside a text: whether it was changed since."""
        return hmac.new(self._mark_key, text.encode(), hashlib.sha256).hexdigest()

    def _digest(self, value: str) -> str:
        digest = hmac.new(self._digest_key, value.encode(), hashlib.sha256).hexdigest()
        return "hmac-sha256:" + digest

    def open(self, ciphertext: str) -> str:
        """The value; Refused when it was sealed with another key."""
        try:
            return self._fernet.decrypt(ciphertext).decode()
        except (InvalidToken, ValueError) as error:
            raise Refused("a sealed value cannot be opened with this home's key") from error


def sealer(home: Path) -> Sealer:
    """The sealer of a home; its key is made at the first call. Refused if it is damaged."""
    path = home / KEY_FILE
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if not path.exists():
            _make_key(path)
        return Sealer(path.read_bytes().strip())
    except ValueError as error:
        raise Refused(
            f"{path} is not a key; restore it from a backup, or delete it if no secret value"
            " was ever applied in this home"
        ) from error
    except OSError as error:
        raise Refused(f"the key {path} cannot be used: {error.strerror}") from error


def same_key(connection: "Connection", home: Path) -> None:
    """Refused when this home has not the key that the database's secrets are sealed with.

    Hosts that share a database share the key: a daemon with another one would seal every
    secret anew, and no other host could open them.
    """
    found = connection.exec_driver_sql("SELECT ciphertext FROM sealed_secret LIMIT 1")
    ciphertext = found.scalar_one_or_none()
    if ciphertext is None:
        return
    try:
        sealer(home).open(ciphertext)
    except Refused as error:
        raise Refused(
            f"{home / KEY_FILE} is not the key that the secrets in this database are sealed"
            f" with; copy {KEY_FILE} from the home of another host to this one"
        ) from error


def _make_key(path: Path) -> None:
    """Put a new key there, whole and durable, unless another process was faster.

    Half a key under its name would lock everybody out: it is written beside, then linked.
    """
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
    finally:
        Path(unfinished).unlink()
