"""Tools of type `python`: functions that ship with the runner, and no others.

A file function works inside one folder: that of the tool's `config`, inside the files
folder of the home. Where an allowed permission names a data source of type `files`, that
source's folder is the root instead, and `read` leaves only the functions that write nothing.
"""

from collections.abc import Callable
from typing import Any, Final

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.functions import folder
from runner.functions.table import FUNCTIONS, WRITING
from runner.tools import Answered, Call, function
from runner.tools.function import Needs, Work
from runner.tools.sources import named, reach


def _reads(config: dict[str, Any]) -> Needs:
    return Needs(folder.parts(str(config.get("folder", "."))))


def _writes(config: dict[str, Any]) -> Needs:
    return Needs(folder.parts(str(config.get("folder", "."))), writable=True)


def _appends(config: dict[str, Any]) -> Needs:
    return Needs(folder.parts(str(config.get("file", "")))[:-1], writable=True)


NEEDS: Final[dict[str, Callable[[dict[str, Any]], Needs]]] = {
    "append_record": _appends,
    "list_files": _reads,
    "read_file": _reads,
    "search_files": _reads,
    "write_file": _writes,
}


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """What the function answered; ToolFailed."""
    name = tool.function or ""
    if name not in FUNCTIONS:
        raise ToolFailed(
            f"there is no function {tool.function}; there are {', '.join(sorted(FUNCTIONS))}",
            code=ToolCode.UNSUPPORTED_TOOL,
        )
    config = _within(tool, name, call)
    work = Work(name, arguments, config, NEEDS[name](config))
    return await function.run(tool, work, call)


def _within(tool: Tool, name: str, call: Call) -> dict[str, Any]:
    """The tool's config inside the data source that the permissions name, if they do."""
    if named(call.permissions, call.sources) is None:
        return tool.config
    to = reach(call.permissions, call.sources, "files")
    if to.access == "admin" or (to.access == "read" and name in WRITING):
        raise ToolFailed(
            f"{to.access}: {to.name} does not allow {name}", code=ToolCode.PERMISSION_DENIED
        )
    # Joined as names, so that each step is walked without following a link.
    config = {**tool.config, "folder": f"{to.source.path}/{tool.config.get('folder', '.')}"}
    if "file" in config:
        config["file"] = f"{to.source.path}/{config['file']}"
    return config
