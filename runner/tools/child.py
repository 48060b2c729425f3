"""Run one function of the runner in a process of its own, with nothing else in it.

The child is a bare interpreter: standard library only, no environment, no site packages. It
knows the modules it needs without the packages around them, which would bring more along.
A request goes in as JSON, `{"answer"}` or `{"refused", "retryable"}` comes back, and the
child is killed with the call.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from runner.contract.errors import ToolFailed

REPLY_BYTES_MAX: Final = 64 * 1024 * 1024
MEMORY_BYTES_MAX: Final = 512 * 1024 * 1024

_RUNNER: Final = Path(__file__).parents[1]
_PROGRAM: Final = """
import importlib, json, pathlib, resource, sys, types
given = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, (given["memory"], given["memory"]))
for name in ("runner", "runner.tools"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [given["runner"] + name.removeprefix("runner").replace(".", "/")]
errors = importlib.import_module("runner.contract.errors")
function = getattr(importlib.import_module(given["module"]), given["function"])
try:
    root = pathlib.Path(given["root"])
    reply = {"answer": function(given["arguments"], given["config"], root)}
except errors.ToolFailed as error:
    reply = {"refused": str(error), "retryable": error.retryable}
except MemoryError:
    reply = {"refused": "it needs too much memory; ask for less", "retryable": False}
json.dump(reply, sys.stdout)
"""


async def run(
    module: str, function: str, arguments: dict[str, Any], config: dict[str, Any], root: Path
) -> str:
    """What a function of a module answered; ToolFailed."""
    request = {
        "module": module,
        "function": function,
        "arguments": arguments,
        "config": config,
        "root": str(root),
        "runner": str(_RUNNER),
        "memory": MEMORY_BYTES_MAX,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        start_new_session=True,
        limit=REPLY_BYTES_MAX,
    )
    try:
        output, _ = await process.communicate(json.dumps(request).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        reply = json.loads(output)
    except ValueError:
        raise ToolFailed(f"its process ended with code {process.returncode}") from None
    if "refused" in reply:
        raise ToolFailed(reply["refused"], retryable=reply["retryable"])
    return str(reply["answer"])
