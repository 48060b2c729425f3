"""No sandbox: a program with bounds on what it uses up, and no wall around it.

It is started through `setpriv` and `prlimit` (util-linux): it gains no privilege, leaves no
core dump, and dies with the worker that started it. Its process group is killed at the end;
a child that left the group outlives the call.
"""

from typing import Final

from runner.sandbox.confinement import Confinement
from runner.sandbox.identity import program_at
from runner.sandbox.launch import Launch, group_killed

SETPRIV: Final = "/usr/bin/setpriv"
PRLIMIT: Final = "/usr/bin/prlimit"


def launch(argv: list[str], confinement: Confinement) -> Launch:
    """The way to start it; ToolFailed where util-linux is missing."""
    return Launch(
        argv=[
            *(program_at(SETPRIV, "util-linux"), "--no-new-privs", "--pdeathsig=KILL"),
            *bounded(argv, confinement, None),
        ],
        environment=confinement.variables(),
        folder=confinement.working_folder,
        kill=group_killed,
    )


def bounded(argv: list[str], confinement: Confinement, processes: int | None) -> list[str]:
    """The words that start a program within its bounds."""
    bounds = confinement.limits() | ({} if processes is None else {"nproc": processes})
    return [
        program_at(PRLIMIT, "util-linux"),
        *(f"--{name}={value}:{value}" for name, value in bounds.items()),
        "--",
        *argv,
    ]
