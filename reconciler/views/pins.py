"""What `orloj mcp pin` found, as people read it and as JSON. Pure."""

from typing import Any, Final

from rich.text import Text

from reconciler.pin import Change, Pinned, Pins
from reconciler.views.plain import plain

_MARKS: Final = {
    Change.NEW: ("+", "green"),
    Change.CHANGED: ("~", "bold yellow"),
    Change.SAME: (" ", "dim"),
    Change.GONE: ("-", "red"),
}
_WORDS: Final = {
    Change.NEW: "new",
    Change.SAME: "as pinned",
    Change.GONE: "not offered any more, or left out by tool_filter",
}


def words(pins: Pins, file: str, *, written: bool) -> Text:
    """The tools line by line, and what to do next."""
    width = max((len(tool.key.name) for tool in pins.tools), default=0)
    lines = [_line(tool, width) for tool in pins.tools]
    lines = lines or [Text("the server offers no tool", "yellow")]
    shown, server = plain(file), plain(pins.server.name)
    if not pins.changed:
        lines.append(Text(f"Everything is as pinned in {shown}."))
    elif written:
        lines.append(Text(f"Written to {shown}. Next: git diff, read it, commit it"))
    else:
        lines.append(
            Text(f"{shown} is not what the server offers. Next: orloj mcp pin {server}")
        )
    return Text("\n").join(lines)


def _line(tool: Pinned, width: int) -> Text:
    mark, style = _MARKS[tool.change]
    said = _WORDS.get(tool.change) or f"its {tool.differs} differs"
    return Text(f"{mark} {plain(tool.key.name):<{width}}  {said}", style)


def as_json(pins: Pins, file: str) -> dict[str, Any]:
    """The same for machines."""
    return {
        "server": str(pins.server),
        "file": file,
        "changed": pins.changed,
        "tools": [
            {
                "name": tool.key.name,
                "tool": tool.tool,
                "change": tool.change.value,
                "differs": tool.differs or None,
                "digest": tool.digest,
            }
            for tool in pins.tools
        ],
    }
