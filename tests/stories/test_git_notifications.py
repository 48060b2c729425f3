"""What a push came to is told to Git hosts and people, at least once, last word last.

A real daemon, and real servers that speak just enough of each API and refuse what the true
ones refuse. Killed, cut off or hung up on, the daemon tells it later and deploys meanwhile.
"""

import contextlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from followed import Followed, agent
from local_server import Answer, LocalServer, Received

from runner.contract import audit, audit_check

pytestmark = pytest.mark.story

TOKEN = "token-of-a-canary-0123456789"
BROKEN = {"b.yaml": agent("b").replace("model", "modle")}
WAITING = "SELECT 1 FROM event_notification WHERE state = 'waiting'"
HOSTILE = "<!channel> <https://evil.example|click> `x` \x1b[2J @everyone " + "long " * 60


class GitHost:
    """Knows commits, and keeps the statuses that it is told, as GitHub, GitLab or Gitea."""

    PATHS = {
        "github": r"/repos/acme/agents/statuses/([0-9a-f]{40})",
        "gitea": r"/repos/acme/agents/statuses/([0-9a-f]{40})",
        "gitlab": r"/projects/acme%2Fagents/statuses/([0-9a-f]{40})",
    }
    STATES = {
        "github": {"pending", "success", "failure", "error"},
        "gitea": {"pending", "success", "failure", "error", "warning"},
        "gitlab": {"pending", "running", "success", "failed", "canceled"},
    }

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.statuses: list[tuple[str, str]] = []
        self.open = threading.Event()
        self.open.set()
        self.down = False
        self.server = LocalServer(self._answer)

    def _answer(self, asked: Received) -> Answer:
        if self.down:
            return Answer(503, b"down for maintenance")
        while not self.open.wait(0.05):
            if self.server.closing.is_set():
                return Answer(503)
        authorized = {
            "github": asked.headers.get("Authorization") == f"Bearer {TOKEN}",
            "gitea": asked.headers.get("Authorization") == f"token {TOKEN}",
            "gitlab": asked.headers.get("PRIVATE-TOKEN") == TOKEN,
        }
        found = re.fullmatch(self.PATHS[self.kind], asked.path)
        if not authorized[self.kind]:
            return Answer(401, f'{{"message": "Bad credentials {TOKEN}"}}'.encode())
        if found is None or asked.method != "POST":
            return Answer(404, b'{"message": "Not Found"}')
        said = json.loads(asked.body)
        context = said["name" if self.kind == "gitlab" else "context"]
        known = said["state"] in self.STATES[self.kind]
        if not known or len(said["description"]) > 140 or context != "orloj/default":
            return Answer(422, b'{"message": "Validation Failed"}')
        if self.kind == "gitlab" and (found[1], said["state"]) in self.statuses[-1:]:
            return Answer(400, b'{"message":"Cannot transition status via :enqueue"}')
        self.statuses.append((found[1], said["state"]))
        return Answer(201, b'{"id": 1}')

    def table(self, name: str = "host", **more: Any) -> str:
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
        return (
            f'[notify.{name}]\ntype = "{self.kind}-status"\nurl = "{self.server.url}"\n'
            f'repository = "acme/agents"\ntoken_file = "token"\n{lines}'
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Followed]:
    world = Followed(tmp_path)
    world.secret("token", TOKEN)
    yield world
    world.close()


@pytest.fixture
def github() -> Iterator[GitHost]:
    host = GitHost("github")
    with host.server.running():
        yield host


def said_secrets(world: Followed) -> str:
    """Everything that people and programs get to read of a home."""
    parts = [(world.home / "daemon.log").read_text()]
    with world.database.read() as connection:
        for table in ("event_notification", "event", "audit_entry"):
            parts += map(str, connection.exec_driver_sql(f"SELECT * FROM {table}").all())
    parts.append(world.run("notifications", "--json").stdout)
    return "\n".join(parts)


