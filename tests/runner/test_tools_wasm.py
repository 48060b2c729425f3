"""A module does what its call says, within bounds that hold, and touches nothing besides."""

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

from runner import sandbox, tools
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.sandbox import Level
from runner.tools import Answered, Bounds, Call, Caller, wasm

WASI = "wasi_snapshot_preview1"
OK = '{"contract_version":"v1","status":"ok","output":"done"}'


def writing(text: str, before: str = "", entry: str = "run", more: str = "") -> str:
    """A module that does something and writes a text."""
    data = "".join(f"\\{byte:02x}" for byte in text.encode())
    return f"""(module
      (import "{WASI}" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      {more}
      (memory (export "memory") 1)
      (data (i32.const 0) "\\10\\00\\00\\00\\{len(text) % 256:02x}\\{len(text) // 256:02x}")
      (data (i32.const 16) "{data}")
      (func (export "{entry}") {before}
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""


def deeper(body: str, imports: str = "") -> str:
    return f'(module {imports} (memory (export "memory") 1) (func $run (export "run") {body}))'


ECHO = f"""(module
  (import "{WASI}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
"""Says back what it was given: no answer by the contract, and told as such."""


def call(
    folder: Path,
    text: str | bytes,
    arguments: dict[str, Any] | None = None,
    *,
    name: str = "sums.wasm",
    secrets: tuple[str, ...] = (),
    timeout: str = "20s",
    **block: Any,
) -> Answered:
    modules = folder / "modules"
    modules.mkdir(exist_ok=True)
    (modules / name).write_bytes(wat2wasm(text) if isinstance(text, str) else text)
    tool = Tool.model_validate({"type": "wasm", "wasm": block, "runtime": {"timeout": timeout}})
    bounds = Bounds(folder / "files", (), 10_000, modules=modules)
    made = Call("t:1", None, bounds, secrets, caller=Caller("t", "team", "clerk", "sums"))
    return asyncio.run(tools.call(tool, arguments or {}, made))


def failure(folder: Path, text: str | bytes, **more: Any) -> ToolFailed:
    with pytest.raises(ToolFailed) as error:
        call(folder, text, **more)
    return error.value


def test_a_module_answers_and_the_log_is_told_how_far_it_was_kept_apart(tmp_path: Path) -> None:
    answered = call(tmp_path, writing(OK))
    assert answered.text == "done"
    assert answered.isolation is not None
    assert answered.isolation.startswith("wasm+")
    assert answered.isolation.endswith("+seccomp")


@pytest.mark.parametrize("entry", ["run", "_start"])
def test_a_program_of_any_compiler_is_started_without_a_word_on_its_entry(
    tmp_path: Path, entry: str
) -> None:
    assert call(tmp_path, writing(OK, entry=entry)).text == "done"


def test_a_named_entry_is_that_one_and_no_other(tmp_path: Path) -> None:
    assert call(tmp_path, writing(OK, entry="main"), entrypoint="main").text == "done"
    error = failure(tmp_path, writing(OK, entry="_start"), entrypoint="main")
    assert "exports no function main" in str(error)
    assert error.code is ToolCode.RUNTIME_POLICY_INVALID


@pytest.mark.parametrize("code", [0, 3])
def test_a_module_that_exits_has_succeeded_with_code_0_alone(tmp_path: Path, code: int) -> None:
    exits = f'(import "{WASI}" "proc_exit" (func $exit (param i32)))'
    text = writing(OK, more=exits).replace("(i32.const 8)))))", "(i32.const 8)))")
    text += f"(call $exit (i32.const {code}))))"
    if code == 0:
        assert call(tmp_path, text).text == "done"
    else:
        assert "ended with code 3" in str(failure(tmp_path, text))


def asked(folder: Path, arguments: dict[str, Any], level: Level) -> dict[str, Any]:
    """What a module reads, by the very program that runs it."""
    tool = Tool.model_validate({"type": "wasm", "capabilities": ["a.b"], "risk_level": "high"})
    bounds = Bounds(folder / "files", (), 10_000, modules=folder)
    made = Call("t:1", None, bounds, caller=Caller("t", "team", "clerk", "sums"))
    module = wat2wasm(ECHO)
    order = {
        "package": str(wasm._package()),
        "module_bytes": len(module),
        "memory_bytes": 2**26,
        "fuel": 10**6,
        "entrypoint": "run",
    }
    request = wasm._request(tool, wasm.Wasm(), arguments, made)
    done = asyncio.run(
        sandbox.run(
            [os.path.realpath(sys.executable), "-I", "-S", str(wasm._GUEST)],
            json.dumps(order).encode() + b"\n" + module + request,
            wasm._confinement(tool, wasm.Wasm(), made),
            output_bytes_max=10_000,
            error_bytes_max=10_000,
            level=level,
        )
    )
    assert done.code == 0, done.error
    said: dict[str, Any] = json.loads(done.output)
    return said


@pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK, Level.NONE])
def test_a_module_reads_the_call_and_its_arguments_as_one_text(
    tmp_path: Path, level: Level
) -> None:
    if level is not Level.NONE and (reason := sandbox.why_not(level)):
        pytest.skip(reason)
    said = asked(tmp_path, {"q": "é", "n": [1]}, level)
    assert json.loads(said.pop("input")) == {"q": "é", "n": [1]}
    assert said == {
        "contract_version": "v1",
        "namespace": "team",
        "tool": "sums",
        "capabilities": ["a.b"],
        "risk_level": "high",
        "runtime": {
            "entrypoint": "run",
            "max_memory_bytes": 2**26,
            "fuel": 10**9,
            "enable_wasi": True,
        },
    }


