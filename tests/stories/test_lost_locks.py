"""A host that vanishes in the middle of a transaction does not stop the others for long."""

import subprocess
import sys
import time
from pathlib import Path

import network
import postgresql_server
import pytest
from network import Network
from postgresql_server import Server

from runner.contract.database import postgresql

pytestmark = pytest.mark.story

HOLD = """
import sys
from pathlib import Path
from runner.contract import database
from runner.contract.database import dialect
with database.connect(Path(sys.argv[1]), sys.argv[2]).write() as connection:
    connection.exec_driver_sql("SELECT 1")
    print("begun", flush=True)
    sys.stdin.readline()
    dialect.alone(connection, dialect.LOG)
    sys.stdin.readline()
"""
LOCKED = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"


@pytest.mark.parametrize("how", ["vanish", "replies"])
def test_the_lock_of_a_host_that_vanished_is_free_within_seconds(
    tmp_path: Path, how: network.Cut
) -> None:
    if reason := network.missing() or postgresql_server.missing():
        pytest.skip(reason)
    with Network(hosts=1) as hosts, Server(listen=("127.0.0.1", hosts.address)) as server:
        server.create("state")
        (host,) = hosts.hosts
        url = server.url("state", hosts.address)
        holder = subprocess.Popen(
            host.command(sys.executable, "-c", HOLD, str(tmp_path), url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "begun\n"
        if how == "replies":  # The lock is given, and nobody hears of it.
            host.cut(how)
        holder.stdin.write("\n")
        while not server.execute(LOCKED):
            assert holder.poll() is None
        host.cut(how)
        cut_at = time.monotonic()
        while server.execute(LOCKED):
            assert time.monotonic() < cut_at + 2 * postgresql.LOST_MS / 1000
        host.heal()
        holder.stdin.close()
        holder.stdout.close()
        holder.kill()
        holder.wait()
