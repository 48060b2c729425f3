"""A real daemon keeps the log provable at a real remote, through outages and attacks."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from followed import Followed, agent
from repository import git

from reconciler.proof import checkpoint, note, remote
from runner.contract import audit, clock, database, settings
from runner.contract.audit_entry import Entry, EntryType

pytestmark = pytest.mark.story

AUDIT = '[audit]\nremote = "{}"\npublish_interval_s = 3.0\n'


class Kept(Followed):
    """A world whose log is published to a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.audit = folder / "audit.git"
        super().__init__(folder)
        git("init", "--quiet", "--bare", str(self.audit), folder=folder)
        self.settings(AUDIT.format(self.audit))

    def sizes(self) -> list[int]:
        """How many entries each published checkpoint covers, oldest first."""
        place = remote.place(settings.load(self.home, {}))
        with self.database.read() as connection:
            log = audit.name(connection)
        assert place is not None
        found = remote.Remote(place, self.folder / "reader").published(log)
        return [checkpoint.parse(one.note.text).size for one in found][::-1]

    def published(self) -> int:
        """How many entries the database says are published."""
        return int(self.rows("SELECT coalesce(max(size), 0) FROM audit_publication")[0][0])

    def add(self, type: EntryType) -> None:
        entry = Entry(type=type, actor="person:test", commit="none")
        with self.database.write() as connection:
            audit.append(connection, [entry], clock.now_us())

    @property
    def ref(self) -> str:
        listed = git("for-each-ref", "--format=%(refname)", folder=self.audit)
        return listed.decode().split()[0]

    def entries(self) -> int:
        return int(self.rows("SELECT max(seq) FROM audit_entry")[0][0] or 0)

    def troubles(self) -> dict[str, str]:
        return dict(self.rows("SELECT part, reason FROM audit_trouble"))

    def told(self) -> list[str]:
        """The reasons of the events about the log."""
        found = self.rows("SELECT reason FROM event WHERE source = 'audit-log' ORDER BY id")
        return [row[0] for row in found]

    def types(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT type FROM audit_entry ORDER BY seq")]

    def verified(self) -> "subprocess.CompletedProcess[str]":
        return self.run("audit", "verify", "--against", "published")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.close()


def test_what_is_applied_is_published_at_once_and_a_stop_publishes_the_rest(
    world: Kept,
) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
        world.until(lambda: world.published() > 0)
        assert "manifest.applied" in world.types()[: world.sizes()[0]]
    assert world.types()[-1] == "log.stopped"
    assert world.sizes()[-1] == world.entries(), "the stop itself is published"
    assert world.verified().returncode == 0
    status = world.run("status").stdout
    assert f"at {world.audit}" in status
    assert "open       nothing" in status


def test_many_ends_of_tasks_are_few_pushes(world: Kept) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
        for _ in range(100):
            world.add(EntryType.TASK_FINISHED)
        world.until(lambda: world.published() >= 100)
    assert len(world.sizes()) < 20
    assert world.sizes()[-1] == world.entries()


def test_a_daemon_killed_at_any_moment_of_it_goes_on_with_the_same_past(world: Kept) -> None:
    """Between signing and pushing, between pushing and remembering: nothing forks."""
    for wait_for in ("checkpoint", "audit_publication"):
        with world.daemon() as process:
            world.until(lambda: bool(world.rows(f"SELECT 1 FROM {wait_for}")))  # noqa: B023
            world.add(EntryType.TASK_FINISHED)
            process.send_signal(signal.SIGKILL)
            process.wait()
    with world.database.write() as connection:  # Pushed, and killed before it was noted.
        connection.exec_driver_sql("DELETE FROM audit_publication")
    with world.daemon():
        world.until(lambda: world.published() > 0)
    assert world.troubles() == {}
    assert world.sizes() == sorted(world.sizes())
    assert world.sizes()[-1] == world.entries()
    assert world.verified().returncode == 0


def test_a_remote_that_is_down_is_told_once_and_caught_up_with(world: Kept) -> None:
    away = world.audit.with_name("away.git")
    world.audit.rename(away)
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
        world.until(lambda: "publishing" in world.troubles())
        status = world.run("status", "--exit-code")
        assert status.returncode == 1
        assert "the audit log is not published" in status.stdout
        world.until(lambda: len(world.logged("audit_publishing_failed")) == 1)
        away.rename(world.audit)
        world.until(lambda: world.troubles() == {})
    assert world.sizes()[-1] == world.entries()
    assert world.types().count("log.publish_failed") == 1
    assert world.told() == ["RemoteUnreachable", "Recovered"]


def test_a_remote_that_hangs_holds_up_no_commit(world: Kept) -> None:
    hook, gate = world.audit / "hooks" / "pre-receive", world.folder / "gate"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {gate}.reached\ncat {gate} > {gate}.opened\n")
    hook.chmod(0o755)
    os.mkfifo(gate)
    with world.daemon():
        world.until(Path(f"{gate}.reached").exists)
        world.applied(world.push({"a.yaml": agent("a")}))
        assert world.published() == 0
        hook.rename(hook.with_name("gone"))
        gate.write_bytes(b"go on")
        world.until(lambda: world.published() > 0)
    assert world.sizes()[-1] == world.entries()


def test_a_remote_that_was_put_back_is_an_alarm_until_a_person_decides(world: Kept) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
        world.until(lambda: world.published() > 0)
    first = git("rev-list", "--max-parents=0", world.ref, folder=world.audit).decode().strip()
    git("update-ref", world.ref, first, folder=world.audit)
    with world.daemon():
        world.until(lambda: world.troubles() == {"publishing": "AuditRemoteRewound"})
        assert len(world.sizes()) == 1, "nothing was pushed on top of it"
        anew = world.run("audit", "checkpoint", "--publish", "--anew")
        assert anew.returncode == 0, anew.stderr
        world.until(lambda: world.troubles() == {})
    assert world.told() == ["AuditRemoteRewound", "Recovered"]
    assert world.types().count("log.broken") == 1
    assert world.sizes()[-1] == world.entries()


@pytest.mark.parametrize("remembers", [True, False], ids=["own-memory", "remote-alone"])
def test_a_database_put_back_to_yesterday_is_an_alarm_and_signs_nothing(
    world: Kept, remembers: bool
) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
    world.close()
    shutil.copyfile(world.home / "orloj.db", world.folder / "yesterday.db")
    world.database = database.open_database(world.home)
    with world.daemon():
        world.applied(world.push({"b.yaml": agent("b")}))
    newest, published = world.entries(), world.sizes()
    world.close()
    for path in world.home.glob("orloj.db*"):
        path.unlink()
    shutil.copyfile(world.folder / "yesterday.db", world.home / "orloj.db")
    world.database = database.open_database(world.home)
    signed = world.rows("SELECT max(size) FROM checkpoint")
    if remembers:
        world.audit.rename(world.audit.with_name("away.git"))
    else:
        shutil.rmtree(world.home / "audit")
    # The remote alone may be asked after the old copy has grown over what was published.
    expected = {"AuditLogRolledBack"} | (set() if remembers else {"AuditLogForked"})
    with world.daemon():
        world.until(lambda: world.troubles().get("signing") in expected)
    assert world.rows("SELECT max(size) FROM checkpoint") == signed
    alarm = world.rows("SELECT message FROM audit_trouble WHERE part = 'signing'")[0][0]
    assert f"published to {world.audit}" in alarm
    assert str(newest) in alarm
    assert "log.broken" in world.types()
    assert expected & set(world.told())
    if not remembers:
        assert world.sizes() == published
    refused = world.run("audit", "checkpoint", "--publish")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_entries_exchanged_behind_the_daemon_are_an_alarm(world: Kept) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_entry SET raw = X'7B7D' WHERE seq = 1")
    signed = world.rows("SELECT max(size) FROM checkpoint")
    with world.daemon():
        world.until(lambda: world.troubles().get("signing") is not None)
    assert world.rows("SELECT max(size) FROM checkpoint") == signed
    assert "log.broken" in world.types()


def test_a_key_that_others_may_read_keeps_the_daemon_from_starting(world: Kept) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
    (world.home / "audit.key").chmod(0o640)
    done = world.run("daemon")
    assert done.returncode == 1
    assert "audit.key can be read by others: `chmod 600" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_key_is_rotated_while_the_daemon_runs(world: Kept) -> None:
    with world.daemon():
        world.applied(world.push({"a.yaml": agent("a")}))
        old = world.run("audit", "key", "show").stdout.strip()
        new = world.run("audit", "key", "rotate", "--yes").stdout.strip()
        assert world.rows("SELECT vkey FROM audit_key") == [(old,), (new,)]
        rotated = world.entries()
        world.until(lambda: world.published() >= rotated)
    text = git("show", f"{world.ref}:checkpoint", folder=world.audit).decode()
    key = note.parse_verifier(new)
    assert note.verified(note.parse(text), [note.parse_verifier(old), key]) == [key]
    assert world.verified().returncode == 0
    assert world.troubles() == {}
