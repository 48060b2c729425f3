"""One turn of the dispatcher: what is to be written together, and what came of it.

    loop makes it ──> writer carries it out ──> loop applies it, once it is durable

A turn belongs to whoever has it in hand. Until it is applied, nothing in memory has moved:
one that failed is thrown away, and the same messages go into the next.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runner import relief
from runner.claim import Held
from runner.contract import clock, telemetry
from runner.contract.audit import End
from runner.crew import Worker
from runner.wire import line

SEEN_EVERY_US: Final = 60_000_000

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Saved:
    """What is to be written of a worker: its state, and when it was seen with it."""

    worker: Worker
    state: str
    at_us: int


@dataclass(eq=False, kw_only=True)
class Turn:
    """The upper half is given by the loop, the lower half is what the writer found."""

    workers: Sequence[Worker]
    """Those that live."""
    claims: bool = True
    """Whether tasks may be taken for them."""
    inbox: Sequence[tuple[Worker, Message]] = ()
    lost: Sequence[tuple[Worker, str]] = ()
    pings: Mapping[Worker, Any] = field(default_factory=dict)
    saves: Sequence[Saved] = ()
    look: bool = False
    """Whether to compare what the database says with what is in memory."""
    crashed: bool = True
    """Whether the workers that are lost took their tasks down with them."""

    mark: End | None = None
    """The end of the audit log as this turn leaves it; None: it logs nothing."""
    renewed: bool = True
    """Whether who pinged holds what we think; else a lease ran out, and is somebody's."""
    handouts: list[tuple[Worker, Held, list[bytes]]] = field(default_factory=list)
    """What was claimed, and the lines that give it to its worker."""
    asks: bool = False
    """Whether a task waits for a person now, who may have to be told."""
    again: bool = False
    """Whether there may be more to do at once."""
    drains: Sequence[str] = ()
    """The workers that somebody asked to be drained."""
    due_us: int | None = None
    hands: dict[Worker, dict[str, Held]] = field(default_factory=dict)
    sets: dict[Worker, set[str]] = field(default_factory=dict)
    lines: dict[Worker, list[bytes]] = field(default_factory=dict)
    logs: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing was given that must be written."""
        renewed = any(worker.held for worker in self.pings)
        return not (self.inbox or self.lost or self.saves or renewed)

    def holds(self, worker: Worker) -> dict[str, Held]:
        """What a worker holds by now; to be read only."""
        return self.hands.get(worker, worker.held)

    def hand(self, worker: Worker) -> dict[str, Held]:
        """What a worker holds by now; to be changed."""
        return self.hands.setdefault(worker, dict(worker.held))

    def known(self, worker: Worker) -> set[str]:
        """The manifest sets that a worker has by now; to be changed."""
        return self.sets.setdefault(worker, set(worker.sets))

    def touched(self, strays: Sequence[Held]) -> list[Held]:
        """The tasks that it writes about."""
        found = [named(self.holds(worker), message) for worker, message in self.inbox]
        lost = [held for worker, _ in self.lost for held in self.holds(worker).values()]
        return [*strays, *lost, *filter(None, found)]

    def send(self, worker: Worker, message: Message) -> None:
        """Have a message sent when the turn is durable."""
        self.lines.setdefault(worker, []).append(line(message))

    def log(self, action: str, message: str, **fields: Any) -> None:
        """Have a line logged when the turn is durable."""
        self.logs.append((action, message, fields))

    def apply(self) -> None:
        """What is durable becomes true in memory, and whoever waits for it is told."""
        for worker, hand in self.hands.items():
            worker.held = hand
        for worker, known in self.sets.items():
            worker.sets = known
        for worker, count in Counter(worker for worker, _ in self.inbox).items():
            worker.caught_up(count)
        for saved in self.saves:
            saved.worker.saved = (saved.state, saved.at_us)
        for worker, held, lines in self.handouts:
            self.lines.setdefault(worker, []).extend(lines)
            ids: dict[str, Any] = {"task": held.task, "fence": held.fence}
            self.log("task_claimed", "A worker took a task.", **ids, worker=worker.id)
        for worker, sent in self.lines.items():
            worker.wire.write(b"".join(sent))
        telemetry.log_all(self.logs)

    def withhold(self) -> None:
        """Hand nothing out: what was claimed is left leased, for the next look to take back."""
        for worker, held, _ in self.handouts:
            del self.hand(worker)[held.task]
        self.handouts.clear()
        self.sets.clear()


def unsaved(worker: Worker) -> Saved | None:
    """What is to be written of a worker that spoke: now and then, so that disks may sleep."""
    now_us, state = clock.now_us(), relief.state(worker)
    known, at_us = worker.saved
    if known == state and now_us - at_us < SEEN_EVERY_US:
        return None
    return Saved(worker, state, now_us)


def refusal(message: Message, kind: str) -> Message:
    """What takes the place of a message that cannot be written: the end of its task."""
    ids = {name: message[name] for name in ("task", "fence", "id") if name in message}
    reason = f"its {message.get('op')} cannot be written down ({kind})"
    return ids | {"op": "refused", "outcome": "failed", "output": None, "error": reason}


def finishes(hand: dict[str, Held], message: Message) -> Held | None:
    """The task that a message ends for good, if its worker holds it."""
    if message.get("op") != "finish" or message.get("outcome") == "retry":
        return None
    return named(hand, message)


def named(hand: dict[str, Held], message: Message) -> Held | None:
    """The task that a message is about, if its worker holds it under the fence it names."""
    task = message.get("task")
    held = hand.get(task) if isinstance(task, str) else None
    return held if held is not None and held.fence == message.get("fence") else None
