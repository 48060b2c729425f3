"""A delivery makes a real daemon look at once, and no accident with the port stops the daemon.

The repository is a linked worktree, which is not watched, and is polled once an hour: what is
applied while a test lasts was woken by a delivery.
"""

import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from followed import Followed, agent
from postgresql_server import Server
from repository import git

pytestmark = pytest.mark.story

SECRET = "a secret that nobody guesses"
RECEIVER = (
    '[web]\nlisten = "127.0.0.1:0"\n'
    '[receivers.hub]\nkind = "github"\nsecret_file = "hub.secret"\n'
)
CONNECTIONS = 200


class Hooked(Followed):
    """A home whose daemon hears of pushes by deliveries alone."""

    def __init__(self, folder: Path, url: str = "") -> None:
        super().__init__(folder, url)
        self.secret("hub.secret", SECRET)

    def settings(self, more: str) -> None:
        linked = self.folder / "linked"
        (self.home / "orloj.toml").write_text(
            f'[source]\nurl = "{linked}"\ninterval_s = 3600\n' + more
        )

    def link(self) -> None:
        git("worktree", "add", "--detach", str(self.folder / "linked"), "main",
            folder=self.repository.origin)  # fmt: skip

    def port(self, home: Path | None = None) -> int:
        self.until(lambda: bool(self.logged("web_listening", home)))
        return int(self.logged("web_listening", home)[-1]["port"])

    def deliver(self, port: int, id: str, address: str = "127.0.0.1") -> int:
        body = json.dumps({"ref": "refs/heads/main", "n": id}).encode()
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": id,
            "X-Hub-Signature-256": f"sha256={digest}",
        }
        asked = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=30, source_address=(address, 0)
        )
        asked.request("POST", "/hooks/hub", body, headers)
        status = asked.getresponse().status
        asked.close()
        return status


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Hooked]:
    world = Hooked(tmp_path)
    world.settings(RECEIVER)
    world.push({"a.yaml": agent("a")})
    world.link()
    yield world
    world.close()


def health(port: int) -> int:
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asked.request("GET", "/healthz")
    status = asked.getresponse().status
    asked.close()
    return status


def test_a_delivery_deploys_a_push_that_nobody_watches(world: Hooked) -> None:
    with world.daemon():
        world.applied(world.repository.head())
        port = world.port()
        commit = world.push({"b.yaml": agent("b")})
        assert world.deliver(port, "1") == 202
        world.applied(commit)
        assert world.deliver(port, "1") == 409
        assert health(port) == 200
    assert SECRET not in (world.home / "daemon.log").read_text()


