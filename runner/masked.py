"""A JSON value without any secret in it, in case an endpoint echoes what it is sent. Pure.

Half of a surrogate pair, which cannot be stored, becomes the `?` that is stored: a tool is
given what the log says, and nothing else.
"""

from collections.abc import Collection
from typing import Any

from runner.contract import seal


def masked(value: Any, secrets: Collection[str]) -> Any:
    """The value with each of the secrets masked, in keys, texts and numbers."""
    if isinstance(value, str):
        storable = value.encode("utf-8", "replace").decode()
        return seal.redact(storable, secrets)
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = str(value)
        without = seal.redact(digits, secrets)
        return value if without == digits else without
    if isinstance(value, dict):
        return {masked(key, secrets): masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, secrets) for item in value]
    return value
