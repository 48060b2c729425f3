"""The functions by the names that a Tool's `function` gives them.

To add one: write `function(arguments, config, root) -> str` in a module beside this one, name
it here, and say in `runner.tools.python.NEEDS` what it must see.
"""

import importlib
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
    "write_file": files.write_file,
}
"""Those that a manifest may name."""
WRITING: Final = frozenset({"append_record", "write_file"})

SQLITE: Final = "sqlite"
"""What tools of type `sql` run; its access is the guard's to say, so no manifest names it."""


def found(name: str) -> Function:
    """A function by its name; KeyError."""
    if name == SQLITE:  # Its library is loaded only where it is needed.
        query: Function = importlib.import_module("runner.functions.sql_sqlite").query
        return query
    return FUNCTIONS[name]
