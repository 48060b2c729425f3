"""The tests' hosts are apart: a cut link carries nothing, and a healed one all again."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import network
import postgresql_server
import psycopg
import pytest
from network import Cut, Host, Network
from postgresql_server import Server

ASK = """
import sys, psycopg
connection = psycopg.connect(sys.argv[1], autocommit=True, connect_timeout=5)
connection.execute("CREATE TABLE IF NOT EXISTS said (line text)")
print("ready", flush=True)
for line in sys.stdin:
    connection.execute("INSERT INTO said VALUES (%s)", (line.strip(),))
    print("durable", flush=True)
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Network]:
    if reason := network.missing():
        pytest.skip(reason)
    with Network(hosts=2) as made:
        yield made


@pytest.fixture(scope="module")
def server(hosts: Network) -> Iterator[Server]:
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with Server(listen=(hosts.address, "127.0.0.1")) as server:
        yield server


def on(host: Host, *arguments: str) -> str:
    return subprocess.run(
        host.command(*arguments), capture_output=True, text=True, check=True, timeout=30
    ).stdout


def test_a_host_has_a_name_and_an_address_of_its_own(hosts: Network) -> None:
    first, second = hosts.hosts
    assert [on(host, "hostname").strip() for host in hosts.hosts] == [first.name, second.name]
    assert second.address in on(second, "ip", "address")
    assert second.address not in on(first, "ip", "address")
    assert first.name != socket.gethostname() != second.name


@pytest.mark.parametrize("how", ["vanish", "replies", "unplug"])
def test_a_cut_host_hears_nothing_until_it_is_healed(
    hosts: Network, server: Server, how: Cut
) -> None:
    first, second = hosts.hosts
    url = server.create(f"cut_{how}")
    with (
        psycopg.connect(url, autocommit=True) as watcher,
        subprocess.Popen(
            first.command(sys.executable, "-c", ASK, url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as client,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        assert first.processes() == [client.pid]
        first.cut(how)
        client.stdin.write("hello\n")
        arrived = watcher.execute("SELECT count(*) FROM said")
        if how == "replies":
            while arrived.fetchall() == [(0,)]:
                arrived = watcher.execute("SELECT count(*) FROM said")
        else:
            assert on(second, sys.executable, "-c", ASK, url) == "ready\n"
            assert arrived.fetchall() == [(0,)]
        first.heal()
        assert client.stdout.readline() == "durable\n"
        assert watcher.execute("SELECT line FROM said").fetchall() == [("hello",)]
        client.stdin.close()


def test_nothing_is_left_behind() -> None:
    if reason := network.missing():
        pytest.skip(reason)
    with Network(hosts=1) as made:
        (host,) = made.hosts
        left = subprocess.Popen(host.command("sleep", "600"))
        while host.processes() != [left.pid]:
            assert left.poll() is None
    assert left.wait() == -9
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert f"{made.bridge}:" not in links
    assert made.token not in spaces
