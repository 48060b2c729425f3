"""Runs one function: a request as JSON on standard input, an answer as JSON on standard output.

    {"function", "arguments", "config", "root"}  ──>  {"content"} or {"error", "retryable"}

Started as a program with nothing but the standard library, so it finds its neighbours itself.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.contract.errors import ToolFailed
from runner.functions.table import found


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the function said to a request."""
    function = found(request["function"])
    try:
        content = function(request["arguments"], request["config"], Path(request["root"]))
    except ToolFailed as error:
        return {"error": str(error), "retryable": error.retryable}
    except MemoryError:
        return {"error": "it needs too much memory; ask for less", "retryable": False}
    except Exception as error:  # noqa: BLE001 - a function's bug is an answer; its text stays here.
        return {"error": f"internal error ({type(error).__name__})", "retryable": False}
    return {"content": content}


def main() -> None:
    """Answer one request."""
    json.dump(answer(json.load(sys.stdin.buffer)), sys.stdout)


if __name__ == "__main__":
    main()
