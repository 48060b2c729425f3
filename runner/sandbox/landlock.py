"""The level without namespaces: a program is started that restricts itself by Landlock.

Where user namespaces are forbidden, or under a hardened systemd unit. What the kernel's
Landlock cannot do yet, the filter of system calls does instead: it is told the version.
"""

import ctypes
import functools
import os
from pathlib import Path
from typing import Final

from runner.contract.errors import ToolFailed
from runner.sandbox import launcher, seccomp
from runner.sandbox.confinement import Confinement, system_paths
from runner.sandbox.identity import other_user
from runner.sandbox.launch import Launch, supervised

DEVICES: Final = tuple(f"/dev/{name}" for name in ("full", "null", "random", "urandom", "zero"))
_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION
_TRUNCATES, _SCOPES = 3, 6


@functools.cache
def version() -> int:
    """The version of the kernel's Landlock; 0: it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(launcher.CREATE_RULESET, None, 0, _VERSION)
    return max(found, 0)


def launch(argv: list[str], confinement: Confinement, version_max: int = 99) -> Launch:
    """The way into the sandbox; ToolFailed where the kernel or the machine has none."""
    abi = min(version(), version_max)
    machine = seccomp.machine()
    if abi == 0:
        raise ToolFailed("this kernel has no Landlock, or it is switched off (`lsm=landlock`)")
    if machine is None:
        raise ToolFailed("there is no filter of system calls for this machine yet")
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        raise ToolFailed("this kernel does not list a process's children")
    filter_ = seccomp.program(
        machine,
        network=confinement.network,
        namespaces=False,
        scoped=abi >= _SCOPES,
        truncation=abi >= _TRUNCATES,
    )
    held = {str(path): os.dup(given) for path, given in confinement.held.items()}
    rules = {
        "abi": abi,
        "readable": [str(path) for path in _readable(confinement)],
        "writable": [str(path) for path in confinement.writable],
        "devices": [path for path in DEVICES if os.path.exists(path)],
        "held": held,
        "folder": str(confinement.working_folder),
        "network": confinement.network,
        "limits": confinement.limits(),
        "processes": confinement.processes,
        "user": other_user(),
        "filter": filter_,
        "own_process": seccomp.OWN_PROCESS,
    }
    return supervised(
        argv,
        _variables(confinement),
        status=os.pipe(),
        kept=tuple(held.values()),
        rules=rules,
        troubled=lambda said: said,
    )


def _readable(confinement: Confinement) -> list[Path]:
    return [*system_paths(confinement.network), *confinement.readable]


def _variables(confinement: Confinement) -> dict[str, str]:
    """There is no /tmp of its own: what is passing goes into the working folder."""
    variables = confinement.variables()
    if confinement.working_folder in confinement.writable:
        variables.setdefault("TMPDIR", str(confinement.working_folder))
    return variables
