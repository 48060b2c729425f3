"""What was signed stands at the remote soon, once, and on top of what stood there.

A remote that was put back, that holds another past, or that is ahead of the database stops
the publisher; nothing is ever pushed over it.
"""

from collections.abc import Iterator
from pathlib import Path

import home
import pytest
from repository import git

from reconciler.proof import agreement, checkpoint, checkpoints, keys, pace, remote, troubles
from reconciler.proof.keeper import Keeper
from reconciler.proof.note import Note
from reconciler.proof.pace import Facts
from reconciler.proof.publisher import Publisher
from reconciler.proof.troubles import Part
from runner.contract import audit, clock, errors, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

TEXT = '[audit]\nremote = "{}"\npublish_interval_s = 30.0\n'


class World:
    """A home whose log is published to a bare repository."""

    def __init__(self, folder: Path) -> None:
        self.origin = folder / "origin.git"
        git("init", "--quiet", "--bare", str(self.origin), folder=folder)
        self.home = folder / "home"
        self.database: Database = home.opened(self.home)
        (self.home / "orloj.toml").write_text(TEXT.format(self.origin))
        self.settings = settings.load(self.home, {})
        self.publisher = self.another()

    def another(self) -> Publisher:
        place = remote.place(self.settings)
        assert place is not None
        return Publisher(self.settings, self.database, place)

    def add(self, type: EntryType = EntryType.TASK_QUEUED, count: int = 1) -> None:
        with self.database.write() as connection:
            entries = [Entry(type=type, actor="a", commit="none")] * count
            audit.append(connection, entries, clock.now_us())
        Keeper(self.settings, self.database, clock.now_us).step(at_once=True)

    @property
    def ref(self) -> str:
        return f"refs/audit/{self.name}/{clock.iso(clock.now_us())[:4]}"

    @property
    def name(self) -> str:
        with self.database.read() as connection:
            return audit.name(connection)

    def sizes(self) -> list[int]:
        """How many entries each commit at the remote covers, oldest first."""
        place = remote.place(self.settings)
        assert place is not None
        found = remote.Remote(place, self.home.parent / "reader").published(self.name)
        return [checkpoint.parse(one.note.text).size for one in found][::-1]

    def tip(self) -> str:
        return git("rev-parse", self.ref, folder=self.origin).decode().strip()

    def put_at_remote(self, size: int, root: bytes, *, ours: bool = True) -> None:
        """A checkpoint of this log that we did not publish."""
        said = checkpoint.Checkpoint(self.name, size, root)
        key = keys.signing(self.settings, self.name) if ours else keys.note.generate(self.name)
        text = str(Note(said.text, (key.sign(said.text),)))
        stream = (
            f"commit {self.ref}\ncommitter a <a@b> 1 +0000\ndata 0\n\nfrom {self.ref}^0\n"
            f"M 100644 inline checkpoint\ndata {len(text.encode())}\n{text}\n"
        )
        git("fast-import", "--quiet", folder=self.origin, given=stream.encode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.add()
    yield made
    made.database.close()


def test_each_publication_is_a_commit_on_top_of_the_last(world: World) -> None:
    for _ in range(3):
        world.publisher.publish()
        world.add()
    assert world.sizes() == [1, 2, 3]
    assert git("rev-list", "--count", world.ref, folder=world.origin).strip() == b"3"
    git("fsck", "--strict", folder=world.origin)


def test_a_commit_holds_the_checkpoint_and_the_keys_with_their_notes(world: World) -> None:
    with world.database.write() as connection:
        keys.rotate(world.settings, connection, "person:ada", clock.now_us())
    keys.finish(world.settings)
    world.add()
    world.publisher.publish()
    listed = git("ls-tree", "-r", "--name-only", world.ref, folder=world.origin).decode()
    assert listed.split() == [
        "checkpoint", "growth", "keys/0.note", "keys/0.vkey", "keys/1.note", "keys/1.vkey",
        "keys/ml-dsa-44.note", "keys/ml-dsa-44.vkey",
    ]  # fmt: skip
    with world.database.read() as connection:
        known = keys.known(connection)
    for one in known:
        vkey = git("show", f"{world.ref}:keys/{one.number}.vkey", folder=world.origin)
        assert vkey.decode() == f"{one.key}\n"
    text = git("show", f"{world.ref}:checkpoint", folder=world.origin).decode()
    assert checkpoints.opened(text, [known[1].key], world.name)[0].size == 3


def test_another_publisher_of_the_home_goes_on_where_one_ended(world: World) -> None:
    world.publisher.publish()
    world.add()
    world.another().publish()
    world.add()
    world.publisher.publish()  # What it saw is no longer there: it looks again.
    assert world.sizes() == [1, 2, 3]


def test_one_without_its_mirror_goes_on_as_well(world: World, tmp_path: Path) -> None:
    world.publisher.publish()
    (world.home / "audit").rename(tmp_path / "lost")
    world.add()
    world.another().publish()
    assert world.sizes() == [1, 2]


def test_a_push_that_nobody_remembers_is_taken_for_ours(world: World) -> None:
    """Killed between the push and the note of it."""
    world.publisher.publish()
    world.add()
    world.publisher.publish()
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_publication SET size = 1")
        connection.exec_driver_sql("UPDATE checkpoint SET published_at = NULL WHERE size = 2")
    world.add()
    world.another().publish()
    assert world.sizes() == [1, 2, 3]


@pytest.mark.parametrize("remembers", [True, False], ids=["running", "started-anew"])
@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "put-back"])
def test_a_remote_that_was_put_back_is_not_published_on(
    world: World, remembers: bool, deleted: bool
) -> None:
    world.publisher.publish()
    first = world.tip()
    world.add()
    world.publisher.publish()
    change = ["-d", world.ref] if deleted else [world.ref, first]
    git("update-ref", *change, folder=world.origin)
    world.add()
    publisher = world.publisher if remembers else world.another()
    with pytest.raises(errors.AuditBroken, match="it took 2 before: somebody put") as raised:
        publisher.publish()
    assert raised.value.reason == agreement.REWOUND  # type: ignore[attr-defined]
    assert publisher.ours is None, "our log is not to blame, and goes on being signed"
    assert world.sizes() == ([] if deleted else [1])
    publisher.publish(anew=True)
    assert world.sizes() == ([3] if deleted else [1, 3])
    world.add()
    publisher.publish()