def test_a_commit_gets_the_status_of_what_became_of_it(world: Followed) -> None:
    hosts = [GitHost(kind) for kind in GitHost.PATHS]
    with contextlib.ExitStack() as stack:
        for host in hosts:
            stack.enter_context(host.server.running())
        world.settings("".join(host.table(host.kind) for host in hosts))
        first = world.push({"a.yaml": agent("a")}, HOSTILE)
        with world.daemon():
            world.until(lambda: all(len(host.statuses) == 1 for host in hosts))
            broken = world.push(BROKEN)
            world.until(lambda: all(len(host.statuses) == 2 for host in hosts))
            mended = world.push({"b.yaml": agent("b")})
            world.until(lambda: all(len(host.statuses) == 3 for host in hosts))
    for host in hosts:
        failed = "failed" if host.kind == "gitlab" else "failure"
        expected = [(first, "success"), (broken, failed), (mended, "success")]
        assert host.statuses == expected, host.kind
    assert TOKEN not in said_secrets(world)


def test_a_home_on_postgresql_tells_as_well(
    tmp_path: Path, postgresql_url: str, github: GitHost
) -> None:
    world = Followed(tmp_path, postgresql_url)
    world.secret("token", TOKEN)
    world.settings(github.table())
    first = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.until(lambda: github.statuses == [(first, "success")])
    world.close()


def test_a_repository_that_is_well_again_is_told(world: Followed) -> None:
    chat = LocalServer(lambda _: Answer(200, b"ok"))
    with chat.running():
        world.secret("chat.url", chat.url + "/services/secret-path-of-slack")
        world.settings(
            '[notify.chat]\ntype = "slack"\nurl_file = "chat.url"\nseverity = "warning"\n'
            # Not of the log, which is published to the repository that is hidden below.
            'sources = ["default"]\n'
        )
        first = world.push({"a.yaml": agent("a")}, HOSTILE)
        with world.daemon():
            world.applied(first)
            hidden = world.folder / "hidden.git"
            world.repository.origin.rename(hidden)
            world.run("reconcile", "--wait")
            hidden.rename(world.repository.origin)
            world.run("reconcile", "--wait")
            world.until(lambda: len(chat.received) >= 2)
            world.push(BROKEN, HOSTILE)
            world.until(lambda: len(chat.received) >= 3)
            last = world.push({"b.yaml": agent("b")}, HOSTILE)
            world.applied(last)
            world.until(lambda: len(chat.received) >= 4)
    texts = [json.loads(asked.body)["text"] for asked in chat.received]
    heads = [text.split(" of ")[0] for text in texts]
    assert heads[1:] == ["INFO `Recovered`", "ERROR `ManifestInvalid`", "INFO `Applied`"]
    assert not [text for text in texts if re.search("[<>\x1b]", text)]
    assert "secret-path-of-slack" not in said_secrets(world)


def test_a_daemon_that_is_killed_before_it_tells_tells_once_after_its_restart(
    world: Followed, github: GitHost
) -> None:
    world.settings(github.table())
    github.open.clear()
    commit = world.push({"a.yaml": agent("a")})
    with world.daemon() as daemon:
        world.applied(commit)
        daemon.kill()  # Whether it was asking already or not.
        daemon.wait()
    github.server.received.clear()
    # A row in the hands of the dead one would be left alone for half a minute.
    release(world)
    github.open.set()
    with world.daemon():
        world.until(lambda: "success" in [state for _, state in github.statuses])
        world.until(lambda: world.rows(WAITING) == [])
    assert len(github.server.received) == 1
    ((state, attempts),) = world.rows("SELECT state, attempts FROM event_notification")
    assert (state, attempts in (1, 2)) == ("sent", True)


def release(world: Followed) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event_notification SET due_at = 0")


