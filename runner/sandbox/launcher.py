"""Starts a program, confined or by way of bubblewrap, and ends all of it: ORDER PROGRAM ...

    started ──child: own users, or bounds, user, Landlock, filter──> the program
       │                                                                │ ends
       └── watches ──lifeline closed, or program ended──────────────────┴──> kills all, ends

It stays outside as the one to which orphans come home (PR_SET_CHILD_SUBREAPER), so a child
that left its group or session is found and killed like any other, and the death of a worker
is seen however far the start has come. Bubblewrap alone has moments in which it is not. The
program can neither signal nor trace it. The standard library only: it is started with no
other.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import select
import signal
import struct
import sys

# Each import is paid for at every call: `typing` and `json` would double the start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START = "import sys; sys.path.insert(0, sys.argv[1]); import launcher; launcher.main()"
"""Imported and not run as a file, so that it is compiled only once."""

CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER, _EXECUTE, _WRITE = 1 << 2, 1 << 3, 1 << 0, 1 << 1
# All but devices and sockets: remove, make folders, files, pipes and links.
_MAKE = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ON_FILES = _READ_FILE | _EXECUTE | _WRITE | _TRUNCATE
_ALL_BY_VERSION = (13, 14, 15, 15, 16)
"""How many rights on files the versions 1 to 5 of Landlock know."""
_ALL_TCP = 3
_ALL_SCOPES = 3  # Abstract sockets and signals.

_SET_PARENT_DEATH, _SET_DUMPABLE, _SET_KEEP_CAPABILITIES = 1, 4, 8
_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 36, 38
_AMBIENT, _AMBIENT_RAISE = 47, 2
_CAPABILITIES_VERSION = 0x20080522
_DAC_OVERRIDE = 1
_NEW_USER = 0x1000_0000
_CALL = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Carry out an order."""
    # From our own worker, which runs the same interpreter.
    order, argv = marshal.loads(bytes.fromhex(sys.argv[2])), sys.argv[3:]  # noqa: S302
    for descriptor in order["kept"]:
        os.set_inheritable(descriptor, False)
    _control(_SET_SUBREAPER, 1)
    _control(_SET_DUMPABLE, 0)
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    supervisor = os.getpid()
    program = os.fork()
    if program == 0:
        _become(order, argv, supervisor)
    for descriptor in order["given"]:
        os.close(descriptor)
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    code = _watch(program, order["watched"], woken)
    _end_all()
    os._exit(code)


def _watch(program: int, watched: int, woken: int) -> int:
    """The program's code, or that of its killing; reaps orphans meanwhile."""
    events = select.poll()
    events.register(watched, select.POLLIN)
    events.register(woken, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in events.poll()}
        if watched in ready:
            return 128 + signal.SIGKILL
        os.read(woken, 4096)
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == program:
                code = os.waitstatus_to_exitcode(ended[1])
                return 128 - code if code < 0 else code