def test_a_module_that_runs_without_end_is_out_of_fuel(tmp_path: Path) -> None:
    error = failure(tmp_path, deeper("(loop $again (br $again))"), fuel=1_000_000)
    assert "ran more than 1000000 instructions" in str(error)
    assert "wasm.fuel" in str(error)


def test_a_module_is_ended_by_the_clock_where_its_fuel_would_last(tmp_path: Path) -> None:
    text = deeper("(loop $again (br $again))")
    error = failure(tmp_path, text, fuel=10**15, timeout="1500ms")
    assert error.code is ToolCode.TIMEOUT
    assert error.isolation is not None
    assert error.isolation.startswith("wasm+")


def growing(pages: int) -> str:
    """A module that asks for memory, stops if it is given none, and else writes to its end."""
    grow = f"""(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1))
                 (then unreachable))
               (memory.fill (i32.const 65536) (i32.const 7) (i32.const {pages * 65_536}))"""
    return writing(OK, before=grow)


def test_a_module_has_the_memory_it_was_promised_and_not_a_page_more(tmp_path: Path) -> None:
    limit = {"max_memory_bytes": 65_536 * 101}
    assert call(tmp_path, growing(100), **limit).text == "done"
    assert "unreachable" in str(failure(tmp_path, growing(101), **limit))


def test_the_most_memory_that_may_be_named_is_really_there(tmp_path: Path) -> None:
    text = growing(16_383).replace("(i32.const 1073676288))", "(i32.const 1))")
    assert call(tmp_path, text, max_memory_bytes=2**30).text == "done"


def test_a_module_that_calls_itself_without_end_is_stopped(tmp_path: Path) -> None:
    assert "call stack exhausted" in str(failure(tmp_path, deeper("(call $run)")))


@pytest.mark.parametrize(
    "function",
    ["environ_sizes_get", "args_sizes_get"],
)
def test_a_module_has_no_variable_and_no_word(tmp_path: Path, function: str) -> None:
    """It stops where it is told of one."""
    of = f'(import "{WASI}" "{function}" (func $count (param i32 i32) (result i32)))'
    look = """(drop (call $count (i32.const 4096) (i32.const 4100)))
               (if (i32.load (i32.const 4096)) (then unreachable))"""
    assert call(tmp_path, writing(OK, before=look, more=of)).text == "done"


def test_a_module_has_no_folder_and_no_socket(tmp_path: Path) -> None:
    """Descriptors from 3 on are folders that a host gives: each is one that is not there."""
    of = f'(import "{WASI}" "fd_prestat_get" (func $given (param i32 i32) (result i32)))'
    bad = 8
    look = "".join(
        f"(if (i32.ne (call $given (i32.const {one}) (i32.const 4096)) (i32.const {bad}))"
        " (then unreachable))"
        for one in range(3, 12)
    )
    assert call(tmp_path, writing(OK, before=look, more=of)).text == "done"


