"""What the measurement asks of a queue."""

import sys
from abc import ABC, abstractmethod
from typing import ClassVar

from tally import Tally

from peers import place


class Peer(ABC):
    """A queue with two worker processes. Every call returns when its work is accepted."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """The distributions whose versions are printed."""
    promise: ClassVar[str]
    """What a task is promised when its worker dies or the power fails: a reader compares."""
    setting: ClassVar[str]
    """How it was set up, where that is not the default."""
    batch: ClassVar[int] = 0
    """Tasks that one call may queue together; 0 where the system has no such call."""

    def prepare(self) -> None:  # noqa: B027 - many need nothing.
        """Make tables and the like; not measured."""

    @abstractmethod
    def workers(self) -> list[list[str]]:
        """The commands that together start two worker processes."""

    @abstractmethod
    def enqueue(self, sent_ns: int = 0) -> None:
        """Queue one task."""

    def enqueue_batch(self) -> None:
        """Queue `batch` tasks at once."""
        raise NotImplementedError

    def settle(self, count: int) -> None:  # noqa: B027 - most have nothing to wait for.
        """Return when the system itself says that so many tasks are finished."""

    def tally(self) -> Tally:
        """Where its tasks leave their marks."""
        return Tally(place.TALLY)

    def close(self) -> None:  # noqa: B027
        """Let go of connections."""


def python(*arguments: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *arguments]