def _end_all() -> None:
    """Kill children until there are none; those of the killed become ours."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        # Nobody but us can reap them, so the numbers are still theirs.
        for child in children:
            os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _become(order: dict[str, Any], argv: list[str], supervisor: int) -> None:
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.setsid()
        _control(_SET_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        if order["own_users"]:
            _own_users()
        if order["rules"] is not None:
            _confine(order["rules"])
        os.execv(argv[0], argv)  # noqa: S606
    except BaseException as error:  # noqa: BLE001 - whatever it was, the program must not start.
        os.write(order["told"], f"{argv[0]} cannot be started in a sandbox: {error}".encode())
        os._exit(1)


def _own_users() -> None:
    """Enter a user namespace in which everybody keeps the own number.

    Only there does the kernel count the processes of a sandbox apart from the host's, and
    capabilities reach no further than the namespace.
    """
    target = os.getpid()
    maps = {}
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            lines = [line.split() for line in file]
        maps[name] = "".join(f"{first} {first} {count}\n" for first, _, count in lines)
    waiting, ready = os.pipe()
    # Only somebody who stays outside may write the maps.
    writer = os.fork()
    if writer == 0:
        code = 1
        try:
            if os.read(waiting, 1):
                for name, text in maps.items():
                    with open(f"/proc/{target}/{name}", "w", encoding="ascii") as file:
                        file.write(text)
                code = 0
        finally:
            os._exit(code)
    _checked(_CALL.unshare(_NEW_USER), "unshare")
    os.write(ready, b"x")
    if os.waitpid(writer, 0)[1] != 0:
        raise OSError("the users of its namespace could not be written")
    _control(_SET_PARENT_DEATH, signal.SIGKILL)


def _confine(rules: dict[str, Any]) -> None:
    os.chdir(rules["folder"])
    if rules["user"] is not None:
        _switch(rules["user"])
        _control(_SET_PARENT_DEATH, signal.SIGKILL)  # Which a switch forgets.
    _control(_SET_NO_NEW_PRIVILEGES, 1)
    bounds = {**rules["limits"], "nproc": rules["processes"] + _running(os.getuid())}
    _landlock(rules)
    _filter(rules)
    for name, value in bounds.items():
        _bound(getattr(resource, f"RLIMIT_{name.upper()}"), value)


def _bound(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _running(user: int) -> int:
    """How many threads a user has now: the kernel counts them all against its bound."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == user:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue  # It has ended, or is not ours to count.
    return count


def _switch(user: int) -> None:
    _control(_SET_KEEP_CAPABILITIES, 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    kept = 1 << _DAC_OVERRIDE
    _checked(_CALL.capset(header, struct.pack("=6I", kept, kept, kept, 0, 0, 0)), "capset")
    _control(_AMBIENT, _AMBIENT_RAISE, _DAC_OVERRIDE, 0, 0)


def _landlock(rules: dict[str, Any]) -> None:
    abi = rules["abi"]
    handled = (1 << _ALL_BY_VERSION[min(abi, 5) - 1]) - 1
    tcp = 0 if rules["network"] else _ALL_TCP
    attributes = struct.pack("=QQQ", handled, tcp, _ALL_SCOPES)
    attributes = attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = _CALL.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    _checked(ruleset, "landlock_create_ruleset")
    readable = _READ_FILE | _READ_FOLDER | _EXECUTE
    everything = readable | _WRITE | _MAKE | _REFER | _TRUNCATE
    for path in rules["readable"]:
        _allow(rules, ruleset, path, readable & handled)
    for path in rules["writable"]:
        _allow(rules, ruleset, path, everything & handled)
    for path in rules["devices"]:
        _allow(rules, ruleset, path, (_READ_FILE | _WRITE | _TRUNCATE) & handled)
    _checked(_CALL.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(rules: dict[str, Any], ruleset: int, path: str, rights: int) -> None:
    held = rules["held"].get(path)
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC) if held is None else held
    is_folder = os.stat(beneath).st_mode & 0o170000 == 0o040000
    rule = struct.pack("=Qi", rights if is_folder else rights & _ON_FILES, beneath)
    _checked(_CALL.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), path)
    os.close(beneath)


def _filter(rules: dict[str, Any]) -> None:
    own = struct.pack("=I", rules["own_process"])
    program = rules["filter"]
    # Its last four bytes are what an instruction compares with.
    instructions = [program[at : at + 8] for at in range(0, len(program), 8)]
    program = b"".join(
        instruction[:4] + struct.pack("=I", os.getpid())
        if instruction[4:] == own
        else instruction
        for instruction in instructions
    )
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(instructions), ctypes.addressof(kept))
    _control(_SET_SECCOMP, _SECCOMP_FILTER, header)


def _control(option: int, *arguments: Any) -> None:
    given = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    given += [ctypes.c_ulong(0)] * (4 - len(given))
    _checked(_CALL.prctl(option, *given), f"prctl {option}")


def _checked(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