def test_what_openssl_signs_is_believed(world: Hooked) -> None:
    """As docs/webhooks.md tells people to try it."""
    with world.daemon():
        port = world.port()
        script = (
            'BODY=\'{"ref":"refs/heads/main"}\'\n'
            'KEY=$(cat "$ORLOJ_HOME/hub.secret")\n'
            'SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$KEY" -r)\n'
            'printf %s "${SIGNATURE%% *} $BODY"'
        )
        made = subprocess.run(
            ["sh", "-c", script],
            env=world.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        signature, _, body = made.stdout.partition(" ")
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        asked.request("POST", "/hooks/hub", body, headers)
        assert asked.getresponse().status == 202
        asked.close()


def test_a_good_delivery_gets_through_two_hundred_slow_clients(world: Hooked) -> None:
    with world.daemon() as daemon:
        world.applied(world.repository.head())
        port = world.port()
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
        for connection in slow:
            connection.sendall(b"POST /hooks/hub HTTP/1.1\r\nHost: x\r\nContent-Len")
        commit = world.push({"b.yaml": agent("b")})
        assert world.deliver(port, "1") == 202
        world.applied(commit)
        open_files = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        assert open_files < CONNECTIONS
        for connection in slow:
            connection.close()


def test_a_flood_of_bytes_neither_fills_the_memory_nor_ends_the_daemon(world: Hooked) -> None:
    with world.daemon() as daemon:
        world.applied(world.repository.head())
        port = world.port()
        before = resident_mb(daemon.pid)
        for framing in ("Content-Length: 52428800", "Transfer-Encoding: chunked"):
            for _ in range(5):
                flood(port, framing)
        assert resident_mb(daemon.pid) - before < 40
        commit = world.push({"b.yaml": agent("b")})
        assert world.deliver(port, "1") == 202
        world.applied(commit)


def flood(port: int, framing: str) -> None:
    """50 MiB, for as long as somebody takes them."""
    part = b"10000\r\n" + b"[" * 65_536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST /hooks/hub HTTP/1.1\r\nContent-Type: application/json\r\n{framing}"
        try:
            connection.sendall(head.encode() + b"\r\nHost: x\r\n\r\n")
            for _ in range(800):
                connection.sendall(part)
        except OSError:
            pass


def resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def test_a_port_that_nobody_opens_is_not_open(world: Hooked) -> None:
    world.settings('[receivers.hub]\nkind = "github"\nsecret_file = "hub.secret"\n')
    with world.daemon() as daemon:
        world.applied(world.repository.head())
        assert world.logged("web_listening") == []
        sockets = Path(f"/proc/{daemon.pid}/net/tcp").read_text()
        inodes = {
            os.readlink(f"/proc/{daemon.pid}/fd/{name}")
            for name in os.listdir(f"/proc/{daemon.pid}/fd")
        }
        listening = [line.split()[9] for line in sockets.splitlines()[1:] if " 0A " in line]
        assert not [inode for inode in listening if f"socket:[{inode}]" in inodes]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param("secret", "hub.secret cannot be read", id="no secret"),
        pytest.param("short", "can be guessed", id="a short secret"),
        pytest.param("port", "nothing can listen on 127.0.0.1", id="a port that is taken"),
        pytest.param("source", "there is no repository nobody", id="an unknown repository"),
    ],
)
def test_a_port_that_cannot_work_is_one_sentence_at_the_start(
    world: Hooked, spoil: str, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if spoil == "secret":
            (world.home / "hub.secret").unlink()
        elif spoil == "short":
            world.secret("hub.secret", "hunter2")
        elif spoil == "port":
            world.settings(RECEIVER.replace(":0", f":{taken.getsockname()[1]}"))
        else:
            world.settings(RECEIVER + 'sources = ["nobody"]\n')
        done = world.run("daemon")
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert sentence in error
    assert error.startswith("Error: ")
    assert "hunter2" not in done.stderr


def test_the_port_answers_while_the_loop_waits(world: Hooked) -> None:
    """The loop waits for a lock that somebody holds; the port answers all the same."""
    with world.daemon() as daemon:
        world.applied(world.repository.head())
        port = world.port()
        with world.database.write():  # Held: the loop cannot write what it looks at.
            assert health(port) == 200
            assert world.deliver(port, "1") == 202
        assert daemon.poll() is None
    assert world.log()[-1]["action"] == "daemon_stopped"


def test_a_stop_does_not_wait_for_who_is_slow(world: Hooked) -> None:
    with world.daemon() as daemon:
        port = world.port()
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=10) == 0  # Less than one request may take.
        for connection in slow:
            connection.close()


def test_a_delivery_to_a_daemon_that_stands_by_reaches_the_one_that_leads(
    tmp_path: Path, postgresql: Server
) -> None:
    url = postgresql.create("hooked")
    world = Hooked(tmp_path, url)
    world.settings(RECEIVER)
    first = world.push({"a.yaml": agent("a")})
    world.link()
    second = tmp_path / "second"
    second.mkdir()
    for name in ("orloj.toml", "hub.secret", "secret.key"):
        if (world.home / name).exists():
            (second / name).write_bytes((world.home / name).read_bytes())
    with world.daemon():
        world.applied(first)
        (second / "secret.key").write_bytes((world.home / "secret.key").read_bytes())
        with world.daemon(second):
            world.until(lambda: bool(world.logged("leader_waiting", second)))
            commit = world.push({"b.yaml": agent("b")})
            assert world.deliver(world.port(second), "1") == 202
            world.applied(commit)
    world.close()
    postgresql.drop("hooked")
