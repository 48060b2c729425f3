"""What a long-running process of ours needs from the host: one instance, and systemd.

`only_one` holds a lock file for as long as the process lives; the kernel lets go of it
when the process dies, however it dies. `notify` is sd_notify(3): a datagram to the socket
that systemd names in `NOTIFY_SOCKET`, and nothing when it names none.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import time
from pathlib import Path
from typing import IO, Final

from runner.contract import errors, settings

_TRIES: Final = 5
_TRY_AGAIN_S: Final = 0.02


def only_one(folder: Path, role: str) -> IO[str]:
    """Hold the role in this home until the process ends; AlreadyRunning names the holder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / f"{role}.lock").open("a+", encoding="ascii")
    if not _taken(file):
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise errors.AlreadyRunning(
            f"the {role} of this home is already running as process {holder}; "
            "stop it first, or use another --home"
        )
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _taken(file: IO[str]) -> bool:
    # Somebody who asks `is_running` holds the lock for a moment: that is not a holder.
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_AGAIN_S)
        else:
            return True
    return False


def is_running(folder: Path, role: str) -> bool:
    """Whether some process holds the role now."""
    try:
        with (folder / f"{role}.lock").open("r", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def host_id(home: Path) -> str:
    """Which host a home is on, for a database that many share: its name and a random part.

    Names of hosts repeat, in containers most of all. The random part is made once and kept
    in the home; a copy of a home needs another one, so delete the file `host.id` of a copy.
    """
    file = home / "host.id"
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = file.with_name(f"host.id.{os.getpid()}")
        made.write_text(secrets.token_hex(4) + "\n", encoding="ascii")
        try:
            os.link(made, file)  # Whole or not at all, and only the first of several.
        finally:
            made.unlink()
    return f"{os.uname().nodename}-{file.read_text(encoding='ascii').strip()}"


def notify(state: str) -> bool:
    """Tell systemd `READY=1`, `WATCHDOG=1`, `RELOADING=1` or `STOPPING=1`; whether it asked."""
    address = settings.variable("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\x00" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """Half of the time within which systemd wants a `WATCHDOG=1`; None: it wants none."""
    microseconds = settings.variable("WATCHDOG_USEC")
    return int(microseconds) / 2_000_000 if microseconds else None
