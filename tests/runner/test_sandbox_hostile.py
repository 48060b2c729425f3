"""A hostile program is contained at every level, and each attempt says what it met.

Real programs under bubblewrap, under Landlock, and under Landlock as the first kernels had
it, where the filter of system calls stands in for what was missing. As root and, with
another interpreter, as a normal user.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner import sandbox
from runner.contract.errors import ToolFailed
from runner.sandbox import bubblewrap, landlock, program, seccomp
from runner.sandbox.confinement import MEBIBYTE, Confinement
from runner.sandbox.launch import Launch, run_to_end

PYTHON = os.path.realpath(sys.executable)
CANARY = "canary-5e1d"
LEVELS: dict[str, Callable[[list[str], Confinement], Launch]] = {
    "bwrap": bubblewrap.launch,
    "landlock": landlock.launch,
    "landlock of 2021": lambda argv, confinement: landlock.launch(argv, confinement, 1),
}


def why_not(level: str) -> str | None:
    """Why a level cannot work on this host."""
    name = sandbox.Level.BUBBLEWRAP if level == "bwrap" else sandbox.Level.LANDLOCK
    return sandbox.why_not(name)


@dataclass(frozen=True)
class Seen:
    """How a program ended."""

    code: int
    output: str
    error: str
    took_s: float = field(compare=False)

    @property
    def told(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.output)


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    if reason := why_not(request.param):
        pytest.skip(reason)
    return str(request.param)


@dataclass(frozen=True)
class Cell:
    """A sandbox with one folder, in a home that nobody in it may see."""

    level: str
    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "files"

    def run(self, text: str, *words: str, timeout_s: float = 20.0, **more: Any) -> Seen:
        argv = [PYTHON, "-I", "-S", "-c", PRELUDE + text, str(self.home), *words]
        confinement = Confinement(
            readable=program.needed_by(Path(PYTHON), self.home),
            writable=(self.folder,),
            working_folder=self.folder,
            **more,
        )
        return self.start(argv, confinement, timeout_s)

    def start(self, argv: list[str], confinement: Confinement, timeout_s: float = 20.0) -> Seen:
        async def story() -> Seen:
            started = time.monotonic()
            async with asyncio.timeout(timeout_s):
                launch = LEVELS[self.level](argv, confinement)
                code, output, error = await run_to_end(launch, b"", 100_000, 5_000)
            took_s = time.monotonic() - started
            return Seen(code, output.decode(), error.decode(), took_s)

        return asyncio.run(story())


# Runs inside: what an attempt raised, or what it got.
PRELUDE = """
import ctypes, errno, json, os, resource, signal, socket, struct, sys, time
home, words = sys.argv[1], sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)