@pytest.mark.parametrize(
    ("size", "reason", "ours"),
    [
        pytest.param(5, agreement.ROLLED_BACK, True, id="ahead-of-us"),
        pytest.param(2, agreement.FORKED, True, id="another-past"),
        pytest.param(1, agreement.FOREIGN, False, id="no-key-of-ours"),
    ],
)
def test_a_remote_that_disagrees_stops_the_publisher(
    world: World, size: int, reason: str, ours: bool
) -> None:
    world.publisher.publish()
    world.add(count=2)
    world.put_at_remote(size, b"\x07" * 32, ours=reason != agreement.FOREIGN)
    before = world.tip()
    for publisher in (world.publisher, world.another()):
        with pytest.raises(errors.AuditBroken) as raised:
            publisher.publish()
        assert raised.value.reason == reason  # type: ignore[attr-defined]
        assert str(world.origin) in str(raised.value)
        assert (publisher.ours is not None) == ours
        with pytest.raises(errors.AuditBroken):
            publisher.publish(anew=not ours)
    assert world.tip() == before


def test_a_database_that_was_put_back_is_known_without_the_remote(world: World) -> None:
    world.add(count=5)
    world.publisher.publish()
    assert world.another().remembered() is None
    with world.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM audit_entry WHERE seq > 2")
    world.origin.rename(world.origin.with_name("away"))
    found = world.another().remembered()
    assert found is not None
    assert found.reason == agreement.ROLLED_BACK
    assert found.ours


def test_what_a_hook_of_the_remote_says_is_told(world: World) -> None:
    hook = world.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'deploy keys may not write' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(errors.SourceWaiting, match=r"deploy keys may not write.*refs/audit"):
        world.publisher.publish()
    hook.unlink()
    world.publisher.publish()
    assert world.sizes() == [1]


def test_a_remote_that_refuses_force_takes_what_we_push(world: World) -> None:
    git("config", "receive.denyNonFastForwards", "true", folder=world.origin)
    git("config", "receive.denyDeletes", "true", folder=world.origin)
    world.publisher.publish()
    world.add()
    world.publisher.publish()
    assert world.sizes() == [1, 2]


def test_a_trouble_is_told_once_until_it_is_over(world: World) -> None:
    now_us = clock.now_us()
    failing = troubles.Trouble(Part.PUBLISHING, "RemoteUnreachable", "it is down")
    alarm = troubles.Trouble(Part.PUBLISHING, agreement.REWOUND, "put back", alarm=True)
    with world.database.write() as connection:
        for one in (failing, failing, failing, alarm, alarm):
            troubles.begin(connection, one, now_us)
        standing = troubles.standing(connection)[Part.PUBLISHING]
        assert (standing.reason, standing.since_at) == (agreement.REWOUND, now_us)
        troubles.over(connection, Part.PUBLISHING, now_us)
        troubles.over(connection, Part.PUBLISHING, now_us)
        assert troubles.standing(connection) == {}
        types = [
            one.fields["type"]
            for one in audit.read(connection, type_prefix="log.")
        ]  # fmt: skip
    assert types == ["log.publish_failed", "log.broken"]
    told = world.rows("SELECT source, severity, reason, count FROM event ORDER BY id")
    assert told == [
        (troubles.SOURCE, "warning", "RemoteUnreachable", 1),
        (troubles.SOURCE, "error", agreement.REWOUND, 1),
        (troubles.SOURCE, "info", "Recovered", 1),
    ]


SECOND = 1_000_000
AT = 1_000 * SECOND


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts(signed=0, published=0, published_at=None, urgent=False), None, id="nothing"
        ),
        pytest.param(
            Facts(signed=3, published=0, published_at=None, urgent=False), 0, id="the-first"
        ),
        pytest.param(
            Facts(signed=3, published=1, published_at=AT, urgent=True),
            AT + 10 * SECOND,
            id="urgent",
        ),
        pytest.param(
            Facts(signed=3, published=1, published_at=AT, urgent=False),
            AT + 300 * SECOND,
            id="new",
        ),
        pytest.param(
            Facts(signed=3, published=3, published_at=AT, urgent=False),
            AT + 3600 * SECOND,
            id="idle",
        ),
        pytest.param(
            Facts(signed=3, published=1, published_at=AT, urgent=True, retry_at=AT + 7),
            AT + 7,
            id="failed-before",
        ),
    ],
)
def test_when_it_is_due(facts: Facts, expected: int | None) -> None:
    assert pace.due_us(facts, 300 * SECOND, 3_600 * SECOND) == expected


def test_a_failure_is_tried_again_later_and_later_and_not_for_ever_later() -> None:
    pauses = [pace.pause_us(count) for count in range(1, 40)]
    assert pauses[:3] == [SECOND, 2 * SECOND, 4 * SECOND]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 900 * SECOND
