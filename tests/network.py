"""Several hosts on one machine: a bridge, and a network namespace for each host.

    host 1 (198.18.N.11) ──┐
    host 2 (198.18.N.12) ──┼── bridge 198.18.N.1: the test and its servers
    host 3 (198.18.N.13) ──┘

A host has interfaces, routes and a name of its own; files, processes and clock are the
machine's. Its link can be cut in three ways and healed. It needs root; `missing` says why
there is none.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from functools import cache
from typing import Literal, Self

Cut = Literal["vanish", "replies", "unplug"]
"""`vanish`: packets of both directions are lost and nobody is told. `replies`: what the host
sends arrives, what comes back is lost. `unplug`: the host sees its interface go down."""

NETWORKS_MAX = 254
NOBODY = "02:00:00:00:00:00"  # A hardware address that no host has.


@cache
def missing() -> str:
    """Why hosts cannot be made here; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nsenter", "unshare"):
        if shutil.which(program) is None:
            return (
                f"network namespaces need {program}: sudo apt-get install iproute2 util-linux"
            )
    try:
        with Network(hosts=1):
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"


class Host:
    """One host of a network."""

    def __init__(self, network: "Network", number: int) -> None:
        self.name = f"{network.bridge}h{number}"
        self.address = f"{network.prefix}.{10 + number}"
        self._network = network
        self._outside = f"{network.bridge}v{number}"
        self._space = f"orloj-{network.token}-{number}"

    def command(self, *arguments: str) -> list[str]:
        """The command that becomes `arguments` on this host, under the same process id."""
        rename = 'echo "$0" >/proc/sys/kernel/hostname; exec "$@"'
        enter = ["nsenter", f"--net=/run/netns/{self._space}", "unshare", "--uts"]
        return [*enter, "sh", "-c", rename, self.name, *arguments]

    def processes(self) -> list[int]:
        """The processes that run on this host."""
        return [int(number) for number in _ip("netns", "pids", self._space).split()]

    def cut(self, how: Cut = "vanish") -> None:
        """Cut the host off from everybody."""
        if how == "vanish":
            _ip("link", "set", self._outside, "nomaster")
        elif how == "replies":
            self._know(self.address, NOBODY)
        else:
            _ip("-n", self._space, "link", "set", "eth0", "down")

    def heal(self) -> None:
        """Undo every cut."""
        bridge = self._network.bridge
        _ip("link", "set", self._outside, "master", bridge)
        _ip("-n", self._space, "link", "set", "eth0", "up")
        self._introduce()

    def _make(self) -> None:
        network = self._network
        _ip("netns", "add", self._space)
        _ip(
            *("link", "add", self._outside, "type", "veth"),
            *("peer", "name", "eth0", "netns", self._space),
        )
        _ip("link", "set", self._outside, "master", network.bridge, "up")
        _ip("-n", self._space, "link", "set", "lo", "up")
        _ip("-n", self._space, "address", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self._space, "link", "set", "eth0", "up")
        self._introduce()

    def _introduce(self) -> None:
        """Let both sides know each other for good, as if a router stood between them.

        Otherwise the kernel finds out after seconds that a neighbour is gone and ends
        connections that a cut behind the next router would leave hanging.
        """
        bridge = _hardware("link", "show", self._network.bridge)
        _ip(
            *("-n", self._space, "neighbour", "replace", self._network.address),
            *("lladdr", bridge, "dev", "eth0", "nud", "permanent"),
        )
        self._know(self.address, _hardware("-n", self._space, "link", "show", "eth0"))

    def _know(self, address: str, hardware: str) -> None:
        _ip(
            *("neighbour", "replace", address, "lladdr", hardware),
            *("dev", self._network.bridge, "nud", "permanent"),
        )

    def _remove(self) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _ip("netns", "delete", self._space)


class Network:
    """A bridge and its hosts. Whoever is still running on a host at the end is killed."""

    def __init__(self, hosts: int) -> None:
        self.token = uuid.uuid4().hex[:8]
        self.bridge, self.prefix = _bridge()
        self.address = f"{self.prefix}.1"
        self.hosts = [Host(self, number) for number in range(1, hosts + 1)]

    def __enter__(self) -> Self:
        try:
            # Its hardware address would else change with the hosts that join.
            own = f"02:{self.token[0:2]}:{self.token[2:4]}:{self.token[4:6]}:00:01"
            _ip("link", "set", self.bridge, "address", own, "up")
            _ip("address", "add", f"{self.address}/24", "dev", self.bridge)
            for host in self.hosts:
                host._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the hosts and the bridge."""
        for host in self.hosts:
            with contextlib.suppress(subprocess.CalledProcessError):
                host._remove()
        _ip("link", "delete", self.bridge)


def _bridge() -> tuple[str, str]:
    """Make a bridge under the first free name; the name and the start of its addresses."""
    for number in range(1, NETWORKS_MAX + 1):
        name = f"orloj{number}"
        try:
            _ip("link", "add", name, "type", "bridge")
        except subprocess.CalledProcessError as error:
            if "File exists" not in error.stderr:
                raise
        else:
            # A range that is set aside for tests of networks: RFC 2544.
            return name, f"198.18.{number}"
    raise AssertionError("every name for a bridge is taken: `ip link delete` old ones")


def _hardware(*query: str) -> str:
    words = _ip(*query).split()
    return words[words.index("link/ether") + 1]


def _ip(*arguments: str) -> str:
    return subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, check=True, timeout=30
    ).stdout
