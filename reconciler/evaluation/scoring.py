"""What an answer is worth: by what was expected of it, or by what a judge said. Pure.

The same answer gets the same score, so that a run can be scored again from what is stored.
What cannot be read or takes too long is wrong, and says so: it is never right.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from runner.contract.kinds.eval_dataset import Expected, json_steps

FULL: Final = 1_000
"""The score of a right answer: scores are thousandths."""
REASON_MAX: Final = 2_000
_SHOWN: Final = 80
_MISSING: Final = object()
_NO_NUMBER: Final = Decimal("NaN")
_FENCE: Final = "```"

Matches = Callable[[str, str], bool | None]
"""Whether a pattern is found in a text; None when that took too long to say."""


@dataclass(frozen=True, slots=True)
class Score:
    """A score in thousandths. `passed` None: it could not be scored, which is no pass."""

    passed: bool | None
    score: int | None
    reason: str


def exact(expected: Expected, answer: str, matches: Matches) -> Score:
    """The score by what was expected: all of it must hold."""
    wrong = list(_wrong(expected, answer, matches))
    return Score(not wrong, 0 if wrong else FULL, "; ".join(wrong) or "all that was expected")


def judged(reply: str) -> Score:
    """The score that a judge's reply gives; one that cannot be read is no pass."""
    try:
        value = json.loads(_bare(reply), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return Score(None, None, "the judge did not answer with JSON")
    if not isinstance(value, dict):
        return Score(None, None, "the judge answered with JSON that is no object")
    score, passed, why = (value.get(name) for name in ("score", "pass", "reasoning"))
    thousandths = _thousandths(score)
    if thousandths is None or not isinstance(passed, bool):
        return Score(None, None, "the judge's reply has no score from 0 to 1, or no pass")
    return Score(passed, thousandths, why[:REASON_MAX] if isinstance(why, str) else "")


def _thousandths(score: Any) -> int | None:
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return None
    return round(score * FULL)


def _no_number(word: str) -> float:
    raise ValueError(word)


def _bare(reply: str) -> str:
    """A reply without the fence that models put around JSON."""
    text = reply.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE) and "\n" in text:
        text = text.partition("\n")[2].removesuffix(_FENCE)
    return text


def _wrong(expected: Expected, answer: str, matches: Matches) -> Iterator[str]:
    """What does not hold, in words."""
    if expected.output is not None and answer.strip() != expected.output.strip():
        yield f"the answer is not {_quoted(expected.output)}"
    folded = answer.casefold()
    if (part := expected.output_contains) is not None and part.casefold() not in folded:
        yield f"{_quoted(part)} is missing"
    if (part := expected.output_not_contains) is not None and part.casefold() in folded:
        yield f"{_quoted(part)} is in it"
    if (pattern := expected.output_matches) is not None:
        found = matches(pattern, answer)
        if found is None:
            yield f"the pattern {_quoted(pattern)} took too long on this answer"
        elif not found:
            yield f"the pattern {_quoted(pattern)} does not match"
    if expected.output_json_path is not None:
        yield from _wrong_value(expected, answer, expected.output_json_path)


def _wrong_value(expected: Expected, answer: str, path: str) -> Iterator[str]:
    try:
        value = _at(json.loads(_bare(answer), parse_float=Decimal), path)
    except (ValueError, RecursionError):
        yield "the answer is not JSON"
        return
    if value is _MISSING:
        yield f"there is nothing at {path}"
        return
    text = _text(value)
    if expected.equals is not None and text != expected.equals:
        yield f"{path} is not {_quoted(expected.equals)}"
    if expected.not_equals is not None and text == expected.not_equals:
        yield f"{path} is {_quoted(expected.not_equals)}"
    if expected.contains is not None and not _holds(value, text, expected.contains):
        yield f"{path} does not contain {_quoted(expected.contains)}"
    number = _number(value)
    if (low := expected.greater_than) is not None and not _less(Decimal(low), number):
        yield f"{path} is not greater than {low}"
    if (high := expected.less_than) is not None and not _less(number, Decimal(high)):
        yield f"{path} is not less than {high}"


def _at(value: Any, path: str) -> Any:
    for step in json_steps(path):
        named = isinstance(value, dict) and isinstance(step, str) and step in value
        if not named and not (isinstance(value, list) and step in range(len(value))):
            return _MISSING
        value = value[step]
    return value


def _text(value: Any) -> str:
    """A value as a manifest writes it: texts bare, everything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).strip('"')


def _holds(value: Any, text: str, part: str) -> bool:
    if isinstance(value, list):
        return part in [_text(item) for item in value]
    return part in text


def _less(low: Decimal, high: Decimal) -> bool:
    return not (low.is_nan() or high.is_nan()) and low < high


def _number(value: Any) -> Decimal:
    """A value as a number; what is none is neither greater nor less than anything."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return _NO_NUMBER
    try:
        found = Decimal(value)
    except InvalidOperation:
        return _NO_NUMBER
    return found if found.is_finite() else _NO_NUMBER


def _quoted(text: str) -> str:
    """A text of the dataset in a reason, cut where it is long."""
    return json.dumps(
        text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...", ensure_ascii=False
    )
