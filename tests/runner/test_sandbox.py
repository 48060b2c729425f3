"""A level is used only where it works, for every user, and what it is made of is right."""

import asyncio
import ctypes
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from runner import functions, sandbox
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.functions.table import FUNCTIONS
from runner.sandbox import bubblewrap, program, seccomp, syscalls
from runner.sandbox.confinement import Confinement, Level
from runner.tools import python

TABLES = (
    syscalls.NAMESPACES,
    syscalls.OTHER_PROCESSES,
    syscalls.KERNEL,
    syscalls.UNJUDGED,
    syscalls.BY_PATH,
    syscalls.OTHER_MEMORY,
    syscalls.OF_OWN_PROCESS,
    syscalls.SIGNALS,
    syscalls.JUDGED,
)
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])
def test_the_numbers_of_system_calls_are_those_of_libseccomp(machine: str, column: int) -> None:
    found = ctypes.util.find_library("seccomp")
    if found is None:
        pytest.skip("libseccomp is not installed")
    resolve = ctypes.CDLL(found).seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    compared = 0
    for name, numbers in (item for table in TABLES for item in table.items()):
        number = resolve(AUDIT[machine], name.encode())
        # Negative: no such call on this machine, or one newer than the library.
        if number >= 0:
            assert numbers[column] == number, name
            compared += 1
    assert compared > 80


@pytest.mark.parametrize("machine", AUDIT)
@pytest.mark.parametrize("network", [False, True])
def test_a_filter_is_one_that_the_kernel_can_take(machine: str, network: bool) -> None:
    """Jumps lead forward to an instruction of the program, and its end is a verdict."""
    made = seccomp.program(
        machine, network=network, namespaces=False, scoped=False, truncation=False
    )
    count = len(made) // 8
    assert len(made) == 8 * count
    assert count <= 4096
    for at in range(count):
        code, yes, no = (
            int.from_bytes(made[8 * at : 8 * at + 2], "little"),
            *made[8 * at + 2 :][:2],
        )
        if code & 7 == 5:
            assert at + 1 + max(yes, no) < count
    assert made[-8] == 6


def test_a_level_that_is_missing_says_what_is_missing() -> None:
    with pytest.raises(
        ToolFailed, match=r"/nonexistent/bwrap is missing \(`apt install bubble"
    ):
        bubblewrap.launch(["/bin/true"], Confinement(), "/nonexistent/bwrap")


def run(argv: list[str], level: Level | None, **more: object) -> sandbox.Finished:
    return asyncio.run(
        sandbox.run(
            argv,
            b"",
            Confinement(),
            output_bytes_max=10_000,
            error_bytes_max=1_000,
            level=level,
            **more,  # type: ignore[arg-type]
        )
    )


def test_the_level_that_was_used_is_told_with_the_answer() -> None:
    found = sandbox.available().level
    assert run(["/bin/echo", "x"], None).level is found
    assert run(["/bin/echo", "x"], None, isolation="none").level is Level.NONE
    assert run(["/bin/echo", "x"], Level.LANDLOCK).level is Level.LANDLOCK


@pytest.mark.parametrize("mode", ["container", "wasm"])
@pytest.mark.parametrize(
    "tool",
    [
        {"type": "command", "command": ["/bin/true"]},
        {"type": "python", "function": "read_file"},
        {"type": "sql"},
    ],
    ids=["command", "python", "sql"],
)
def test_an_isolation_that_a_type_cannot_have_is_refused_while_loading(
    tool: dict[str, object], mode: str
) -> None:
    with pytest.raises(ValidationError, match=f"isolation_mode {mode} is not for"):
        Tool.model_validate({**tool, "runtime": {"isolation_mode": mode}})


def test_every_function_says_what_it_must_see() -> None:
    assert set(FUNCTIONS) == set(python.NEEDS)


def test_a_program_in_a_home_is_shown_alone_and_never_with_its_neighbours(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for folder in (home, home / "bin"):
        (folder / "tool").write_text("#!/bin/sh\n", encoding="utf-8")
    assert program.needed_by(home / "tool", home) == (home / "tool",)
    assert program.needed_by(home / "bin" / "tool", home) == (home / "bin",)
    assert program.needed_by(Path("/bin/sh"), home) == ()
    above = tmp_path / "tool"
    above.write_text("#!/bin/sh\n", encoding="utf-8")
    assert program.needed_by(above, home) == (above,)


FORBIDDEN = """
import ctypes, os, struct, sys
from runner import sandbox
from runner.sandbox import seccomp
libc = ctypes.CDLL(None, use_errno=True)
made = seccomp.program(seccomp.machine(), network=True, namespaces=True)
kept = ctypes.create_string_buffer(made, len(made))
header = struct.pack("@HP", len(made) // 8, ctypes.addressof(kept))
libc.prctl(65, ctypes.c_ulong(1), 0, 0, 0)
assert libc.prctl(38, ctypes.c_ulong(1), 0, 0, 0) == 0
assert libc.prctl(22, ctypes.c_ulong(2), header, 0, 0) == 0
found = sandbox.available()
print(found.level)
print(found.missing[0])
"""


def test_where_namespaces_are_forbidden_the_next_level_is_used() -> None:
    """As under our unit for systemd, which also forbids memory that is written and run."""
    if reason := sandbox.why_not(Level.LANDLOCK):
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    level, missing = done.stdout.splitlines()
    assert level == Level.LANDLOCK
    assert missing.startswith("bwrap+seccomp: ")


OTHER_USER = """
import asyncio, json, os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from runner import sandbox
from runner.sandbox import Confinement, Level

SEEN = 'id -u; cat /etc/shadow 2>&1; echo x > kept; sleep 99 &'

async def main():
    found = {}
    for level in (Level.BUBBLEWRAP, Level.LANDLOCK):
        if reason := sandbox.why_not(level):
            found[level] = reason
            continue
        folder = Path(sys.argv[2], level.name)
        folder.mkdir()
        confinement = Confinement(
            writable=(folder,), working_folder=folder, processes=8
        )
        bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 99 & done; echo made"
        limits = dict(output_bytes_max=9999, error_bytes_max=9999, level=level)
        done = await sandbox.run(["/bin/sh", "-c", SEEN], b"", confinement, **limits)
        bombed = await sandbox.run(["/bin/sh", "-c", bomb], b"", confinement, **limits)
        found[level] = [done.output.decode(), (folder / "kept").read_text(), bombed.code]
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user reaches, with our code and a place to write."""
    folder = Path(tempfile.mkdtemp(prefix="orloj-shared-"))
    folder.chmod(0o755)
    package = Path(functions.__file__).parents[1]
    for name in ("__init__.py", "contract/__init__.py", "contract/errors.py"):
        (folder / "runner" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package / name, folder / "runner" / name)
    shutil.copytree(package / "sandbox", folder / "runner" / "sandbox")
    (folder / "work").mkdir()
    (folder / "work").chmod(0o777)
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="needs /usr/bin/python3")
def test_a_normal_user_gets_the_same_levels(shared: Path) -> None:
    other = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--no-new-privs"]
    done = subprocess.run(
        [*other, "/usr/bin/python3", "-B", "-c", OTHER_USER, str(shared), str(shared / "work")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for level in (Level.BUBBLEWRAP, Level.LANDLOCK):
        if isinstance(found[level], str):
            pytest.skip(found[level])
        output, kept, bombed = found[level]
        assert output.startswith("54321\n")
        assert "cat: /etc/shadow" in output
        assert kept == "x\n"
        assert bombed != 0, "more processes than the bound"
