"""Patterns that are matched in a time that grows with the text and no faster: RE2's. Its owner.

Manifests and models may be hostile. What RE2 cannot say, looking ahead and referring back, is
refused where the pattern is written.
"""

import re
from functools import lru_cache
from typing import Any, Final

import re2

_BYTES_MAX: Final = 65_536  # RE2 makes at most a thousand instructions of it.
_UNICODE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9A-Fa-f]{4})")


class Unbounded(ValueError):
    """A pattern cannot be matched in bounded time, or not be read; the text says why."""


@lru_cache(maxsize=512)
def compiled(text: str) -> Any:
    """A pattern ready to be searched with; Unbounded."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _BYTES_MAX
    try:
        # JavaScript's `\u00e9` is `\x{00e9}` there.
        return re2.compile(_UNICODE.sub(r"\1\\x{\2}", text), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise Unbounded(
            f"cannot be matched in bounded time ({reason}); write one without looking around,"
            " referring back or large counts"
        ) from None
