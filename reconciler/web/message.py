"""A request and an answer, as values. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """A request before its body: who asks, and for what. Names of headers are lower case."""

    method: str
    path: str
    address: str
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """The header; None when it is not there, or there twice: then nobody knows which."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `earned` says that whoever asked has proved who they are."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    earned: bool = False


def answer(
    status: int,
    /,
    *,
    earned: bool = False,
    headers: Mapping[str, str] | None = None,
    **said: Any,
) -> Answer:
    """An answer in JSON."""
    body = json.dumps(said, ensure_ascii=True, sort_keys=True).encode() + b"\n"
    told = {"Content-Type": "application/json", **(headers or {})}
    return Answer(status, body, told, earned)


Judge = Callable[[Head], Answer | None]
"""Looks at a request before its body is read; an answer ends it there."""
Handler = Callable[[Head, bytes], Answer]
"""Answers a request. May wait: it is called in a thread that is kept for that."""
