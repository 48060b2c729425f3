"""RetentionPolicy: how long what an agent's work leaves behind is kept."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from runner.contract.kinds.base import Spec, Strict

Framework = Literal["eu-ai-act", "pci-dss", "hipaa"]
DAYS_OF_YEAR: Final = 366
FLOORS: Final[dict[Framework, tuple[str, str]]] = {
    "eu-ai-act": ("184d", "6 months, articles 19 and 26(6)"),
    "pci-dss": ("1y", "12 months, 10.5.1"),
    "hipaa": ("6y", "6 years, 164.316(b)(2)(i)"),
}
"""The shortest time that each keeps its log for, and where it says so."""
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})(d|y)")


def days(period: str) -> int:
    """How many days `180d` or `6y` are, a year never less than one; ValueError."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        raise ValueError("a time to keep looks like 180d or 6y")
    return int(found[1]) * (DAYS_OF_YEAR if found[2] == "y" else 1)


def _period(text: str) -> str:
    days(text)
    return text


Period = Annotated[str, AfterValidator(_period)]


class Keep(Strict):
    """How long each is kept after it came to be; what is not named is kept for ever.

    `disclosures`: values and salts beside the log. `tasks`: what a task was given, said and
    answered, from its end on. `entries`: the log itself.
    """

    disclosures: Period | None = None
    tasks: Period | None = None
    entries: Period | None = None


class RetentionPolicy(Spec):
    """How long things are kept in this namespace, or everywhere: `apply_mode: global`.

    Where several apply, the longest time wins. A time shorter than a named framework wants
    is refused.
    """

    apply_mode: Literal["scoped", "global"] = "scoped"
    frameworks: list[Framework] = []
    keep: Keep = Field(default=Keep())
    archive_after: Period | None = None

    @field_validator("archive_after")
    @classmethod
    def _by_hand(cls, period: Period | None) -> Period | None:
        if period is not None:
            raise ValueError("nothing archives by itself: run `orloj audit archive`; remove it")
        return period

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        for name in self.frameworks:
            floor, why = FLOORS[name]
            period = self.keep.entries
            if period is not None and days(period) < days(floor):
                raise ValueError(f"keep.entries is {period}, and {name} wants {floor}: {why}")
        return self
