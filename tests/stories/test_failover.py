"""A server that dies and its standby that takes over cost no task and repeat no call.

The standby is synchronous, as docs/scaling.md asks for: what the journal says is durable is
on both. Runner and daemon find the new server by the second host of their URL.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import postgresql_server
import psycopg
import pytest
from home import Home
from hosts import RunnerHost, World, wait
from postgresql_server import Server

from runner.contract import audit_check

pytestmark = [pytest.mark.story, pytest.mark.timeout(180)]


class Standby:
    """A copy of a server that follows it, until it is promoted."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = postgresql_server.free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="orloj-pg-"))
        self.data = self.folder / "data"
        self._identity: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() == 0:
            user, group = postgresql_server.account() or (0, 0)
            os.chown(self.folder, user, group)
            self._identity |= {"user": user, "group": group, "extra_groups": []}
        source = f"host={server.sockets} port={server.port} user=postgres"
        self._run(
            *("pg_basebackup", "-D", str(self.data), "-R", "-X", "stream"),
            *("-d", f"{source} application_name=standby"),
        )
        self.process = subprocess.Popen(
            [str(server.programs / "postgres"), "-D", str(self.data), f"--port={self.port}"]
            + ["--listen_addresses=127.0.0.1", f"--unix_socket_directories={self.folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._identity,
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.server.programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, **self._identity)

    def promote(self) -> None:
        """Make it the server that is written to, which waits for no standby of its own."""
        self._run("pg_ctl", "-D", str(self.data), "promote", "-w")
        with psycopg.connect(
            host=str(self.folder), port=self.port, user="postgres", autocommit=True
        ) as administrator:
            administrator.execute("ALTER SYSTEM RESET synchronous_standby_names")
            administrator.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        """Stop it and remove everything."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        rmtree(self.folder, ignore_errors=True)


@contextmanager
def pair() -> Iterator[tuple[Server, Standby]]:
    """A server, and a standby that every commit waits for."""
    with Server() as server:
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write("local replication all trust\n")
        server.execute("SELECT pg_reload_conf()")
        with closing(Standby(server)) as standby:
            following = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
            while not server.execute(following):
                assert standby.process.poll() is None
            server.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            server.execute("SELECT pg_reload_conf()")
            yield server, standby


def test_the_standby_takes_over_and_every_call_is_made_once(tmp_path: Path) -> None:
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with pair() as (server, standby):
        server.create("state")
        url = (
            f"postgresql://orloj:{server.password}@/state?host=127.0.0.1:{server.port}"
            f"&host=127.0.0.1:{standby.port}&target_session_attrs=read-write"
        )
        world = World(tmp_path / "world")
        host = RunnerHost(tmp_path / "host", url, world, workers=2, slots=4, lease_s=30)
        with closing(Home(tmp_path / "desk", url)) as home, host.running():
            again = world.agent(home, "again", 0.3, idempotent=True)
            once = world.agent(home, "once", 0.3, idempotent=False)
            tasks = home.submit(again, 30) + home.submit(once, 30)
            home.until(lambda: len(world.acts()) >= 12)
            server.kill()
            standby.promote()
            wait(home, tasks, {"succeeded"})
            assert set(world.times().values()) == {1}
            with home.database.read() as connection:
                assert audit_check.verify(connection).holds
