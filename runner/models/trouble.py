"""What the trouble that a client library met means: is it worth another try, was it paid.

    out of reach, no answer in time ──> worth another try
    refused: 408, 409, 429, 5xx ──> worth another try; any other status ──> not
    refused: 4xx but 408, 409, 499 ──> no model has worked on it
    broken off in the middle ──> worth another try, and was paid for

The libraries of OpenAI and Anthropic have the same classes of errors under the same names,
so that one reading does for both. `library` is the module.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx2

from runner.contract import seal
from runner.contract.errors import ModelFailed
from runner.models.reading import field

_RETRYABLE: Final = frozenset({408, 409, 429})
_MAYBE_WORKED_ON: Final = frozenset({408, 409, 499})
_SAID_CHARACTERS: Final = 300
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
LATE: Final = "the model endpoint did not answer in time"
CUT: Final = "the model endpoint broke off its answer"


@contextmanager
def told(library: Any, key: str | None) -> Iterator[None]:
    """Turn what goes wrong inside into a ModelFailed, in whose text no key is."""
    try:
        yield
    except ModelFailed:
        raise
    except library.APIConnectionError as error:
        raise of_transport(error.__cause__) from error
    except (TimeoutError, httpx2.HTTPError) as error:
        raise of_transport(error) from error
    except library.APIStatusError as error:
        raise _of_status(error, key) from error
    except (_root(library), ValueError, RecursionError) as error:
        raise _of_content(library, error, key) from error


def _of_content(library: Any, error: Exception, key: str | None) -> ModelFailed:
    invalid = isinstance(error, library.APIResponseValidationError)
    if isinstance(error, library.APIError) and not invalid:
        # It stood in the middle of a stream, in the place of what was to come.
        return cut(str(field(error, "message")), key)
    return unreadable(error)


def _root(library: Any) -> type[Exception]:
    """The class that all errors of a library are of."""
    root: type[Exception] = getattr(library, "OpenAIError", None) or library.AnthropicError
    return root


def cut(said: str, key: str | None) -> ModelFailed:
    """An endpoint broke off, and said why."""
    return ModelFailed(
        f"{CUT}: {seal.excerpt(said, _SAID_CHARACTERS, _hidden(key))}", retryable=True
    )


def of_transport(cause: BaseException | None) -> ModelFailed:
    """What it means that a connection did not carry the whole answer."""
    if isinstance(cause, ModelFailed):
        return cause  # Ours, about an answer that is not read on.
    if isinstance(cause, httpx2.TimeoutException | TimeoutError):
        return ModelFailed(LATE, retryable=True)
    if isinstance(cause, httpx2.RemoteProtocolError | httpx2.ReadError):
        return ModelFailed(CUT, retryable=True)
    return ModelFailed(
        "the model endpoint cannot be reached",
        retryable=True,
        untouched=isinstance(cause, httpx2.ConnectError),
    )


def unreadable(error: BaseException) -> ModelFailed:
    """What came is not what the protocol says."""
    return ModelFailed(f"the model endpoint's answer cannot be read: {type(error).__name__}")


def of_answer(
    status: int, said: str, headers: Mapping[str, str], key: str | None
) -> ModelFailed:
    """What an answer with this status means."""
    return ModelFailed(
        # Masked before it is cut: the guard would not know half a key again.
        f"the model endpoint answered {status}: "
        f"{seal.excerpt(said, _SAID_CHARACTERS, _hidden(key))}",
        retryable=status in _RETRYABLE or status >= 500,
        retry_after_s=_retry_after_s(headers),
        # An endpoint that refuses has not asked its model; one that broke may have.
        untouched=400 <= status < 500 and status not in _MAYBE_WORKED_ON,
    )


def _of_status(error: Any, key: str | None) -> ModelFailed:
    inner = field(error.body, "error")
    said = field(error.body, "message") or field(inner, "message")
    text = str(said or error.response.reason_phrase)
    if error.status_code < 300:
        # It stood in the middle of a stream, whose status was good.
        return cut(text, key)
    return of_answer(error.status_code, text, error.response.headers, key)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    in_ms, in_s = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    if _SECONDS.fullmatch(in_ms):
        return float(in_ms) / 1_000
    return float(in_s) if _SECONDS.fullmatch(in_s) else None


def _hidden(key: str | None) -> tuple[str, ...]:
    return () if key is None else (key,)
