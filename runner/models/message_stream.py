"""A message of Anthropic's that comes in events, put together to what it would be in one. Pure.

message_start ──> content_block_start, _delta, _stop ... ──> message_delta ──> message_stop
"""

from typing import Any, Final

from runner.contract.errors import ModelFailed
from runner.conversation import CALLS_MAX
from runner.models import messages, reading, trouble

_BLOCKS_MAX: Final = 4 * CALLS_MAX


class Assembly:
    """A streamed message as far as it has come."""

    def __init__(self) -> None:
        self._pieces = reading.Pieces()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, int] = {}
        self._model: Any = None
        self._ended = False

    def add(self, event: Any) -> None:
        """Take the next event; ModelFailed when it is none, or the answer grows too long."""
        match reading.field(event, "type"):
            case "message_start":
                message = reading.field(event, "message")
                self._model = reading.field(message, "model")
                self._count(reading.field(message, "usage"))
            case "content_block_start":
                self._begin(self._index(event), reading.field(event, "content_block"))
            case "content_block_delta":
                delta, index = reading.field(event, "delta"), self._index(event)
                self._take((index, "text"), reading.field(delta, "text"))
                self._take((index, "input"), reading.field(delta, "partial_json"))
            case "message_delta":
                self._count(reading.field(event, "usage"))
            case "message_stop":
                self._ended = True

    def whole(self) -> dict[str, Any]:
        """The message; ModelFailed when its end has not come."""
        if not self._ended:
            raise ModelFailed(trouble.CUT, retryable=True)
        content = [self._made(index) for index in sorted(self._blocks)]
        return {"content": content, "usage": self._usage, "model": self._model}

    def _begin(self, index: int, block: Any) -> None:
        if len(self._blocks) >= _BLOCKS_MAX:
            raise ModelFailed(f"the model answered in more than {_BLOCKS_MAX} parts")
        self._blocks[index] = {
            name: reading.field(block, name) for name in ("type", "id", "name")
        }
        self._take((index, "text"), reading.field(block, "text"))

    def _made(self, index: int) -> dict[str, Any]:
        block = self._blocks[index]
        if block["type"] == "tool_use":
            return block | {"input": reading.arguments(self._pieces.text((index, "input")))}
        return block | {"text": self._pieces.text((index, "text")) or ""}

    def _count(self, usage: Any) -> None:
        # The last number of each kind holds: they grow while the answer does.
        for name in (*messages.INPUT_FIELDS, "output_tokens"):
            if (count := reading.count(reading.field(usage, name))) is not None:
                self._usage[name] = count

    def _index(self, event: Any) -> int:
        index = reading.count(reading.field(event, "index"))
        if index is None:
            raise ModelFailed("the model endpoint streamed a part without its place")
        return index

    def _take(self, name: Any, piece: Any) -> None:
        if not self._pieces.add(name, piece):
            raise ModelFailed(
                "the model endpoint streamed no text, or more than a reply may be"
            )
