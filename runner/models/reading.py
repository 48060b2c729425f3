"""Reads what a model endpoint said, which may be of any shape. Pure.

The client libraries build their values without looking: any field may be missing or of any
type. Nothing here trusts one.
"""

import json
from typing import Any, Final

from runner.conversation import CHARACTERS_MAX

_ID_MAX: Final = 256


def field(value: Any, name: str) -> Any:
    """A field of an object, or of a mapping; None when there is none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def items(value: Any) -> list[Any]:
    """The items of a list; none of anything else."""
    return value if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """A number of tokens; None of anything else."""
    return value if type(value) is int else None


def call_ids(given: list[Any]) -> list[str]:
    """The ids of the calls of one reply; their positions where there are no usable ones.

    Some endpoints give no ids, or one id twice.
    """
    usable = all(isinstance(id, str) and 0 < len(id) <= _ID_MAX for id in given)
    if usable and len(set(given)) == len(given):
        return [str(id) for id in given]
    return [f"call_{position}" for position in range(1, len(given) + 1)]


def arguments(given: Any) -> Any:
    """The arguments in a text; None, which `conversation.checked` refuses, if it has none."""
    try:
        return {} if given in (None, "") else json.loads(given, object_pairs_hook=once)
    except (TypeError, ValueError, RecursionError):
        return None


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError when a key stands in it twice.

    Readers differ in which of two they take: what was logged might not be what is done.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


class Pieces:
    """Texts that come in pieces, under a bound that they share."""

    def __init__(self) -> None:
        self._left = CHARACTERS_MAX
        self._texts: dict[Any, list[str]] = {}

    def add(self, name: Any, piece: Any) -> bool:
        """Take a piece of a text; False when it is none, or all of them grow too long."""
        if piece is None:
            return True
        if not isinstance(piece, str) or len(piece) > self._left:
            return False
        self._left -= len(piece)
        self._texts.setdefault(name, []).append(piece)
        return True

    def text(self, name: Any) -> str | None:
        """A text as far as it has come; None when no piece of it came."""
        return "".join(self._texts[name]) if name in self._texts else None
