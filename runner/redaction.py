"""A JSON value without any secret in it, in case somebody echoes what they are sent. Pure."""

from collections.abc import Iterable
from typing import Any

from runner.contract import seal


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """The value, masked in its texts, its numbers and its names.

    Half of a surrogate pair, which cannot be stored, becomes the `?` that is stored: a
    tool is given what the log says, and nothing else.
    """
    if isinstance(value, str):
        return seal.redact(value.encode("utf-8", "replace").decode(), secrets)
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(value)
        masked = seal.redact(digits, secrets)
        return value if masked == digits else masked
    if isinstance(value, dict):
        return {redacted(key, secrets): redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item, secrets) for item in value]
    return value
