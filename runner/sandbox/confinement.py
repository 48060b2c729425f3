"""What a program may see, touch and use up. Values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

OPEN_FILES_MAX: Final = 256
MEBIBYTE: Final = 2**20


class Level(StrEnum):
    """How far a program is kept apart. The names stand in the audit log."""

    BUBBLEWRAP = "bwrap+seccomp"
    """Own view of the files, own processes, users and network."""
    LANDLOCK = "landlock+seccomp"
    """The kernel's rules on the process itself; no namespaces needed."""
    NONE = "none"
    """Bounds on what it uses up, and its process group is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What is not named here is not there, or is refused.

    Paths are shown where they are on the host, on top of the system's programs and
    libraries. `held` are folders that are open already: what is shown at such a path is
    what its descriptor holds, whoever renames things meanwhile.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    held: Mapping[Path, int] = field(default_factory=dict)
    working_folder: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    memory_bytes: int = 512 * MEBIBYTE
    processes: int = 32
    cpu_s: int = 60
    file_bytes: int = 256 * MEBIBYTE

    def variables(self) -> dict[str, str]:
        """The whole environment: a fixed search path and locale, and what was named."""
        fixed = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PWD": str(self.working_folder)}
        return fixed | dict(self.environment)

    def limits(self) -> dict[str, int]:
        """Bounds of each process, by the names that setrlimit(2) gives them."""
        return {
            "as": self.memory_bytes,
            "core": 0,
            "cpu": self.cpu_s,
            "fsize": self.file_bytes,
            "nofile": OPEN_FILES_MAX,
        }


SYSTEM: Final = tuple(
    Path(path) for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
)
"""Programs and libraries of the host."""

SETTINGS: Final = tuple(
    Path(path)
    for path in (
        "/etc/alternatives",
        "/etc/ca-certificates",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/localtime",
        "/etc/mime.types",
        "/etc/nsswitch.conf",
        "/etc/pki",
        "/etc/protocols",
        "/etc/services",
        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf",
    )
)
"""What programs need of /etc and anybody may know."""

NETWORK_SETTINGS: Final = tuple(
    Path(path) for path in ("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf")
)
"""What finding a host's address needs on top."""


def system_paths(network: bool) -> tuple[Path, ...]:
    """The host's own paths that every program may read, as far as they are there."""
    paths = SYSTEM + SETTINGS + (NETWORK_SETTINGS if network else ())
    return tuple(path for path in paths if path.exists())
