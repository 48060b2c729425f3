"""What an MCP server says of one of its tools, and the digest that a Tool is pinned to. Pure.

The digest is SHA-256 over canonical JSON (sorted keys, no spaces, UTF-8) of `name`,
`description`, `inputSchema` and `annotations`: of all that tells a model or a person what
the tool does. What a server leaves out is left out; an empty description is none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool, as the server lists it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    annotations: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """`sha256:` and the hex digest of all of it."""
        said = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema,
            "annotations": self.annotations,
        }
        kept = {field: value for field, value in said.items() if value}
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

    def differs(self, description: str, input_schema: Mapping[str, Any]) -> str:
        """What is another than was pinned, in words."""
        parts = []
        if self.description != description:
            parts.append("description")
        if self.input_schema != input_schema:
            parts.append("input schema")
        return " and ".join(parts) or "annotations"
