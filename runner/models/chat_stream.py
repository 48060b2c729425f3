"""A chat completion that comes in pieces, put together to what it would be in one. Pure.

    chunk ──add──> text, calls by their index, usage ──whole──> a completion

An answer counts once its end was seen: a connection that is cut may look like one that ends.
"""

from typing import Any

from runner.contract.errors import ModelFailed
from runner.conversation import CALLS_MAX
from runner.models import reading, trouble


class Assembly:
    """A streamed completion as far as it has come."""

    def __init__(self) -> None:
        self._pieces = reading.Pieces()
        self._calls: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self._model: Any = None
        self._ended = False

    def add(self, chunk: Any) -> None:
        """Take the next piece; ModelFailed when it is none, or the answer grows too long."""
        self._usage = reading.field(chunk, "usage") or self._usage
        self._model = reading.field(chunk, "model") or self._model
        for choice in reading.items(reading.field(chunk, "choices"))[:1]:
            delta = reading.field(choice, "delta")
            self._take("content", reading.field(delta, "content"))
            self._take("refusal", reading.field(delta, "refusal"))
            for call in reading.items(reading.field(delta, "tool_calls")):
                self._call(call)
            self._ended |= reading.field(choice, "finish_reason") is not None

    def whole(self) -> dict[str, Any]:
        """The completion; ModelFailed when its end has not come."""
        if not self._ended:
            raise ModelFailed(trouble.CUT, retryable=True)
        message = {
            "content": self._pieces.text("content"),
            "refusal": self._pieces.text("refusal"),
            "tool_calls": [self._made(index) for index in sorted(self._calls)],
        }
        choices = [{"message": message}]
        return {"choices": choices, "usage": self._usage, "model": self._model}

    def _call(self, call: Any) -> None:
        index = reading.count(reading.field(call, "index"))
        if index is None:
            index = len(self._calls)  # Some endpoints send each call whole, without a place.
        if index not in self._calls and len(self._calls) > CALLS_MAX:
            raise ModelFailed(f"the model asked for more than {CALLS_MAX} calls at once")
        known = self._calls.setdefault(index, {"id": None})
        known["id"] = known["id"] or reading.field(call, "id")
        function = reading.field(call, "function")
        self._take((index, "name"), reading.field(function, "name"))
        self._take((index, "arguments"), reading.field(function, "arguments"))

    def _made(self, index: int) -> dict[str, Any]:
        function = {
            part: self._pieces.text((index, part)) or "" for part in ("name", "arguments")
        }
        return {"id": self._calls[index]["id"], "function": function}

    def _take(self, name: Any, piece: Any) -> None:
        if not self._pieces.add(name, piece):
            raise ModelFailed(
                "the model endpoint streamed no text, or more than a reply may be"
            )
