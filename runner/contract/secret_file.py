"""Read a secret from the file that a setting names; it is never said what stands in it."""

from pathlib import Path
from typing import Final

from runner.contract import errors

BYTES_MAX: Final = 4_096


def read(home: Path, name: str, setting: str) -> str:
    """The secret, without white space around it; SettingsInvalid. Relative to the home."""
    path = home / name
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise errors.SettingsInvalid(
            f"{setting}: {path} cannot be read: {error.strerror}"
        ) from None
    try:
        secret = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise errors.SettingsInvalid(f"{setting}: {path} holds no text") from None
    if not secret or len(content) > BYTES_MAX or not secret.isprintable():
        raise errors.SettingsInvalid(
            f"{setting}: {path} must hold one line of at most {BYTES_MAX} bytes"
        )
    return secret
