"""One turn of one agent of a system, as it stands in the journal."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Which part of a delegation a visit is; most agents only ever work."""

    WORK = "work"
    REVIEW = "review"
    """It works again, with what those reported that it delegated to."""


class State(StrEnum):
    """Where a visit stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Start:
    """A visit that may begin. `sources` are the numbers of the visits it is given."""

    agent: str
    sources: tuple[int, ...]
    depth: int
    phase: Phase = Phase.WORK
    delegator: int | None = None
    """The visit that delegated this work, and hears of it in the end."""
    missing: tuple[int, ...] = ()
    """The visits that failed, which it goes on without and is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Start):
    """A visit that began. `number` counts through the task from 1, `depth` along the way."""

    number: int
    state: State = State.RUNNING
    error: str | None = None
    attempt: int = 1
    step: int | None = None
    """The number of the step that it waits with: people decide on it under this number."""
    output: str | None = field(default=None, compare=False)
    """What the agent said; it follows from its steps, and is not kept twice."""

    @classmethod
    def begun(cls, number: int, start: Start) -> "Visit":
        """The visit that a start becomes."""
        return cls(
            number=number, **{one.name: getattr(start, one.name) for one in fields(start)}
        )

    def to_json(self) -> dict[str, Any]:
        """As it goes over the wire; `from_json` reads it."""
        return {
            "number": self.number,
            "agent": self.agent,
            "sources": list(self.sources),
            "depth": self.depth,
            "phase": self.phase.value,
            "delegator": self.delegator,
            "missing": list(self.missing),
            "state": self.state.value,
            "error": self.error,
            "attempt": self.attempt,
            "step": self.step,
        }


def from_json(value: dict[str, Any]) -> Visit:
    """A visit from the wire."""
    return Visit(
        **value
        | {
            "sources": tuple(value["sources"]),
            "missing": tuple(value["missing"]),
            "phase": Phase(value["phase"]),
            "state": State(value["state"]),
        }
    )
