"""The options of a ModelEndpoint: which keys a provider knows, and what may stand there. Pure.

An option that nobody reads is a mistake that nobody would notice: it is refused.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

_NUMBER: Final = (re.compile(r"[1-9][0-9]{0,8}"), "a whole number above 0, in quotes")
_DAY: Final = (re.compile(r"\d{4}-\d{2}-\d{2}"), "a day as in 2023-06-01")
_VERSION: Final = (re.compile(r"[A-Za-z0-9.-]{1,64}"), "a version as in 2024-10-21")
_DEPLOYMENT: Final = (re.compile(r"[A-Za-z0-9._-]{1,128}"), "the name of a deployment")
_URL: Final = (re.compile(r"https?://\S+"), "an address that begins with http:// or https://")
_MODEL: Final = (re.compile(r"\S+"), "the name of a model")

Form = tuple[re.Pattern[str], str]


def _words(*words: str) -> Form:
    return re.compile("|".join(words)), f"one of {', '.join(words)}"


_CHAT: Final[dict[str, Form]] = {
    "output_limit": _words("max_tokens", "max_completion_tokens"),
    "structured_output": _words("json_schema", "json_object", "none"),
}
_AZURE: Final = _CHAT | {"api_version": _VERSION, "deployment": _DEPLOYMENT}
KNOWN: Final[dict[str, dict[str, Form]]] = {
    "mock": {},
    "openai": _CHAT,
    "openai-compatible": _CHAT,
    "azure": _AZURE,
    "azure-openai": _AZURE,
    "anthropic": {
        "anthropic_version": _DAY,
        "max_tokens": _NUMBER,
        "structured_output": _words("tool", "json_schema", "none"),
    },
    "ollama": {
        "base_url": _URL,
        "default_model": _MODEL,
        "num_ctx": _NUMBER,
        "output_limit": _CHAT["output_limit"],
    },
}
"""By provider, and by key: what a value must match, and that in words."""

MOVED: Final = {"stream": "write it as a field of its own: `stream: true` beside `options`"}


def spelled(options: Any) -> Any:
    """The options with their keys in lower case and nothing around keys and values."""
    if not isinstance(options, dict):
        return options
    return {_trimmed(key, lower=True): _trimmed(value) for key, value in options.items()}


def check(provider: str, options: Mapping[str, str]) -> None:
    """ValidationError, at each key that the provider does not know or whose value is wrong."""
    known = KNOWN[provider]
    found = [
        InitErrorDetails(
            type=PydanticCustomError("value_error", "{error}", {"error": said}),
            loc=(key,),
            input=value,
        )
        for key, value in options.items()
        if (said := _mistake(provider, known, key, value)) is not None
    ]
    if found:
        raise ValidationError.from_exception_data("options", found)


def _mistake(provider: str, known: Mapping[str, Form], key: str, value: str) -> str | None:
    if key in known:
        pattern, words = known[key]
        return None if pattern.fullmatch(value) else f"expected {words}"
    if key in MOVED:
        return MOVED[key]
    listed = ", ".join(sorted(known)) or "none"
    return f"the provider {provider} knows no such option; it knows: {listed}"


def _trimmed(value: Any, *, lower: bool = False) -> Any:
    if not isinstance(value, str):
        return value
    return value.strip().lower() if lower else value.strip()
