"""Tell another process that there is something to look at: one datagram, no content.

The receiver binds a Unix socket in the home's `run` folder and treats a datagram as "look
again"; a lost one costs a poll, never work.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

RUNNER: Final = "runner.sock"
DAEMON: Final = "daemon.sock"
NOTIFIER: Final = "notifier.sock"


def listen(folder: Path, name: str) -> socket.socket:
    """A non-blocking socket that becomes readable when somebody calls `knock`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    with _short(folder) as near:
        receiver.bind(f"{near}/{name}")
    return receiver


def knock(folder: Path, name: str) -> bool:
    """Wake whoever listens; whether somebody did."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            with _short(folder) as near:
                sender.sendto(b"\x00", f"{near}/{name}")
        except BlockingIOError:
            return True  # The receiver has not read an earlier knock: it will look.
        except OSError:
            return False
    return True


def drain(receiver: socket.socket) -> None:
    """Forget all knocks received so far."""
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(16)


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name for a folder that fits: an address of a socket has 107 bytes, a path 4095."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
