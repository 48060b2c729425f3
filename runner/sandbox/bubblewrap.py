"""The level with namespaces: bubblewrap shows a program its own files, processes and network.

The root is an empty tmpfs: programs and libraries of the host read-only, a few files of
/etc, an own /proc, a minimal /dev, /tmp and /dev/shm of bounded size, and the paths that the
call names. Process 1 of the sandbox ends with the program, and the kernel kills what is left
with it, in whatever group or session.
"""

import os
from pathlib import Path
from typing import Final

from runner.contract.errors import ToolFailed
from runner.sandbox import seccomp
from runner.sandbox.bare import SETPRIV, bounded
from runner.sandbox.confinement import MEBIBYTE, SYSTEM, Confinement, system_paths
from runner.sandbox.identity import other_user, program_at
from runner.sandbox.launch import Launch, supervised

BWRAP: Final = "/usr/bin/bwrap"
TMP_BYTES: Final = 64 * MEBIBYTE
SHARED_BYTES: Final = 16 * MEBIBYTE

_FILE_VIEW: Final = (
    *("--proc", "/proc", "--dev", "/dev"),
    *("--size", str(SHARED_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),  # noqa: S108
    *("--perms", "1777", "--size", str(TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108
)
# With these capabilities root's bubblewrap becomes somebody else; one is left afterwards.
_TO_SWITCH: Final = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")
_KEPT: Final = "dac_override"


def launch(argv: list[str], confinement: Confinement, program: str = BWRAP) -> Launch:
    """The way into the sandbox; ToolFailed where it cannot be made."""
    bwrap = program_at(program, "bubblewrap")
    machine = seccomp.machine()
    if machine is None:
        raise ToolFailed("there is no filter of system calls for this machine yet")
    other = other_user()
    filter_ = seccomp.program(machine, network=confinement.network, namespaces=True)
    said, told = os.pipe()
    filtering, users, groups = (_memory(data) for data in (filter_, *_accounts(other)))
    held = {path: os.dup(descriptor) for path, descriptor in confinement.held.items()}
    words = [
        bwrap,
        *_namespaces(confinement.network, own_user=other is None),
        *("--json-status-fd", str(told), "--seccomp", str(filtering)),
        *_system(confinement.network),
        *("--ro-bind-data", str(users), "/etc/passwd"),
        *("--ro-bind-data", str(groups), "/etc/group"),
        *_FILE_VIEW,
        *_named(confinement, held),
        *("--remount-ro", "/", "--chdir", str(confinement.working_folder), "--"),
        *_switched(other),
        # Process 1 of the sandbox counts too, unless it is another user.
        *bounded(argv, confinement, confinement.processes + (1 if other is None else 0)),
    ]
    return supervised(
        words,
        confinement.variables(),
        status=(said, told),
        given=(told, filtering, users, groups, *held.values()),
        own_users=other is not None,
        troubled=_troubled,
    )


def _namespaces(network: bool, *, own_user: bool) -> list[str]:
    words = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--unshare-user"] if own_user else []
    words += [] if network else ["--unshare-net"]
    words += ["--hostname", "tool", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if not own_user:
        words += [word for name in _TO_SWITCH for word in ("--cap-add", name)]
    return words


def _switched(other: int | None) -> list[str]:
    if other is None:
        return []
    return [
        *(program_at(SETPRIV, "util-linux"), f"--reuid={other}", f"--regid={other}"),
        *("--clear-groups", "--no-new-privs", f"--inh-caps=-all,+{_KEPT}"),
        *(f"--ambient-caps=-all,+{_KEPT}", f"--bounding-set=-all,+{_KEPT}"),
    ]


def _system(network: bool) -> list[str]:
    words = []
    for path in system_paths(network):
        if path in SYSTEM and path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        else:
            words += ["--ro-bind", str(path), str(path)]
    return words


def _named(confinement: Confinement, held: dict[Path, int]) -> list[str]:
    """The call's own paths, outer ones first, so that an inner one is not covered."""
    modes = dict.fromkeys(confinement.readable, "--ro-bind")
    modes |= dict.fromkeys(confinement.writable, "--bind")
    words = []
    for path in sorted(modes, key=lambda path: path.parts):
        if path in held:
            words += [f"{modes[path]}-fd", str(held[path]), str(path)]
        else:
            words += [modes[path], str(path), str(path)]
    return words


def _accounts(other: int | None) -> tuple[bytes, bytes]:
    """The users and groups of the sandbox: root and the program's own."""
    user, group = (os.getuid(), os.getgid()) if other is None else (other, other)
    users = "root:x:0:0::/:/usr/sbin/nologin\n"
    groups = "root:x:0:\n"
    if user != 0:
        users += f"tool:x:{user}:{group}::/tmp:/usr/sbin/nologin\n"
    if group != 0:
        groups += f"tool:x:{group}:\n"
    return users.encode(), groups.encode()


def _memory(data: bytes) -> int:
    descriptor = os.memfd_create("sandbox")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _troubled(said: str) -> str:
    # It tells the code of the program only when there was one.
    if "exit-code" in said:
        return ""
    lines = [line for line in said.splitlines() if not line.startswith("{")]
    return "; ".join(["the sandbox could not be made", *lines])