def test_what_a_module_says_beside_its_answer_reaches_nobody(tmp_path: Path) -> None:
    error = failure(
        tmp_path,
        writing("canary-51c2").replace(
            "(i32.const 1) (i32.const 0)", "(i32.const 2) (i32.const 0)"
        ),
    )
    assert "canary" not in str(error)


V1 = '{"contract_version":"v1","status":'
LATE = V1 + '"error","error":{"code":"timeout","message":"too late","retryable":true}}'


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        pytest.param("", ToolCode.RUNTIME_POLICY_INVALID, "no JSON object", id="nothing"),
        pytest.param("[]", ToolCode.RUNTIME_POLICY_INVALID, "no JSON object", id="a list"),
        pytest.param(
            '{"status":"ok","output":""}',
            ToolCode.RUNTIME_POLICY_INVALID,
            "v1",
            id="unversioned",
        ),
        pytest.param(V1 + '"ok"}', ToolCode.RUNTIME_POLICY_INVALID, "status", id="no output"),
        pytest.param(V1 + '"fine"}', ToolCode.RUNTIME_POLICY_INVALID, "status", id="another"),
        pytest.param(V1 + '"error"}', ToolCode.RUNTIME_POLICY_INVALID, "error", id="no error"),
        pytest.param(LATE, ToolCode.TIMEOUT, "too late", id="late"),
        pytest.param(
            V1 + '"denied","error":{"message":"not you"}}',
            ToolCode.PERMISSION_DENIED,
            "not you",
            id="denied",
        ),
    ],
)
def test_an_answer_is_what_the_contract_says_or_a_failure(
    tmp_path: Path, said: str, code: ToolCode, words: str
) -> None:
    error = failure(tmp_path, writing(said))
    assert (error.code, words in str(error)) == (code, True), str(error)
    assert error.retryable is (code is ToolCode.TIMEOUT)


def test_a_pinned_module_is_that_one_or_is_not_run(tmp_path: Path) -> None:
    module = wat2wasm(writing(OK))
    digest = hashlib.sha256(module).hexdigest()
    assert call(tmp_path, bytes(module), sha256=digest).text == "done"
    assert call(tmp_path, bytes(module), sha256=f"sha256:{digest}").text == "done"
    error = failure(tmp_path, bytes(module) + b"\0", sha256=digest)
    assert "not the one that wasm.sha256 names" in str(error)
    assert error.code is ToolCode.RUNTIME_POLICY_INVALID


def test_a_module_lies_in_the_folder_of_modules_and_nowhere_else(tmp_path: Path) -> None:
    module = bytes(wat2wasm(writing(OK)))
    inside = str(tmp_path / "modules" / "sums.wasm")
    assert call(tmp_path, module, module=inside).text == "done"
    assert "outside" in str(failure(tmp_path, module, module=str(tmp_path / "sums.wasm")))
    (tmp_path / "sums.wasm").write_bytes(module)
    (tmp_path / "modules" / "link.wasm").symlink_to(tmp_path / "sums.wasm")
    assert "cannot be read" in str(failure(tmp_path, module, module="link.wasm"))
    assert "cannot be read" in str(failure(tmp_path, module, module="none.wasm"))


@pytest.mark.parametrize(
    "module", [b"", b"MZ", b"\0asm\1\0\0\0" + b"\xff" * 50], ids=["empty", "foreign", "broken"]
)
def test_what_is_no_module_is_told_as_such(tmp_path: Path, module: bytes) -> None:
    error = failure(tmp_path, module)
    assert error.code is ToolCode.RUNTIME_POLICY_INVALID
    assert "cannot be run" in str(error)


def test_a_module_that_needs_what_it_is_not_given_is_not_run(tmp_path: Path) -> None:
    wants = '(import "env" "system" (func $system (param i32) (result i32)))'
    assert "unknown import" in str(failure(tmp_path, deeper("", wants)))


def test_a_secret_that_a_module_guesses_does_not_come_out(tmp_path: Path) -> None:
    said = OK.replace("done", "canary-51c2")
    assert "canary" not in call(tmp_path, writing(said), secrets=("canary-51c2",)).text