def test_a_webhook_that_is_sent_twice_carries_the_same_key(world: Followed) -> None:
    first_try = threading.Event()
    hook = LocalServer(lambda _: Answer(200 if first_try.is_set() else 503))
    with hook.running():
        world.secret("key", TOKEN)
        world.settings(
            f'[notify.hook]\ntype = "webhook"\nurl = "{hook.url}/x"\nsecret_file = "key"\n'
        )
        commit = world.push({"a.yaml": agent("a")})
        with world.daemon():
            world.until(lambda: len(hook.received) == 1)
            first_try.set()
            world.until(lambda: len(hook.received) == 2)
    first, second = hook.received
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body
    assert json.loads(first.body)["commit"] == commit


def test_a_host_that_is_down_is_told_later_and_holds_up_no_push(
    world: Followed, github: GitHost
) -> None:
    github.down = True
    world.settings(github.table())
    first = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.until(lambda: len(world.logged("notification_failed")) >= 1)
        second = world.push({"c.yaml": agent("c")})
        world.applied(second)
        github.down = False
        world.until(
            lambda: sorted(github.statuses) == sorted([(first, "success"), (second, "success")])
        )
    assert TOKEN not in said_secrets(world)


def test_a_target_that_hangs_holds_up_neither_the_loop_nor_another_target(
    world: Followed, github: GitHost
) -> None:
    hung = GitHost("gitea")
    hung.open.clear()
    with hung.server.running():
        world.settings(github.table("github") + hung.table("hung"))
        first = world.push({"a.yaml": agent("a")})
        with world.daemon() as daemon:
            world.until(lambda: len(hung.server.received) == 1)
            second = world.push({"c.yaml": agent("c")})
            world.until(lambda: github.statuses == [(first, "success"), (second, "success")])
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=9) == 0  # Less than a target may take to answer.


def test_what_is_refused_is_given_up_and_written_into_the_log(
    world: Followed, github: GitHost
) -> None:
    world.settings(github.table())
    github.STATES = {"github": set()}  # type: ignore[misc]
    commit = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.until(
            lambda: bool(world.rows("SELECT 1 FROM event_notification WHERE state = 'failed'"))
        )
    with world.database.read() as connection:
        failed = [
            stored.fields
            for stored in audit.read(connection, type_prefix="notification.failed")
        ]
        assert audit_check.verify(connection).holds
    (entry,) = failed
    assert entry["commit"] == commit
    assert entry["reason"].startswith("Applied to host: it answered 422")
    ((reason,),) = world.rows("SELECT reason FROM event ORDER BY id DESC LIMIT 1")
    assert reason == "NotificationFailed"
    shown = world.run("notifications")
    assert "422" in shown.stdout
    assert TOKEN not in said_secrets(world)


def test_nothing_is_told_where_nobody_is_named(world: Followed) -> None:
    commit = world.push({"a.yaml": agent("a")})
    with world.daemon():
        world.applied(commit)
    assert world.rows("SELECT * FROM event_notification") == []
    shown = world.run("notifications")
    assert shown.stdout.startswith("Nobody is told of events")


def test_a_test_message_says_what_was_answered(world: Followed, github: GitHost) -> None:
    hook = LocalServer(lambda _: Answer(200, b"ok\x1b[2J"))
    with hook.running():
        world.secret("key", TOKEN)
        world.settings(
            github.table()
            + f'[notify.hook]\ntype = "webhook"\nurl = "{hook.url}"\nsecret_file = "key"\n'
        )
        told = world.run("notify", "test", "hook")
        assert (told.returncode, told.stdout) == (0, "done  hook answered 200: ok?[2J\n")
        early = world.run("notify", "test", "host")
        assert (early.returncode, "no commit of default is applied" in early.stderr) == (
            1,
            True,
        )
        world.push({"a.yaml": agent("a")})
        assert world.run("reconcile").returncode == 0
        refused = world.run("notify", "test", "host")  # Our host takes orloj/default alone.
        assert refused.returncode == 1
        assert "host was not told: it answered 422" in refused.stdout
        world.secret("token", "another")
        denied = world.run("notify", "test", "host", "--json")
        assert json.loads(denied.stdout)["status"] == 401
        unknown = world.run("notify", "test", "nobody")
    assert (unknown.returncode, "there: host, hook" in unknown.stderr) == (1, True)
