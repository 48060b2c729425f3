"""What an MCP server answered, as the text that a model is given. Pure.

    text                    as it is
    resource with a text    its address on a line of its own, then the text
    link to a resource      its address and name; nothing is fetched
    image, sound, bytes     its type and size; the bytes are left out
    structuredContent       as JSON, unless one of the texts says the same already

Parts are joined by a line end, in the server's order. `isError` is for the caller to see.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def text(result: Mapping[str, Any]) -> str:
    """The text of a result of `tools/call`."""
    content = result.get("content")
    blocks = content if isinstance(content, Sequence) else ()
    parts = [_block(block) for block in blocks if isinstance(block, Mapping)]
    structured = result.get("structuredContent")
    if structured is not None and not any(_says(part, structured) for part in parts):
        parts.append(json.dumps(structured, ensure_ascii=False))
    return "\n".join(parts)


def _block(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio" as kind:
            return _left_out(str(kind), block.get("mimeType"), block.get("data"))
        case "resource":
            return _resource(block.get("resource"))
        case "resource_link":
            name = f" ({block['name']})" if block.get("name") else ""
            return f"[link to {block.get('uri', 'nowhere')}{name}]"
    return "[something of a kind that is not known here, left out]"


def _resource(resource: Any) -> str:
    if not isinstance(resource, Mapping):
        return "[a resource that cannot be read, left out]"
    uri = str(resource.get("uri", "without an address"))
    if isinstance(resource.get("text"), str):
        return f"[resource {uri}]\n{resource['text']}"
    return _left_out(f"resource {uri}", resource.get("mimeType"), resource.get("blob"))


def _left_out(what: str, kind: Any, data: Any) -> str:
    size = len(data) * 3 // 4 - data[-2:].count("=") if isinstance(data, str) else 0
    return f"[{what} of type {kind or 'unknown'}, {size} bytes, left out]"


def _says(part: str, structured: Any) -> bool:
    """Whether a text says it all, also where the SDK put a bare value under `result`."""
    wrapped = isinstance(structured, Mapping) and list(structured) == ["result"]
    value = structured["result"] if wrapped else structured
    try:
        return part == value or json.loads(part) in (value, structured)
    except (ValueError, RecursionError):
        return False
