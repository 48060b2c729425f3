"""A local endpoint that speaks chat completions, from a script."""

import json
from collections.abc import Callable
from typing import Any

from local_server import Answer, LocalServer, Received


def completion(
    text: str | None = None,
    calls: list[dict[str, Any]] | None = None,
    tokens: tuple[Any, Any] = (11, 7),
) -> Answer:
    """A proper answer; `calls` are `{name, arguments}` with arguments as a JSON text."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": f"call-{number}", "type": "function", "function": item}
            for number, item in enumerate(calls)
        ]
    return said(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "served",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": tokens[0],
                "completion_tokens": tokens[1],
                "total_tokens": 0,
            },
        }
    )


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer, whatever is in it."""
    return Answer(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )


def failure(status: int, message: str = "no", **headers: str) -> Answer:
    """An error as the protocol words it."""
    return said({"error": {"message": message, "type": "t"}}, status, **headers)


class ModelServer(LocalServer):
    """Gives the N-th answer to the N-th question, and the last one from then on."""

    def __init__(self, *answers: Answer | Callable[[Received], Answer]) -> None:
        self._answers = answers
        super().__init__(self._next)

    def _next(self, request: Received) -> Answer:
        answer = self._answers[min(len(self.received), len(self._answers)) - 1]
        return answer(request) if callable(answer) else answer

    @property
    def questions(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(request.body) for request in self.received]
