"""The answer to a statement, as JSON that is whole even where it is cut. Pure.

    {"columns": [...], "rows": [[...], ...], "truncated": false, "changed": 2}

`truncated` says that there are more rows than are shown; `changed` counts rows that a write
changed. What readers of JSON would bend is tagged: `{"$integer": "9007199254740993"}`,
`{"$number": "NaN"}`, `{"$base64": "AAE="}`. Standard library only.
"""

import base64
import json
import math
from typing import Any, Final

EXACT_MAX: Final = 2**53
"""From here on a reader that takes numbers for floating point loses digits."""
_AROUND: Final = 80


class Answer:
    """Takes rows until one more would be too many, or too long."""

    def __init__(self, columns: list[str], rows_max: int, bytes_max: int) -> None:
        self._columns = json.dumps(columns, ensure_ascii=False)
        self._rows: list[str] = []
        self._rows_max = rows_max
        self._left = bytes_max - len(self._columns.encode("utf-8", "replace")) - _AROUND
        self.truncated = self._left < 0

    def add(self, row: list[Any]) -> bool:
        """Take a row; whether there is room for another one."""
        if self.truncated:
            return False
        line = json.dumps(row, ensure_ascii=False)
        self._left -= len(line.encode("utf-8", "replace")) + 2
        if self._left < 0 or len(self._rows) >= self._rows_max:
            self.truncated = True
            return False
        self._rows.append(line)
        return True

    def text(self, changed: int | None = None) -> str:
        """The answer as JSON."""
        columns = "[]" if self._left < 0 and not self._rows else self._columns
        return (
            f'{{"columns": {columns}, "rows": [{", ".join(self._rows)}], '
            f'"truncated": {"true" if self.truncated else "false"}'
            + (f', "changed": {changed}}}' if changed is not None else "}")
        )


def as_json(value: object) -> object:
    """A value as an answer holds it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= EXACT_MAX:
        return {"$integer": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return {"$number": name}
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    return value