def met(attempt, *arguments):
    try:
        found = attempt(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return found if isinstance(found, (str, int)) else "done"

def called(number, *arguments):
    found = libc.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if found == -1 else "done"

def tell(value):
    print(json.dumps(value))

def read(path):
    with open(path, "rb") as file:
        return file.read(4096).decode("utf-8", "replace")
"""


@pytest.fixture
def cell(level: str, tmp_path: Path) -> Cell:
    home = tmp_path / "home"
    (home / "files").mkdir(parents=True)
    for name in ("audit.key", "orloj.db", "secret.key"):
        (home / name).write_text(CANARY, encoding="utf-8")
    return Cell(level, home)


DENIED = {"EACCES", "ENOENT", "EPERM"}


def test_it_runs_and_works_in_its_folder(cell: Cell) -> None:
    seen = cell.run('open("kept", "w").write("x"); tell(read("kept"))')
    assert seen.told == "x"
    assert (cell.folder / "kept").read_text() == "x"


def test_no_file_of_the_home_of_people_or_of_the_system_is_read(cell: Cell) -> None:
    paths = [
        f"{cell.home}/orloj.db",
        f"{cell.home}/secret.key",
        f"{cell.home}/audit.key",
        "../secret.key",
        "../audit.key",
        "/etc/shadow",
        "/etc/machine-id",
        os.path.expanduser("~/.ssh/id_ed25519"),
        f"/proc/{os.getpid()}/environ",
        f"/proc/{os.getpid()}/cmdline",
    ]
    text = 'tell([met(read, path) for path in words] + [met(os.listdir, home + "/..")])'
    assert set(cell.run(text, *paths).told[:-1]) <= DENIED
    # In an own view the folders above are there, empty but for the way to the own one.
    assert cell.run(text).told[-1] in DENIED | {"done"}
    assert cell.run('os.symlink("../secret.key", "l"); tell(met(read, "l"))').told in DENIED


def test_a_link_that_another_left_leads_nowhere(cell: Cell) -> None:
    (cell.folder / "link").symlink_to(cell.home / "secret.key")
    os.link(cell.home / "orloj.db", cell.home / "other")
    assert cell.run('tell(met(read, "link"))').told in DENIED
    text = 'tell(met(os.link, home + "/secret.key", "hard"))'
    assert cell.run(text).told in DENIED | {"EXDEV"}


def test_what_is_shown_for_reading_cannot_be_changed(cell: Cell) -> None:
    library = os.path.join(os.path.dirname(PYTHON), "..", "lib")
    text = """
def write(path): open(path, "a").write("x")
tell([met(write, os.path.join(words[0], "new")), met(write, sys.executable), met(write, "/new"),
  met(write, "/usr/new"), met(write, "/etc/passwd"), met(write, "/bin/sh"),
  met(os.rename, home + "/files", home + "/moved"), met(os.mkdir, home + "/more")])
"""
    found = cell.run(text, library).told
    # The last is a folder of the sandbox's own /tmp: done there, and not seen here.
    assert set(found[:-1]) <= DENIED | {"EROFS", "ETXTBSY", "EXDEV", "EBUSY"}, found
    assert sorted(path.name for path in cell.home.iterdir()) == [
        "audit.key",
        "files",
        "orloj.db",
        "secret.key",
    ]


def test_what_is_not_its_own_keeps_its_mode_owner_and_times(cell: Cell) -> None:
    # Landlock itself has no say in these.
    before = (cell.home / "secret.key").stat()
    text = """
key = home + "/secret.key"
tell([met(os.chmod, key, 0o777), met(os.chown, key, os.getuid(), -1), met(os.truncate, key, 0),
  met(os.utime, key, (1, 1)), met(os.setxattr, key, "user.x", b"x")])
"""
    assert set(cell.run(text).told) <= DENIED
    after = (cell.home / "secret.key").stat()
    assert (after.st_mode, after.st_uid, after.st_size, after.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_size,
        before.st_mtime_ns,
    )


def test_a_file_to_read_is_not_emptied_by_opening_it(cell: Cell) -> None:
    shown = cell.home / "shown"
    shown.write_text(CANARY, encoding="utf-8")
    confinement = Confinement(
        readable=(*program.needed_by(Path(PYTHON), cell.home), shown),
        working_folder=Path("/"),
    )
    text = PRELUDE + "tell([read(words[0]), met(os.open, words[0], os.O_TRUNC)])"
    argv = [PYTHON, "-I", "-S", "-c", text, "home", str(shown)]
    kept, emptied = cell.start(argv, confinement).told
    assert kept == CANARY
    assert emptied in DENIED | {"EROFS"}
    assert shown.read_text(encoding="utf-8") == CANARY


MEMORY = """
def peek(pid):
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
pid = int(words[0])
remote = (ctypes.c_char * 8)()
vector = struct.pack("PN", ctypes.addressof(remote), 8)
tell([met(peek, pid), met(peek, os.getppid()), called(101, 16, pid, 0, 0),
  called(101, 0x4206, pid, 0, 0), called(438, 3, 1, 0),
  called(310, pid, vector, 1, vector, 1, 0)])
"""


def test_no_other_process_is_read_or_traced(cell: Cell) -> None:
    found = cell.run(MEMORY, str(os.getpid())).told
    assert set(found) <= DENIED | {"ESRCH"}


def test_no_other_process_is_signalled_or_bounded(cell: Cell) -> None:
    victim = subprocess.Popen([PYTHON, "-I", "-S", "-c", "import time; time.sleep(600)"])
    text = """
pid = int(words[0])
tell([met(os.kill, pid, 9), met(os.kill, pid, 19), met(os.killpg, pid, 9), called(200, pid, 9),
  called(234, pid, pid, 9), called(302, pid, 7, struct.pack("QQ", 3, 3), 0),
  met(os.sched_setaffinity, pid, {0}), met(os.setpriority, 0, pid, 19),
  met(os.setpriority, 2, os.getuid(), 19)])
"""
    try:
        found = cell.run(text, str(victim.pid)).told
        assert set(found[:-1]) <= DENIED | {"ESRCH"}, found
        assert victim.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, victim.pid) == 0
    finally:
        victim.kill()
        victim.wait()


def test_its_launcher_and_this_process_are_out_of_reach(cell: Cell) -> None:
    text = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
parent = os.getppid()
tell([met(os.kill, parent, 9) if parent > 1 else "ESRCH", met(os.kill, int(words[0]), 15)])
"""
    found = cell.run(text, str(os.getpid())).told
    assert set(found) <= DENIED | {"ESRCH"}
    # Process 1 of an own namespace takes no signal from inside.
    assert cell.run('met(os.kill, 1, 9); tell("lives")').told == "lives"


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[list[Any]]:
    """Sockets of the host: by a path, by an abstract name, over TCP and UDP."""
    path = str(tmp_path / "home" / "files" / "door")
    abstract = f"\0orloj-{os.getpid()}"
    made = []
    for family, kind, address in (
        (socket.AF_UNIX, socket.SOCK_STREAM, path),
        (socket.AF_UNIX, socket.SOCK_DGRAM, path + "-datagrams"),
        (socket.AF_UNIX, socket.SOCK_STREAM, abstract),
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
    ):
        door = socket.socket(family, kind)
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen()
        made.append(door)
    yield made
    for door in made:
        door.close()


CONNECT = """
def connect(family, kind, address):
    with socket.socket(family, kind) as way:
        way.settimeout(2)
        way.connect(tuple(address) if isinstance(address, list) else address)
        way.send(b"hello")
tell([met(connect, *door) for door in json.loads(words[0])])
"""


def addresses(doors: list[socket.socket]) -> str:
    # An abstract name comes back as bytes.
    found = []
    for door in doors:
        name = door.getsockname()
        name = name.decode() if isinstance(name, bytes) else name
        found.append((int(door.family), int(door.type), name))
    return json.dumps(found)


def test_no_socket_of_the_host_is_reached(cell: Cell, doors: list[socket.socket]) -> None:
    found = cell.run(CONNECT, addresses(doors)).told
    assert set(found) <= DENIED, found
    for door in doors:
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.recv(1) if door.type == socket.SOCK_DGRAM else door.accept()


def test_with_the_network_tcp_and_udp_go_through_and_nothing_else(
    cell: Cell, doors: list[socket.socket]
) -> None:
    found = cell.run(CONNECT, addresses(doors), network=True).told
    assert set(found[:3]) <= DENIED
    assert found[3:] == ["done", "done"]
    text = """
kinds = [(2, 3, 1), (2, 3, 255), (17, 3, 0x300), (16, 3, 0), (40, 1, 0), (1, 1, 0), (38, 5, 0)]
tell([met(socket.socket, *kind) for kind in kinds])
"""
    assert set(cell.run(text, network=True).told) <= DENIED


@pytest.mark.parametrize("network", [False, True], ids=["closed", "network"])
def test_a_pair_of_sockets_cannot_be_turned_to_somebody_else(cell: Cell, network: bool) -> None:
    path = str(cell.folder / "door")
    door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    door.bind(path)
    text = """
def turn(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.sendto(b"hello", words[0])
tell([met(turn, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)])
"""
    found = cell.run(text, path, network=network).told
    assert found[0] in DENIED
    assert found[1] in {"EISCONN", "EOPNOTSUPP"}
    door.setblocking(False)
    with pytest.raises(BlockingIOError):
        door.recv(1)
    door.close()


BOMB = """
made = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    except OSError as error:
        tell([made, errno.errorcode[error.errno]])
        break
    made += 1
    if made >= 2000:
        tell([made, "none"])
        break
"""


def test_a_fork_bomb_stays_under_its_bound_and_is_swept_away(cell: Cell) -> None:
    made, stopped = cell.run(BOMB, "bomb-4711", processes=20).told
    assert stopped == "EAGAIN"
    # Without an own namespace the kernel counts what else the user runs, and that may end.
    assert made <= (20 if cell.level == "bwrap" else 40)
    assert not named("bomb-4711")


def test_the_bound_on_processes_is_for_each_sandbox(cell: Cell) -> None:
    """One that uses up its own leaves another what it needs."""
    both = """
open(words[0], "w").close()
""" + BOMB.replace("break", 'time.sleep(1) if words[0] == "first" else None; break')
    found: dict[str, Any] = {}

    def bomb(name: str) -> None:
        found[name] = cell.run(both, name, processes=15).told

    first = threading.Thread(target=bomb, args=("first",))
    first.start()
    deadline = time.monotonic() + 10
    while not (cell.folder / "first").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    bomb("second")
    first.join()
    assert {name: stopped for name, (_, stopped) in found.items()} == {
        "first": "EAGAIN",
        "second": "EAGAIN",
    }
    assert all(made >= 5 for made, _ in found.values()), found


def named(word: str) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in line.read_bytes():
                found.append(line.parent.name)
    return found


def test_memory_ends_at_its_bound(cell: Cell) -> None:
    text = """
try:
    bytearray(256 * 2**20)
except MemoryError:
    tell("MemoryError")
"""
    assert cell.run(text, memory_bytes=128 * MEBIBYTE).told == "MemoryError"
    assert cell.run("bytearray(64 * 2**20); tell(1)", memory_bytes=128 * MEBIBYTE).told == 1


def test_a_file_ends_at_its_bound(cell: Cell) -> None:
    text = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def fill():
    with open("big", "wb") as file:
        for _ in range(64): file.write(bytes(2**20))
tell(met(fill))
"""
    assert cell.run(text, file_bytes=8 * MEBIBYTE).told == "EFBIG"
    assert (cell.folder / "big").stat().st_size == 8 * MEBIBYTE


def test_what_is_passing_is_bounded_in_all_and_gone_afterwards(cell: Cell) -> None:
    text = """
def fill(folder):
    for number in range(4000):
        with open(f"{folder}/orloj-{words[0]}-{number}", "wb") as file:
            file.write(bytes(2**16))
tell([met(fill, folder) for folder in ("/tmp", "/dev/shm", "/", "/var/tmp", "/run", "/dev")])
"""
    found = cell.run(text, str(os.getpid())).told
    space = {"ENOSPC"} if cell.level == "bwrap" else set()
    assert set(found[:2]) <= space | (set() if space else DENIED), found
    assert set(found[2:]) <= DENIED | {"EROFS"}
    assert not list(Path("/tmp").glob(f"orloj-{os.getpid()}-*"))


def test_output_without_end_and_a_program_without_end_are_cut(cell: Cell) -> None:
    with pytest.raises(TimeoutError):
        cell.run('while True: os.write(1, b"x" * 65536)', "endless-4711", timeout_s=1.0)
    with pytest.raises(TimeoutError):
        cell.run("signal.pthread_sigmask(0, range(1, 65)); time.sleep(600)", timeout_s=1.0)
    assert not named("endless-4711")


def test_computing_without_end_is_cut_by_the_kernel(cell: Cell) -> None:
    seen = cell.run("while True: pass", cpu_s=1)
    assert seen.code in {128 + 9, 128 + 24}


def test_no_privilege_is_gained_by_a_setuid_program(cell: Cell) -> None:
    text = """
paths = [p for p in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount") if os.path.exists(p)]
def set_mode():
    with open("mine", "wb") as file:
        file.write(b"x"); os.fchmod(file.fileno(), 0o4755)
met(set_mode)
tell([libc.prctl(39, 0, 0, 0, 0), met(os.setuid, 0), os.geteuid(), len(paths)])
"""
    no_new_privileges, became, user, _ = cell.run(text).told
    assert no_new_privileges == 1
    assert became == "EPERM"
    assert user != 0


KERNEL = """
NEW = (0x10000000, 0x20000, 0x20000000, 0x40000000)  # User, mount, pid, network.
def chroot_out():
    os.mkdir("jail"); os.chroot("jail")
found = [called(272, flag) for flag in NEW]
found += [called(56, flag | 17, 0, 0, 0, 0) for flag in NEW]
found += [met(chroot_out), called(308, 0, 0), called(155, b".", b"."), called(161, b"/")]
found += [called(165, b"none", b"/", b"tmpfs", 0, 0), called(166, b"/proc", 2)]
found += [called(428, -100, b"/", 1), called(430, b"tmpfs", 0)]
found += [called(442, -100, b"/", 0, 0, 0)]
found += [called(429, -100, b"/", -100, b"/", 0), called(303, -100, b"/", 0, 0, 0)]
found += [called(304, -100, 0, 0), called(300, 0, 0), called(170, b"x", 1)]
found += [called(135, 0x40000)]
found += [called(321, 0, 0, 0), called(298, 0, 0, -1, -1, 0), called(323, 0)]
found += [called(248, b"user", b"x", b"x", 1, -2), called(250, 0, -3, 0)]
found += [called(249, b"user", b"x", 0, 0), called(175, 0, 0, b""), called(313, -1, b"", 0)]
found += [called(246, 0, 0, 0, 0), called(169, 0, 0, 0), called(103, 3, 0, 0)]
tell(found)
"""
ABSENT = "tell([called(n, 0, 0, 0) for n in (435, 437, 425, 426, 427, 470, 500, 1000)])"


@pytest.mark.skipif(seccomp.machine() != "x86_64", reason="numbers of x86_64")
def test_no_namespace_mount_key_module_or_tracing_is_had(cell: Cell) -> None:
    found = cell.run(KERNEL).told
    assert set(found) == {"EPERM"}, found
    assert set(cell.run(ABSENT).told) == {"ENOSYS"}


@pytest.mark.skipif(seccomp.machine() != "x86_64", reason="a second machine of x86_64")
def test_the_calls_of_another_machine_are_death(cell: Cell) -> None:
    # getpid of x32, and getpid by the gate of 32-bit programs: 20 in eax, int 0x80.
    assert cell.run("called(0x40000000 | 39)").code == 128 + 31
    text = """
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())
"""
    assert cell.run(text).code == 128 + 31


DAEMON = """
if os.fork() == 0:
    os.setsid()
    signal.pthread_sigmask(0, range(1, 65))
    if os.fork() == 0:
        for _ in range(5):
            if os.fork() == 0:
                os.setsid()
                break
        while True:
            time.sleep(0.05)
    os._exit(0)
os.wait()
tell("left")
"""


def test_what_leaves_the_group_and_the_session_does_not_outlive_the_call(cell: Cell) -> None:
    assert cell.run(DAEMON, "daemon-4711").told == "left"
    assert not named("daemon-4711")


def test_what_runs_away_from_its_parents_is_caught(cell: Cell) -> None:
    """Each of a chain starts the next and ends: there is never a parent to wait for."""
    text = """
if os.fork() == 0:
    while True:
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
time.sleep(0.3)
tell("ran")
"""
    assert cell.run(text, "chain-4711").told == "ran"
    assert not named("chain-4711")


def test_no_descriptor_of_ours_is_inherited(cell: Cell) -> None:
    held = os.open(cell.home / "secret.key", os.O_RDONLY)
    os.set_inheritable(held, True)
    text = "tell([fd for fd in range(256) if met(os.fstat, fd) == 'done'])"
    try:
        assert cell.run(text).told == [0, 1, 2]
    finally:
        os.close(held)


def test_the_environment_is_fixed(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORLOJ_CANARY", CANARY)
    seen = cell.run("tell(dict(os.environ))", environment={"NAMED": "x"}).told
    seen.pop("LC_CTYPE", None)
    assert set(seen) - {"TMPDIR"} == {"PATH", "LC_ALL", "PWD", "NAMED"}


def test_a_folder_is_shown_as_it_was_opened_whoever_swaps_it_for_a_link(cell: Cell) -> None:
    shown = cell.folder / "shown"
    shown.mkdir()
    (shown / "inside").write_text("inside", encoding="utf-8")
    held = os.open(shown, os.O_PATH)
    shown.rename(cell.folder / "moved")
    shown.symlink_to(cell.home)
    confinement = Confinement(
        readable=(*program.needed_by(Path(PYTHON), cell.home), shown), held={shown: held}
    )
    text = PRELUDE + "tell(met(read, words[0] + '/secret.key'))"
    argv = [PYTHON, "-I", "-S", "-c", text, "home", str(shown)]
    assert cell.start(argv, confinement).told in DENIED
    os.close(held)


def test_a_path_that_is_not_there_is_a_sentence_and_nothing_runs(cell: Cell) -> None:
    confinement = Confinement(readable=(Path("/nonexistent/x"),))
    with pytest.raises(ToolFailed, match="/nonexistent/x"):
        cell.start(["/bin/sh", "-c", "echo ran"], confinement)
