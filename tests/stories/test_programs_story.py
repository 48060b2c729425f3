"""An agent works with a command line and a module; what each was given stands nowhere else.

Runner and workers are processes of their own, and the model is scripted.
"""

import json
import sys
from pathlib import Path

import pytest
from home import Home
from wasmtime import wat2wasm

from runner.contract import audit_check

pytestmark = [
    pytest.mark.story,
    pytest.mark.parametrize("database_url", [""], ids=["sqlite"]),
]

CANARY = "canary-4471-programs"
ENDED = {"succeeded", "failed", "dead", "unknown_outcome", "cancelled"}
GRANT = {"run": "programs"}
SHOW = "import os, sys; print(sys.argv[1], len(os.environ['TOKEN']), os.environ['TOKEN'])"
ANSWER = '{"contract_version":"v1","status":"ok","output":"42"}'
DATA = "".join(f"\\{byte:02x}" for byte in ANSWER.encode())
MODULE = f"""(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\{len(ANSWER):02x}")
  (data (i32.const 16) "{DATA}")
  (func (export "run")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""


def test_an_agent_calls_a_program_with_its_secret_and_a_module(home: Home) -> None:
    home.environment |= {
        "ORLOJ_TOOLS_COMMANDS": sys.executable,
        "ORLOJ_SECRETS_ENV": "GH",
        "GH": CANARY,
    }
    modules = home.folder / "modules"
    modules.mkdir()
    (modules / "sums.wasm").write_bytes(wat2wasm(MODULE))
    home.record("Secret", "gh", {"fromEnv": {"token": "GH"}})
    cli = {
        "command": Path(sys.executable).name,
        "args": ["-I", "-c", SHOW, "{{ .repo }}"],
        "env_from": [{"name": "TOKEN", "secretRef": "gh", "key": "token"}],
    }
    home.record("Tool", "gh", {"type": "cli", "cli": cli, "requires": [GRANT]})
    home.record("Tool", "sums", {"type": "wasm", "requires": [GRANT]})
    image = {"command": "gh", "image": "ghcr.io/cli/cli:2.50"}
    home.record("Tool", "boxed", {"type": "cli", "cli": image, "requires": [GRANT]})
    calls = [("gh", {"repo": "a/b"}), ("sums", {}), ("boxed", {})]
    steps = [{"calls": [{"tool": name, "arguments": given}]} for name, given in calls]
    script = {"clerk": [*steps, {"reply": "{result.1}|{result.2}|{result.3}"}]}
    model = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", model)
    grants = [{"name": name, "permissions": [GRANT]} for name, _ in calls]
    agent = home.record("Agent", "clerk", {"model": "m", "tools": grants})
    with home.runner(workers=1):
        (task,) = home.submit(agent)
        home.wait([task], ENDED)
    ((output,),) = home.rows("SELECT output FROM task WHERE id = ?", task)
    program, module, boxed = str(output).split("|")
    assert program.startswith(f"a/b {len(CANARY)} ")
    assert module == "42"
    assert boxed.startswith("Error (isolation_unavailable): this tool runs in a container")
    entries = [entry for entry in home.entries(task) if "tool" in entry]
    done = {entry["tool"]: entry for entry in entries if "isolation" in entry}
    assert done["gh"]["isolation"].endswith("+seccomp")
    assert done["sums"]["isolation"] == f"wasm+{done['gh']['isolation']}"
    assert CANARY not in json.dumps(entries) + str(output)
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds
