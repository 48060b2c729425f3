"""The filter of system calls that every sandbox gets, as a program for the kernel. Pure.

    other machine ─kill─  x32 or a call newer than this list ─"no such call"─
    a named call ─refused, or judged by its arguments─  anything else ─allowed─

It stands beside the file view and the namespaces, or beside Landlock, and closes what those
have no say in. Without namespaces it closes more: whatever reaches other processes and files
of the same user by number or by path. It reads no memory, so a call whose meaning stands
behind a pointer is said not to be there. Source: seccomp(2), linux/filter.h.
"""

import errno
import platform
import struct
from typing import Final

from runner.sandbox import syscalls

_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN: Final = {"x86_64": 0, "aarch64": 1}
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45
_ALLOW: Final = 0x7FFF_0000
_KILL: Final = 0x8000_0000
_REFUSE: Final = 0x0005_0000 | errno.EPERM
_ABSENT: Final = 0x0005_0000 | errno.ENOSYS
_X32: Final = 0x4000_0000
_NUMBER, _MACHINE = 0, 4

_NEW_NAMESPACES: Final = 0x7E02_0000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET.
_UNIX, _INET, _INET6 = 1, 2, 10
_STREAM, _DATAGRAM, _PACKETS = 1, 2, 5
_TYPE_MASK: Final = 0xF
_PUSH_INPUT, _SET_SELECTION = 0x5412, 0x541C
_SET_OWNER: Final = (8, 15)  # F_SETOWN and F_SETOWN_EX: whom to send SIGIO.
_SET_OWNER_IOCTL: Final = (0x8901, 0x8902)
_ACCESS_MODE, _TRUNCATE = 0o3, 0o1000

OWN_PROCESS: Final = 0x7FFF_FFFE
"""Stands in the program where the launcher writes the id of the process it restricts."""

Instruction = tuple[int, int, int, int]
Rule = list[Instruction]


def machine() -> str | None:
    """The machine's name when there is a filter for it."""
    name = platform.machine()
    return name if name in _AUDIT else None


def program(
    machine: str,
    *,
    network: bool,
    namespaces: bool,
    scoped: bool = True,
    truncation: bool = True,
) -> bytes:
    """The filter.

    `namespaces`: the program has its own. `scoped`, `truncation`: whether Landlock keeps
    signals and O_TRUNC in bounds, which it learned in its versions 6 and 3.
    """
    rules = _everywhere(network)
    if not namespaces:
        rules |= _without_namespaces()
        if not scoped:
            rules |= _unscoped()
            rules["ioctl"] = _unless(1, (_PUSH_INPUT, _SET_SELECTION, *_SET_OWNER_IOCTL))
        if not truncation:
            rules |= {"open": _no_truncation(1), "openat": _no_truncation(2)}
    found: Rule = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        (_AT_LEAST, 0, 1, syscalls.KNOWN_MAX + 1),
        (_RETURN, 0, 0, _ABSENT),
    ]
    for name, rule in rules.items():
        number = _ALL[name][_COLUMN[machine]]
        if number is not None:
            found += [(_EQUAL, 0, len(rule), number), *rule]
    found.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in found)


_ALL: Final[dict[str, tuple[int | None, int | None]]] = {
    **syscalls.NAMESPACES,
    **syscalls.OTHER_PROCESSES,
    **syscalls.KERNEL,
    **syscalls.UNJUDGED,
    **syscalls.BY_PATH,
    **syscalls.OTHER_MEMORY,
    **syscalls.OF_OWN_PROCESS,
    **syscalls.SIGNALS,
    **syscalls.JUDGED,
}


