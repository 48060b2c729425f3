"""Put digests where the values of a Secret stand, before anything else reads them. Pure."""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, Final

from reconciler.manifest.syntax import quoted
from reconciler.manifest.wording import Finding

Seal = Callable[[str], tuple[str, str]]

_LITERALS: Final = ("data", "stringData", "string_data")
_SHORTEST: Final = 4  # Shorter values stand in ordinary words.


def seal_values(
    manifest: dict[str, Any], seal: Seal
) -> tuple[list[tuple[str, str]], list[Finding]]:
    """Seal a Secret's manifest in place: the sealed pairs, and what is wrong with it."""
    sealed: list[tuple[str, str]] = []
    found: list[Finding] = []
    values: list[str] = []
    for field, entries in _mappings(manifest.get("spec"), _LITERALS):
        for name, value in entries.items():
            if type(value) is not str:
                continue  # The kind refuses it, without showing it.
            plain = decoded(value) if field == "data" else value
            if plain is None:
                message = f"{quoted(name)}: not the base64 form of UTF-8 text"
                hint = "write plain text under `stringData`"
                found.append(Finding(("spec", field, name), False, message, hint))
            else:
                sealed.append(seal(plain))
                values.append(plain)
            values.append(value)
            entries[name] = "" if plain is None else sealed[-1][0]
    return sealed, [*found, *_copies(manifest.get("metadata"), values)]


def decoded(value: str) -> str | None:
    """The text that base64 stands for; None when it is not the base64 of UTF-8 text."""
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _copies(metadata: Any, values: list[str]) -> Iterator[Finding]:
    # `kubectl apply` leaves the whole manifest, values included, in an annotation.
    long = {value for value in values if len(value) >= _SHORTEST}
    for field, entries in _mappings(metadata, ("labels", "annotations")):
        for name, text in entries.items():
            if any(value in name or value in str(text) for value in long):
                message = f"an entry of `{field}` repeats the secret value"
                yield Finding(("metadata", field, name), True, message)


def _mappings(around: Any, fields: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a mapping that are mappings themselves."""
    for field in fields if type(around) is dict else ():
        if type(around.get(field)) is dict:
            yield field, around[field]
