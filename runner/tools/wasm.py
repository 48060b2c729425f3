"""Tools of type `wasm`: a module of this host, by the module contract v1 of the public dialect.

    file in tools.modules ──digest as pinned?──> process of its own ──> one JSON object back

The file is read here, once, and what was looked at is what runs. The module is kept apart
twice: by WebAssembly, which gives it a call to read and a place to write, and by the sandbox
around the process it runs in. A wild one ends that process, never a worker.
"""

import hashlib
import importlib.util
import json
import math
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

from runner import sandbox
from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.base import seconds
from runner.contract.kinds.tool_program import FUEL, MODULE_BYTES_MAX, Wasm
from runner.functions import folder
from runner.sandbox import program
from runner.sandbox.confinement import MEBIBYTE
from runner.tools import Answered, Call, envelope, may_be_bare, told, wasm_answer, wasm_guest

_GUEST: Final = Path(wasm_guest.__file__)
_AROUND_BYTES: Final = 640 * MEBIBYTE
"""Address space of the process besides the module's memory: Python, wasmtime, the compiler."""
_PROCESSES: Final = 16
_ERROR_BYTES_MAX: Final = 4_096
_SAID_CHARACTERS: Final = 300
_REASONS: Final = {
    "fuel": "raise wasm.fuel if it needs so many",
    "trap": "it stopped where it stood",
    "unusable": "it cannot be run",
    "exit": "it gave up",
}


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """The output that the module told; ToolFailed."""
    wasm = tool.wasm or Wasm()
    module = _module(wasm, call)
    order = {
        "package": str(_package()),
        "module_bytes": len(module),
        "memory_bytes": wasm.max_memory_bytes,
        "fuel": wasm.fuel or FUEL,
        "entrypoint": wasm.entrypoint,
    }
    given = json.dumps(order).encode() + b"\n" + module + _request(tool, wasm, arguments, call)
    done = await sandbox.run(
        [os.path.realpath(sys.executable), "-I", "-S", str(_GUEST)],
        given,
        _confinement(tool, wasm, call),
        output_bytes_max=call.bounds.output_bytes_max
        + envelope.OVERHEAD_BYTES
        + seal.longest(call.hidden),
        error_bytes_max=_ERROR_BYTES_MAX,
        isolation="none" if may_be_bare(tool) else "required",
    )
    level = told(tool, done.level)
    if done.code != 0:
        raise _failed(done, call, level)
    text = wasm_answer.read(done.output.decode("utf-8", "replace"), call.hidden, level)
    return Answered(text, level)


def _request(tool: Tool, wasm: Wasm, arguments: dict[str, Any], call: Call) -> bytes:
    """The call as the contract writes it."""
    body = {
        "contract_version": wasm_answer.VERSION,
        "namespace": call.caller.namespace,
        "tool": call.caller.tool,
        "input": json.dumps(arguments, ensure_ascii=False),
        "capabilities": tool.capabilities,
        "risk_level": tool.risk_level,
        "runtime": {
            "entrypoint": wasm.entrypoint,
            "max_memory_bytes": wasm.max_memory_bytes,
            "fuel": wasm.fuel or FUEL,
            "enable_wasi": True,
        },
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _module(wasm: Wasm, call: Call) -> bytes:
    """The bytes of the module, as its digest has them; ToolFailed."""
    root = call.bounds.modules
    name = wasm.module or f"{call.caller.tool}.wasm"
    if Path(name).is_absolute():
        if not Path(name).is_relative_to(root):
            raise _refused(f"{name} is outside {root}, the folder of modules (tools.modules)")
        name = str(Path(name).relative_to(root))
    *steps, file = folder.parts(name) or ("",)
    try:
        with folder.opened(root, tuple(steps)) as descriptor:
            data = _read(descriptor, file)
    except (ToolFailed, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise _refused(
            f"the module {name} cannot be read in {root} (tools.modules): {said}"
        ) from error
    if len(data) > MODULE_BYTES_MAX:
        raise _refused(f"the module {name} has more than {MODULE_BYTES_MAX} bytes")
    found = hashlib.sha256(data).hexdigest()
    if wasm.digest not in (None, found):
        raise _refused(
            f"the module {name} is not the one that wasm.sha256 names: its digest is {found}"
        )
    return data


def _read(descriptor: int, name: str) -> bytes:
    opened = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=descriptor
    )
    with open(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise ToolFailed("it is no file")
        return file.read(MODULE_BYTES_MAX + 1)


def _package() -> Path:
    """The folder of wasmtime. It is never loaded into a worker."""
    found = importlib.util.find_spec("wasmtime")
    if found is None or found.origin is None:
        raise ToolFailed(
            "tools of type wasm need the package wasmtime, which is not installed here: run"
            " `pip install wasmtime` where orloj is installed",
            code=ToolCode.UNSUPPORTED_TOOL,
        )
    return Path(found.origin).parent


def _confinement(tool: Tool, wasm: Wasm, call: Call) -> sandbox.Confinement:
    python = Path(os.path.realpath(sys.executable))
    return sandbox.Confinement(
        readable=(
            *program.needed_by(python, call.bounds.files.parent),
            _GUEST,
            _package(),
        ),
        # Twice the module's memory: while it grows, the old one and the new one are there.
        memory_bytes=_AROUND_BYTES + 2 * wasm.max_memory_bytes,
        processes=_PROCESSES,
        cpu_s=math.ceil(seconds(tool.runtime.timeout)) + 1,
    )


def _failed(done: sandbox.Finished, call: Call, level: str) -> ToolFailed:
    try:
        why = json.loads(done.error.decode("utf-8", "replace"))
        code, words = why["code"], str(why["said"])
    except (ValueError, KeyError, TypeError):
        return ToolFailed(
            f"the process of the module ended with code {done.code}", isolation=level
        )
    said = seal.excerpt(words, _SAID_CHARACTERS, call.hidden)
    unusable = ToolCode.RUNTIME_POLICY_INVALID
    return ToolFailed(
        f"the module failed: {said}; {_REASONS[code]}",
        code=unusable if code == "unusable" else ToolCode.EXECUTION_FAILED,
        isolation=level,
    )


def _refused(said: str) -> ToolFailed:
    return ToolFailed(said, code=ToolCode.RUNTIME_POLICY_INVALID)
