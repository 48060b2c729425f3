"""Keep secret values out of everything that is stored, compared or printed.

A value is replaced by its keyed digest (HMAC-SHA256 under the home's key), which changes
when the value does and tells nothing else; the value itself is kept encrypted (Fernet:
AES-128-CBC and HMAC-SHA256) under that digest. The key is a file in the home, mode 0600.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from runner.contract.errors import Refused

KEY_FILE: Final = "secret.key"
MASK: Final = "(secret)"
_SHORTEST: Final = 4  # Masking shorter values would tear ordinary words apart.


class Sealer:
    """Seals and opens with the key of one home."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)
        self._digest_key = hashlib.sha256(b"orloj digest\x00" + key).digest()

    def seal(self, value: str) -> tuple[str, str]:
        """The digest that stands for a value, and the ciphertext to keep under it."""
        digest = hmac.new(self._digest_key, value.encode(), hashlib.sha256).hexdigest()
        return "hmac-sha256:" + digest, self._fernet.encrypt(value.encode()).decode("ascii")

    def open(self, ciphertext: str) -> str:
        """The value; Refused when it was sealed with another key."""
        try:
            return self._fernet.decrypt(ciphertext).decode()
        except (InvalidToken, ValueError) as error:
            raise Refused("a sealed value cannot be opened with this home's key") from error


def sealer(home: Path) -> Sealer:
    """The sealer of a home; its key is made at the first call."""
    path = home / KEY_FILE
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Sealer(path.read_bytes().strip())
    with os.fdopen(descriptor, "wb") as file:
        key = Fernet.generate_key()
        file.write(key)
    return Sealer(key)


def redact(text: str, values: Iterable[str]) -> str:
    """The text without any of the secret values, nor their base64 form."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            encoded = base64.b64encode(value.encode()).decode("ascii")
            text = text.replace(value, MASK).replace(encoded.rstrip("="), MASK)
    return text
