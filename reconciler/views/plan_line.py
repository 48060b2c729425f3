"""A line of a plan, for a terminal and for a page with a diff. Pure.

Each line is made once. The terminal shows its text with its colours; Markdown shows the same
words in a `diff` block, where the sign in the first column gives the colour.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from reconciler.estimate.estimate import Estimate
from reconciler.review.selection import Partial
from runner.contract.kinds import Key

SIGNS: Final = {"+": "+", "-": "-", "~": "!", ">": "!", "!": "!", "#": "#"}
"""The first column of a diff block for each of our signs: green, red, orange, grey."""
_LED: Final = re.compile(r"^( *)([+\-~>!#]) ")


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its sign: one of `SIGNS`, or none."""

    text: Text
    sign: str = ""

    @property
    def diff(self) -> str:
        """The line as it stands in a diff block; its own sign moves to the first column."""
        words = self.text.plain
        if led := _LED.match(words):
            words = f"{led[1]}{words[led.end() :]}" if led[2] in SIGNS else words
        return f"{SIGNS.get(self.sign, ' ')} {words}".rstrip()


@dataclass(frozen=True, slots=True)
class Same:
    """A resource that does not change, for those who want to see it all."""

    key: Key
    path: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is told of a plan besides the plan: how much of it, and what goes with it.

    `same` are the resources that do not change, shown when `full` is asked. `remarks` are
    sentences that belong under the first line. `back` says how many commits the target lies
    behind what is applied. A `title` other than Plan is that of two commits side by side;
    `stateless` plans were not made against the record.
    """

    elapsed_ms: float | None = None
    following: str = ""
    full: bool = False
    same: tuple[Same, ...] = ()
    estimates: dict[Key, Estimate] = field(default_factory=dict)
    partial: Partial | None = None
    remarks: tuple[str, ...] = ()
    back: int | None = None
    title: str = "Plan"
    stateless: bool = False


NOTHING_MORE: Final = Telling()


def texts(lines: Iterable[Line]) -> list[Text]:
    """The lines as the terminal shows them."""
    return [line.text for line in lines]
