"""A program runs with what the call gives it and nothing else, and does not outlive it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.tools import Bounds, Call

PYTHON = sys.executable
CANARY = "canary-9f2c"


def call(
    folder: Path,
    command: list[str],
    arguments: dict[str, Any] | None = None,
    *,
    allowed: tuple[str, ...] = (PYTHON,),
    timeout: str = "20s",
    secret: str | None = None,
    isolation: str = "sandboxed",
    output_bytes_max: int = 262_144,
) -> str:
    tool = Tool.model_validate(
        {
            "type": "command",
            "command": command,
            "runtime": {"timeout": timeout, "isolation": isolation},
        }
    )
    bounds = Bounds(folder / "files", allowed, output_bytes_max)
    return asyncio.run(tools.call(tool, arguments or {}, Call("t:1", secret, bounds))).text


def code(text: str, *more: str) -> list[str]:
    return [PYTHON, "-I", "-c", text, *more]


def named(word: str) -> list[int]:
    """The processes of this host that have a word in their command line and have not ended.

    Looked for by a word, since a program in a sandbox does not know its number out here.
    """
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in line.read_bytes() and int(line.parent.name) != os.getpid():
                found.append(int(line.parent.name))
    return found


def until(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, "not true after 10 s"
        time.sleep(0.005)


@pytest.mark.parametrize(
    "command",
    [["/bin/sh", "-c", "true"], ["python3"], [PYTHON + "x"], ["{program}"]],
    ids=["another", "by its bare name", "a longer name", "out of the arguments"],
)
def test_a_program_that_is_not_named_in_the_settings_is_not_started(
    tmp_path: Path, command: list[str]
) -> None:
    with pytest.raises(ToolFailed, match=r"may not be started on this host.*tools\.commands"):
        call(tmp_path, command, {"program": "/bin/sh"})


def test_a_named_program_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="cannot be started: No such file"):
        call(tmp_path, ["/nonexistent"], allowed=("/nonexistent",))


ECHO = "import sys, json; print(json.dumps(sys.argv[1:]))"


@pytest.mark.parametrize(
    "value",
    ["; touch x", "$(touch x)", "`touch x`", "a b", "*", "\n", "\u202e", "é"],
    ids=["semicolon", "dollar", "backtick", "space", "star", "line end", "override", "accent"],
)
def test_an_argument_is_one_word_and_no_shell_reads_it(tmp_path: Path, value: str) -> None:
    assert json.loads(call(tmp_path, code(ECHO, "{x}"), {"x": value})) == [value]
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize("value", ["-rf", "--output=/etc", "-"], ids=["short", "long", "alone"])
def test_an_argument_is_never_taken_for_an_option(tmp_path: Path, value: str) -> None:
    with pytest.raises(ToolFailed, match="may not begin with a dash"):
        call(tmp_path, code(ECHO, "{x}"), {"x": value})
    assert json.loads(call(tmp_path, code(ECHO, "--", "{x}"), {"x": value})) == ["--", value]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({}, "x is missing"), ({"x": "a\x00b"}, "zero byte")]
    + [({"x": value}, "neither a text nor a number") for value in ({"a": 1}, [1], None)],
    ids=["missing", "zero byte", "object", "list", "null"],
)
def test_an_argument_that_cannot_be_passed_is_an_answer(
    tmp_path: Path, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        call(tmp_path, code(ECHO, "{x}"), arguments)


def test_only_a_whole_item_is_replaced(tmp_path: Path) -> None:
    answer = call(tmp_path, code(ECHO, "--file={x}", "{x}{x}", "{x}"), {"x": "1"})
    assert json.loads(answer) == ["--file={x}", "{x}{x}", "1"]


def test_the_environment_is_built_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORLOJ_TEST_CANARY", CANARY)
    text = "import os, json; print(json.dumps(dict(os.environ)))"
    seen = json.loads(call(tmp_path, code(text), secret="the secret"))
    seen.pop("LC_CTYPE", None)  # Which the interpreter sets itself.
    assert seen == {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "PWD": str(tmp_path / "files"),
        "IDEMPOTENCY_KEY": "t:1",
        "TOOL_SECRET": "the secret",
    }


def test_without_a_value_for_its_secret_a_program_is_not_started(tmp_path: Path) -> None:
    tool = Tool.model_validate(
        {"type": "command", "command": code("pass"), "auth": {"secretRef": "other/s"}}
    )
    bounds = Bounds(tmp_path / "files", (PYTHON,), 1_024)
    with pytest.raises(ToolFailed, match=r"secret has no value here.*allowedNamespaces"):
        asyncio.run(tools.call(tool, {}, Call("t:1", None, bounds)))
    assert not (tmp_path / "files").exists()


def test_no_open_file_is_handed_down(tmp_path: Path) -> None:
    (tmp_path / "open").write_text(CANARY, encoding="utf-8")
    with (tmp_path / "open").open("rb") as file:
        os.set_inheritable(file.fileno(), True)
        text = "import os; print(len(os.listdir('/proc/self/fd')))"
        assert int(call(tmp_path, code(text))) == 4  # Three streams, and the listing itself.


def test_arguments_arrive_as_json_and_more_than_a_pipe_holds_meets_no_deadlock(
    tmp_path: Path,
) -> None:
    # The program fills its output before it reads its input.
    text = "import sys, json; print('x' * 300_000); print(len(json.load(sys.stdin)['x']))"
    answer = call(tmp_path, code(text), {"x": "y" * 300_000}, output_bytes_max=1_000_000)
    assert answer == "x" * 300_000 + "\n300000\n"


def test_a_program_that_reads_nothing_may_succeed(tmp_path: Path) -> None:
    assert call(tmp_path, code("print('ok')"), {"x": "y" * 1_000_000}) == "ok\n"


def test_output_is_kept_up_to_the_bound_and_the_rest_is_let_go(tmp_path: Path) -> None:
    answer = call(tmp_path, code("print('x' * 5_000_000)"), output_bytes_max=1_024)
    assert answer == "x" * 1_024 + "\n[cut after 1024 bytes]"


def test_a_code_that_is_not_zero_fails_with_what_was_said(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="ended with code 3: " + "e" * 300 + "$"):
        call(tmp_path, code("import sys; sys.stderr.write('e' * 9000); sys.exit(3)"))


def test_death_by_a_signal_fails(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="ended with code 137"):
        call(tmp_path, code("import os; os.kill(os.getpid(), 9)"))


FAMILY = """
import subprocess, sys, os, time
word, lasts, *session = sys.argv[1:]
code = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-I", "-c", code, word], start_new_session=bool(session))
open("begun", "w").close()
time.sleep(float(lasts))
"""


@pytest.fixture
def word(tmp_path: Path) -> Iterator[str]:
    """In the command line of a program and its child; nothing is left of them afterwards."""
    made = f"family-of-{tmp_path.name}-{os.getpid()}"
    yield made
    assert named(made) == []


def test_out_of_time_the_whole_group_is_killed(tmp_path: Path, word: str) -> None:
    with pytest.raises(ToolFailed, match=r"no answer within runtime\.timeout \(1s\)") as failed:
        call(tmp_path, code(FAMILY, word, "600"), timeout="1s")
    assert failed.value.retryable
    assert (tmp_path / "files" / "begun").exists()


@pytest.mark.parametrize("session", [[], ["own"]], ids=["in the group", "out of it"])
def test_a_child_that_is_left_behind_ends_with_the_program(
    tmp_path: Path, word: str, session: list[str]
) -> None:
    # It holds the output open; without a sandbox the call would last until its time is out.
    open_before = len(os.listdir("/proc/self/fd"))
    assert call(tmp_path, code(FAMILY, word, "0", *session)) == ""
    assert len(os.listdir("/proc/self/fd")) == open_before


RUNAWAY = """
import subprocess, sys
code = "import time; time.sleep(3)"
subprocess.Popen([sys.executable, "-I", "-c", code], start_new_session=True)
"""


def test_without_a_sandbox_a_child_that_left_the_group_holds_no_pipe_of_ours(
    tmp_path: Path,
) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ToolFailed, match="no answer"):
        call(tmp_path, code(RUNAWAY), timeout="500ms", isolation="none")
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_without_a_sandbox_a_group_ends_with_the_call(tmp_path: Path, word: str) -> None:
    with pytest.raises(ToolFailed, match="no answer"):
        call(tmp_path, code(FAMILY, word, "0"), timeout="1s", isolation="none")
    until(lambda: not named(word))


def test_a_call_that_is_given_up_kills_its_program(tmp_path: Path, word: str) -> None:
    tool = Tool.model_validate({"type": "command", "command": code(FAMILY, word, "600")})
    bounds = Bounds(tmp_path / "files", (PYTHON,), 1_024)

    async def give_up() -> None:
        running = asyncio.create_task(tools.call(tool, {}, Call("t:1", None, bounds)))
        while not (tmp_path / "files" / "begun").exists():
            await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(give_up())


@pytest.mark.parametrize(
    ("value", "passed"),
    [(True, "true"), (7, "7"), (1.5, "1.5"), ("\ud800\udc80", "??")],
    ids=["truth", "number", "part", "halves of pairs"],
)
def test_an_argument_is_passed_as_the_log_writes_it(
    tmp_path: Path, value: object, passed: str
) -> None:
    assert json.loads(call(tmp_path, code(ECHO, "{x}"), {"x": value})) == [passed]


LIMITS = """
import ctypes, json, resource
names = ("CORE", "NOFILE", "FSIZE", "AS")
print(json.dumps([resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names]))
print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))
"""


def test_a_program_has_bounds_that_it_cannot_raise(tmp_path: Path) -> None:
    limits, privileges = call(tmp_path, code(LIMITS)).splitlines()
    assert json.loads(limits) == [[0, 0], [256, 256], [2**28] * 2, [2**29] * 2]
    assert privileges == "1"


def test_a_program_that_crashes_leaves_nothing_of_its_memory(tmp_path: Path) -> None:
    text = "import os; os.abort()"
    with pytest.raises(ToolFailed, match="ended with code 134"):
        call(tmp_path, code(text), secret=CANARY)
    assert list((tmp_path / "files").iterdir()) == []


def test_a_file_that_grows_without_end_is_stopped(tmp_path: Path) -> None:
    text = "f = open('big', 'wb'); f.truncate(2**28); f.seek(2**28); f.write(b'x'); f.flush()"
    with pytest.raises(ToolFailed, match="ended with code"):
        call(tmp_path, code(text))
    assert (tmp_path / "files" / "big").stat().st_size == 2**28


STARTER = """
import asyncio, sys
from pathlib import Path
from runner import tools
from runner.contract.kinds import Tool
command = [sys.executable, "-I", "-c", *sys.argv[2:]]
tool = Tool.model_validate({"type": "command", "command": command})
bounds = tools.Bounds(Path(sys.argv[1]), (sys.executable,), 1_024)
asyncio.run(tools.call(tool, {}, tools.Call("t:1", None, bounds)))
"""


def test_a_program_dies_with_a_worker_that_is_killed(tmp_path: Path, word: str) -> None:
    # Else it would go on beside the second call of a task that another worker takes over.
    worker = subprocess.Popen(
        [PYTHON, "-c", STARTER, str(tmp_path), FAMILY, word, "600", "own session"]
    )
    until((tmp_path / "begun").exists)
    worker.kill()
    worker.wait()
    until(lambda: not named(word))
