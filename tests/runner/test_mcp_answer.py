"""What an MCP server answers becomes a text by one rule, and no bytes are handed on."""

import base64
import json
from typing import Any

import pytest

from runner.tools import mcp_answer

PICTURE = base64.b64encode(b"x" * 10).decode()


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        (
            {"content": [{"type": "image", "mimeType": "image/png", "data": PICTURE}]},
            "[image of type image/png, 10 bytes, left out]",
        ),
        (
            {"content": [{"type": "audio", "mimeType": "audio/wav", "data": PICTURE}]},
            "[audio of type audio/wav, 10 bytes, left out]",
        ),
        (
            {"content": [{"type": "resource", "resource": {"uri": "a:b", "text": "t"}}]},
            "[resource a:b]\nt",
        ),
        (
            {"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": PICTURE}}]},
            "[resource a:b of type unknown, 10 bytes, left out]",
        ),
        (
            {"content": [{"type": "resource_link", "uri": "a:b", "name": "n"}]},
            "[link to a:b (n)]",
        ),
        (
            {"content": [{"type": "hologram"}]},
            "[something of a kind that is not known here, left out]",
        ),
        ({"structuredContent": {"b": 1, "a": "é"}}, '{"b": 1, "a": "é"}'),
        ({}, ""),
    ],
    ids=[
        "texts",
        "image",
        "audio",
        "resource",
        "blob",
        "link",
        "unknown",
        "structured",
        "none",
    ],
)
def test_each_part_has_its_form(result: dict[str, Any], said: str) -> None:
    assert mcp_answer.text(result) == said


def test_what_a_text_says_already_is_not_said_twice() -> None:
    value = {"n": [1, 2]}
    block = {"type": "text", "text": json.dumps(value, indent=2)}
    result = {"content": [block], "structuredContent": value}
    assert mcp_answer.text(result) == block["text"]
    other = {"content": [{"type": "text", "text": "two"}], "structuredContent": value}
    assert mcp_answer.text(other) == 'two\n{"n": [1, 2]}'


@pytest.mark.parametrize(("said", "value"), [("hi", "hi"), ("5", 5)], ids=["text", "number"])
def test_a_bare_value_that_the_sdk_wrapped_is_not_said_twice(said: str, value: Any) -> None:
    content = [{"type": "text", "text": said}]
    result = {"content": content, "structuredContent": {"result": value}}
    assert mcp_answer.text(result) == said
