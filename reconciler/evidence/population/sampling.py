"""Samples that nobody can choose and everybody can draw again. Pure.

The seed is the root of the checkpoint that covers the period, which is known only once the
entries are written. Each item gets the ticket

    SHA-256(root in hex ‖ ":" ‖ name of the population ‖ ":" ‖ id of the item)

and the items with the smallest tickets are the sample. It needs one pass and as much memory
as the sample, and two lines of shell to check:

    printf '%s:calls:%s' "$ROOT" "$ID" | sha256sum
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

SIZE: Final = 25
LIFECYCLE_MAX: Final = 60
"""Entries of one item that are shown; what is left out is counted."""

Fields = dict[str, Any]


@dataclass(slots=True)
class Drawn:
    """An item of a sample: its id, its ticket and the entries about it, in order."""

    id: str
    ticket: str
    entries: list[Fields] = field(default_factory=list)
    left_out: int = 0


def ticket(root: bytes, population: str, id: str) -> str:
    """What an item is drawn by, in hex."""
    return hashlib.sha256(f"{root.hex()}:{population}:{id}".encode()).hexdigest()


class Sample:
    """The items of a population with the smallest tickets."""

    def __init__(self, population: str, root: bytes, size: int = SIZE) -> None:
        self.population = population
        self.count = 0
        self._root, self._size = root, size
        self._drawn: dict[str, Drawn] = {}
        self._worst = ""

    def offer(self, id: str) -> None:
        """Let an item take part; each id is offered once."""
        self.count += 1
        drawn = Drawn(id, ticket(self._root, self.population, id))
        if len(self._drawn) == self._size:
            if drawn.ticket > self._worst:
                return
            del self._drawn[max(self._drawn.values(), key=lambda one: one.ticket).id]
        self._drawn[id] = drawn
        self._worst = max(one.ticket for one in self._drawn.values())

    def add(self, id: str, entry: Fields) -> None:
        """An entry about an item, which is kept if the item is in the sample so far."""
        drawn = self._drawn.get(id)
        if drawn is None:
            return
        if len(drawn.entries) < LIFECYCLE_MAX:
            drawn.entries.append(entry)
        else:
            drawn.left_out += 1

    @property
    def items(self) -> list[Drawn]:
        """What was drawn, smallest ticket first."""
        return sorted(self._drawn.values(), key=lambda one: one.ticket)