def _everywhere(network: bool) -> dict[str, Rule]:
    refused = (*syscalls.NAMESPACES, *syscalls.OTHER_PROCESSES, *syscalls.KERNEL)
    return {
        **{key: [(_RETURN, 0, 0, _REFUSE)] for key in refused},
        **{key: [(_RETURN, 0, 0, _ABSENT)] for key in syscalls.UNJUDGED},
        "clone": [
            (_LOAD, 0, 0, _argument(0)),
            (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ],
        # Never a raw one, and none of AF_UNIX: the host's daemons listen on those.
        "socket": [*_only(0, (_INET, _INET6)), *_only(1, (_STREAM, _DATAGRAM), _TYPE_MASK)]
        + [(_RETURN, 0, 0, _ALLOW)]
        if network
        else [(_RETURN, 0, 0, _REFUSE)],
        # A pair of datagram sockets could be turned to somebody else afterwards.
        "socketpair": [*_only(0, (_UNIX,)), *_only(1, (_STREAM, _PACKETS), _TYPE_MASK)]
        + [(_RETURN, 0, 0, _ALLOW)],
        "ioctl": _unless(1, (_PUSH_INPUT, _SET_SELECTION)),
        "personality": [*_only(0, (0, 0xFFFF_FFFF)), (_RETURN, 0, 0, _ALLOW)],
    }


def _without_namespaces() -> dict[str, Rule]:
    refused = (*syscalls.BY_PATH, *syscalls.OTHER_MEMORY)
    own = [*_only(0, (0,)), (_RETURN, 0, 0, _ALLOW)]
    return {
        **{key: [(_RETURN, 0, 0, _REFUSE)] for key in refused},
        **dict.fromkeys(syscalls.OF_OWN_PROCESS, own),
        "setpriority": [*_only(0, (0,)), *_only(1, (0,)), (_RETURN, 0, 0, _ALLOW)],
        "ioprio_set": [*_only(0, (1,)), *_only(1, (0,)), (_RETURN, 0, 0, _ALLOW)],
        # Without a path: the times of a file that is open already.
        "utimensat": [*_only(1, (0,)), *_only_high(1, 0), (_RETURN, 0, 0, _ALLOW)],
    }


def _unscoped() -> dict[str, Rule]:
    own = (OWN_PROCESS,)
    return {
        **{key: [(_RETURN, 0, 0, _REFUSE)] for key in syscalls.SIGNALS},
        "kill": [*_only(0, (0, *own)), (_RETURN, 0, 0, _ALLOW)],
        "tgkill": [*_only(0, own), (_RETURN, 0, 0, _ALLOW)],
        "rt_tgsigqueueinfo": [*_only(0, own), (_RETURN, 0, 0, _ALLOW)],
        "fcntl": _unless(1, _SET_OWNER),
    }


def _argument(index: int, *, high: bool = False) -> int:
    return 16 + 8 * index + (4 if high else 0)


def _only(index: int, values: tuple[int, ...], mask: int = 0) -> Rule:
    """Refuse unless an argument has one of the values; else go on."""
    rule: Rule = [(_LOAD, 0, 0, _argument(index))]
    if mask:
        rule.append((_AND, 0, 0, mask))
    for left, value in zip(range(len(values), 0, -1), values, strict=True):
        rule.append((_EQUAL, left, 0, value))
    return [*rule, (_RETURN, 0, 0, _REFUSE)]


def _only_high(index: int, value: int) -> Rule:
    return [
        (_LOAD, 0, 0, _argument(index, high=True)),
        (_EQUAL, 1, 0, value),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _unless(index: int, values: tuple[int, ...]) -> Rule:
    """Refuse when an argument has one of the values; else allow."""
    rule: Rule = [(_LOAD, 0, 0, _argument(index))]
    for left, value in zip(range(len(values), 0, -1), values, strict=True):
        rule.append((_EQUAL, left, 0, value))
    return [*rule, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]


def _no_truncation(index: int) -> Rule:
    """Refuse to open for reading what is to be emptied."""
    return [
        (_LOAD, 0, 0, _argument(index)),
        (_AND, 0, 0, _ACCESS_MODE | _TRUNCATE),
        (_EQUAL, 1, 0, _TRUNCATE),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
