"""Arguments that several commands take, as typed values."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from runner.contract import clock
from runner.contract.kinds.base import Permission, seconds
from runner.contract.settings import DEFAULT_SOURCE

_DAY_S = 86_400


class Moment(click.ParamType[int]):
    """A time in microseconds: `2026-11-23`, `2026-11-23T03:00`, or `2h`: that long ago."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Microseconds since 1970; times without an offset are UTC."""
        if isinstance(value, int):
            return value
        try:
            # Before 1970 there is no entry, and beyond 64 bits no database.
            return max(0, clock.now_us() - int(length_s(value) * 1_000_000))
        except (ValueError, OverflowError):
            pass
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither 2026-11-23T03:00 (UTC) nor 2h or 7d (ago)")
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return int(at.timestamp()) * 1_000_000 + at.microsecond


class Length(click.ParamType[float]):
    """A length of time in seconds: `30s`, `5m`, `1h30m`, `2d`, or a plain number."""

    name = "length"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds, more than none."""
        try:
            length = float(value) if _is_number(value) else length_s(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}")
        if not 0 < length < 366 * _DAY_S:
            self.fail(f"{value!r} must be more than nothing and less than a year")
        return length


class Pair(click.ParamType[tuple[str, str]]):
    """`name=value`; the value may hold `=`."""

    name = "name=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The name and the value."""
        if isinstance(value, tuple):
            return value
        name, sign, rest = value.partition("=")
        if not sign or not name:
            self.fail(f"{value!r} is not name=value")
        return name, rest


class Grantable(click.ParamType[Permission]):
    """A permission: `read:compliance_docs`."""

    name = "permission"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Permission:
        """The permission."""
        if isinstance(value, Permission):
            return value
        try:
            return Permission.model_validate(value)
        except ValueError:
            self.fail(f"{value!r} is not verb:resource, as in read:compliance_docs")


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object: `{"file": "a.md"}`."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """The object."""
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.fail(f'{value!r} is not a JSON object, as in {{"file": "a.md"}}')
        return found


def length_s(text: str) -> float:
    """The length of `2h`, `1h30m` or `7d` in seconds; ValueError."""
    if text.endswith("d") and _is_number(text[:-1]):
        return float(text[:-1]) * _DAY_S
    return seconds(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or str(value).replace(".", "", 1).isdecimal()


source_option = click.option(
    "--source",
    default=DEFAULT_SOURCE,
    show_default=True,
    help="Repository of the settings, by its name.",
)
