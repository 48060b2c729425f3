"""Runs one WebAssembly module, as a program of its own in the sandbox.

    stdin    one line of JSON (where wasmtime is, bounds), the module, the call
    stdout   what the module writes
    stderr   one line of JSON: `code` and `said`, unless all went well

The call stays in the pipe, where the module itself reads it. It is given no folder, no
network, no variable and no word; its memory and the instructions it may run are bounded.
Started with nothing but the standard library: what it needs of wasmtime is shown to it.
"""

import importlib.util
import json
import os
import sys
from typing import Any, Final

_LINE_MAX: Final = 65_536
_SAID_CHARACTERS: Final = 300
_STACK_BYTES: Final = 2**20


class Unusable(Exception):
    """The module cannot be run at all."""


def line() -> bytes:
    """The first line, read so that what follows stays in the pipe."""
    found = b""
    while not found.endswith(b"\n") and len(found) < _LINE_MAX:
        one = os.read(0, 1)
        if not one:
            break
        found += one
    return found


def exactly(count: int) -> bytes:
    """So many bytes and no more."""
    found = bytearray()
    while len(found) < count:
        chunk = os.read(0, min(count - len(found), _LINE_MAX))
        if not chunk:
            raise Unusable("the module came in part")
        found += chunk
    return bytes(found)


def run(order: dict[str, Any], module: bytes) -> None:
    """The module from its start to its end; whatever ends it otherwise is raised."""
    import wasmtime  # It was loaded from where the order says.

    config = wasmtime.Config()
    config.consume_fuel = True
    config.max_wasm_stack = _STACK_BYTES
    # Address space is bounded here: nothing is reserved ahead, and no thread compiles.
    config.memory_reservation = 0
    config.memory_reservation_for_growth = 0
    config.memory_guard_size = 0
    config.parallel_compilation = False
    config.cranelift_opt_level = "none"
    config.wasm_threads = False
    config.wasm_memory64 = False
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=order["memory_bytes"], memories=4, tables=16, instances=1)
    store.set_fuel(order["fuel"])
    wasi = wasmtime.WasiConfig()
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    store.set_wasi(wasi)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    try:
        compiled = wasmtime.Module(engine, module)
        exports = linker.instantiate(store, compiled).exports(store)
    except wasmtime.WasmtimeError as error:
        raise Unusable(str(error)) from error
    named = [order["entrypoint"], "_start"] if order["entrypoint"] == "run" else []
    for name in named or [order["entrypoint"]]:
        found = exports.get(name)
        if isinstance(found, wasmtime.Func):
            first = exports.get("_initialize")
            if isinstance(first, wasmtime.Func):
                first(store)
            found(store)
            return
    raise Unusable(f"it exports no function {order['entrypoint']}")


def outcome(order: dict[str, Any], module: bytes) -> dict[str, str] | None:
    """Why the module did not end well, or None."""
    import wasmtime  # It was loaded from where the order says.

    try:
        run(order, module)
    except wasmtime.ExitTrap as error:
        return None if error.code == 0 else _told("exit", f"it ended with code {error.code}")
    except wasmtime.Trap as error:
        if error.trap_code is wasmtime.TrapCode.OUT_OF_FUEL:
            return _told("fuel", f"it ran more than {order['fuel']} instructions")
        return _told("trap", error.message)
    except wasmtime.WasmtimeError as error:
        return _told("trap", str(error))
    except Unusable as error:
        return _told("unusable", str(error))
    except MemoryError:
        return _told("trap", "there is not enough memory to run it")
    return None


def _told(code: str, said: str) -> dict[str, str]:
    # What stands before the cause is where in the module it happened.
    cause = " ".join(said.rpartition("Caused by:")[2].split())
    return {"code": code, "said": cause[:_SAID_CHARACTERS]}


def find(folder: str) -> None:
    """Load wasmtime from its folder. The one around it may be one that we cannot list."""
    path = os.path.join(folder, "__init__.py")
    spec = importlib.util.spec_from_file_location(
        "wasmtime", path, submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wasmtime"] = module
    spec.loader.exec_module(module)


def main() -> None:
    """Run the module that comes on standard input."""
    order = json.loads(line())
    find(order["package"])
    told = outcome(order, exactly(order["module_bytes"]))
    if told is not None:
        json.dump(told, sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
