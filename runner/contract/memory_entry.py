"""What a memory holds, and the rules that every store of it keeps. Pure."""

from dataclasses import dataclass
from typing import Final

from runner.contract.errors import Refused

KEPT_US: Final = 30 * 86_400_000_000
"""How long a finished call, and the memory of a task, are remembered: 30 days."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a memory holds under a key, and who wrote it last."""

    key: str
    value: str
    task: str = ""
    agent: str = ""
    written_us: int = 0
    vector: bytes | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """What the vectors of a memory were made by; two of them cannot be compared."""

    model: str
    dimensions: int

    def __str__(self) -> str:
        """As errors call it."""
        return f"{self.model} ({self.dimensions} numbers)"


def refuse_full(count: int, entries_max: int) -> None:
    """Refused when a memory holds more entries than the setting allows."""
    if count > entries_max:
        raise Refused(
            f"the memory is full: it takes {entries_max} entries (the setting"
            " memory.entries_max); delete some with `orloj memory delete`"
        )


def agree(stands: Space | None, wanted: Space | None) -> None:
    """Refused when vectors of two makers would come together in one memory."""
    if stands is not None and wanted is not None and stands != wanted:
        raise Refused(
            f"the memory's entries were embedded by {stands} and this would be {wanted}, which"
            " cannot be compared; name the old embedding_model again, or empty the memory with"
            " `orloj memory delete NAME --all` and fill it anew"
        )
