"""What blobs were parsed to, kept in the database under our mark.

    blob ──parsed once──> text ──mark of this home──> cache ──mark fits──> resources
                                                            └──does not──> parsed anew

A commit is applied from what stands here, so whoever can write the database could otherwise
have anything applied as if Git said so. The mark is made with the home's key.
"""

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from sqlalchemy import Connection

from reconciler import manifest, recorded
from reconciler.problem import Problem, Severity
from runner.contract.seal import Sealer

FORM: Final = 2  # Count up when `kept` writes something else.
_MARK: Final = 64  # Hex digits.


class BlobCache:
    """The cache of one home."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def known(self, connection: Connection, blobs: AbstractSet[str]) -> dict[str, str]:
        """What is kept of these blobs, as far as we have written it ourselves."""
        rows = recorded.cached(connection, blobs, _version())
        return {
            blob: text[_MARK:]
            for blob, text in rows.items()
            if self._mark(blob, text[_MARK:]) == text[:_MARK]
        }

    def kept(self, blob: str, found: manifest.Parsed) -> str:
        """What is kept of a file: its resources, and its warnings without their text."""
        warnings = [
            [problem.line, problem.column, problem.message, problem.hint]
            for problem in found.problems
        ]
        text = json.dumps([manifest.encode(found.resources), warnings], separators=(",", ":"))
        return self._mark(blob, text) + text

    def remember(self, connection: Connection, fresh: Mapping[str, str]) -> None:
        """Keep what `kept` made of blobs."""
        recorded.remember(connection, fresh, _version())

    def _mark(self, blob: str, text: str) -> str:
        return self._sealer.mark(f"{_version()} {blob} {text}")


def recalled(text: str, path: str, blob: str) -> manifest.Parsed:
    """What was kept of a blob, as found at a path."""
    encoded, warnings = json.loads(text)
    return manifest.Parsed(
        manifest.decode(encoded, path, blob),
        tuple(
            Problem(path, line, column, message, hint, Severity.WARNING)
            for line, column, message, hint in warnings
        ),
    )


def _version() -> str:
    return f"{manifest.parser_version()}.{FORM}"
