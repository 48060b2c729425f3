"""The functions by the names that a Tool's `function` gives them.

To add one: write `function(arguments, config, root) -> str` in a module beside this one, name
it here, and say in `runner.tools.python.NEEDS` what it must see.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from runner.functions import files

Function = Callable[[dict[str, Any], dict[str, Any], Path], str]
"""Of the call's arguments, the tool's config and the files folder; it may raise ToolFailed."""

FUNCTIONS: Final[dict[str, Function]] = {
    "append_record": files.append_record,
    "list_files": files.list_files,
    "read_file": files.read_file,
    "search_files": files.search_files,
}
