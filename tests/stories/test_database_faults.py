"""Whatever happens to the database, tasks wait and go on, and each is done once.

Full disks, files that cannot be written and locks that are held for longer than a lease are
real, under a real runner in the middle of its work. Nothing is called while the decision on
it cannot be written.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer, Received

from runner.contract import audit_check
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

LEASE_S = 2.0
LOCKED_S = 6.0
SEND = {"send": "mail"}
TASKS = 8


class Post:
    """A tool's server: the first letter of every task waits at the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        while not self.gate.wait(0.01):
            if self.server.closing.is_set():
                return Answer(503)
        return Answer(200, b"x" * 200_000)  # More than fits where there is room by chance.

    @property
    def letters(self) -> Counter[str]:
        """How often each call arrived, by its idempotency key."""
        return Counter(one.headers["Idempotency-Key"] for one in self.server.received)


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    with made.server.running():
        yield made


def clerk(home: Home, post: Post) -> Key:
    """An agent that sends two letters in turn, neither of which may be repeated."""
    call = {"calls": [{"tool": "send"}]}
    script = {"clerk": [call, call, {"reply": "sent"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    home.record("Tool", "send", {"endpoint": post.server.url, "requires": [SEND]})
    grant = [{"name": "send", "permissions": [SEND]}]
    return home.record("Agent", "clerk", {"model": "m", "tools": grant})


class Log:
    """What the runner said, which is kept where no fault reaches it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, action: str) -> list[dict[str, Any]]:
        """The lines about this."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, lines) if line["action"] == action]


@contextmanager
def runner(home: Home, log: Log, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A runner whose log is not in its home."""
    environment = {
        "PATH": os.environ["PATH"],
        **{f"ORLOJ_RUNNER_{name.upper()}": str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "runner", str(home.folder)]
    with (
        log.path.open("ab") as out,
        subprocess.Popen(command, env=environment, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def passed(home: Home, seconds: float) -> None:
    """Return when so much time is over."""
    until = time.monotonic() + seconds
    home.until(lambda: time.monotonic() > until, seconds + 10)


Fault = Callable[[Home], AbstractContextManager[None]]


@contextmanager
def full_disk(home: Home) -> Iterator[None]:
    """Not a byte more fits on the home's file system."""
    filler = home.folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def unwritable(home: Home) -> Iterator[None]:
    """Nobody can write the database's files or make new ones, root and open files included.

    But for the file that SQLite maps into memory: the kernel ends whoever writes to that.
    """
    names = ("orloj.db", "orloj.db-wal", "orloj.lock", ".")
    paths = [str(home.folder / name) for name in names]
    if subprocess.run(["chattr", "+i", *paths], capture_output=True).returncode:
        subprocess.run(["chattr", "-i", *paths], capture_output=True)
        pytest.skip("chattr +i needs root, and a file system that knows it")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *paths], check=True)


HOLD = """
import fcntl, sqlite3, sys
if sys.argv[2] == "begin":
    held = sqlite3.connect(sys.argv[1] + "/orloj.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
else:
    held = open(sys.argv[1] + "/orloj.lock", "a")
    fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _held(home: Home, how: str) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, str(home.folder), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


def locked(home: Home) -> AbstractContextManager[None]:
    """Another process is in the middle of a write transaction."""
    return _held(home, "begin")


def flocked(home: Home) -> AbstractContextManager[None]:
    """Another process holds the lock that writers wait on."""
    return _held(home, "flock")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, of 64 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def outlives(home: Home, post: Post, log: Log, fault: Fault, lasts_s: float) -> None:
    """The story of a fault in the middle of the work."""
    agent = clerk(home, post)
    with runner(home, log, workers=2, lease_s=LEASE_S):
        tasks = home.submit(agent, TASKS)
        home.until(lambda: len(post.letters) == TASKS)
        before = len(log.lines("database_waiting"))  # The disk may be slow without us.
        with fault(home):
            post.gate.set()
            home.until(lambda: len(log.lines("database_waiting")) > before)
            passed(home, lasts_s)
            assert len(post.letters) == TASKS, "a call was made that is not written down"
            assert len(log.lines("database_waiting")) == before + 1, "it was said twice"
        home.wait(tasks, {"succeeded"}, timeout_s=60)
        home.until(lambda: len(log.lines("database_back")) > before)
    assert len(post.letters) == 2 * TASKS
    assert set(post.letters.values()) == {1}, "a letter was sent twice"
    assert home.rows("SELECT DISTINCT fence, crashes FROM task") == [(1, 0)]
    assert len(log.lines("database_waiting")) == len(log.lines("database_back"))
    assert log.lines("worker_killed") == []
    assert len(log.lines("worker_started")) == 2
    assert log.lines("database_back")[before]["after_s"] >= lasts_s
    with home.database.read() as connection:
        assert audit_check.verify(connection).holds


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "runner.log")


def test_tasks_outlive_a_full_disk(small: Path, post: Post, log: Log) -> None:
    home = Home(small / "home")
    outlives(home, post, log, full_disk, LEASE_S * 1.5)
    home.close()


@pytest.mark.parametrize(
    ("fault", "lasts_s"),
    [(unwritable, LEASE_S * 1.5), (locked, LOCKED_S), (flocked, LOCKED_S)],
    ids=["cannot be written", "locked in a transaction", "locked out"],
)
def test_tasks_outlive_a_database_that(
    tmp_path: Path, post: Post, log: Log, fault: Fault, lasts_s: float
) -> None:
    home = Home(tmp_path / "home")
    outlives(home, post, log, fault, lasts_s)
    home.close()


def test_a_runner_stops_in_time_while_its_database_is_away(
    tmp_path: Path, post: Post, log: Log
) -> None:
    home = Home(tmp_path / "home")
    agent = clerk(home, post)
    with runner(home, log, workers=1, lease_s=LEASE_S, drain_s=1) as process:
        tasks = home.submit(agent, 2)
        home.until(lambda: len(post.letters) == 2)
        with flocked(home):
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(timeout=30) == 0
            assert time.monotonic() - began < 10
    assert log.lines("pool_stopped")[0]["left"] == 2
    with runner(home, log, workers=1, lease_s=LEASE_S):
        home.wait(tasks, {"unknown_outcome"})
    home.close()
