"""What every SARIF file of ours has in common: its schema, and places in manifests. Pure.

Source: the OASIS standard, Static Analysis Results Interchange Format 2.1.0.
"""

from collections.abc import Iterable
from typing import Any, Final

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")


def location(path: str, line: int, column: int | None = None) -> dict[str, Any]:
    """A place in a manifest, as a path relative to the root of its repository."""
    region = {"startLine": max(1, line)}
    if column is not None:
        region["startColumn"] = max(1, column)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(path), "uriBaseId": "%SRCROOT%"},
            "region": region,
        }
    }


def _uri(path: str) -> str:
    """A path as a relative reference; what may not stand in one is percent-encoded."""
    return "".join(_encoded(path.encode("utf-8", "backslashreplace")))


def _encoded(text: Iterable[int]) -> Iterable[str]:
    return (chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text)
