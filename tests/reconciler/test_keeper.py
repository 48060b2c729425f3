"""The keeper signs the log as it grows, and nothing that does not go on from what it signed."""

import stat
from collections.abc import Iterator
from pathlib import Path

import home
import pytest

from reconciler.proof import checkpoints, keys, note
from reconciler.proof.growth import BLOCK, Growth
from reconciler.proof.keeper import Keeper, Signed, stored
from runner.contract import audit, errors, merkle, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

SECOND_US = 1_000_000


class Log:
    """A home with a log, a keeper of it, and a clock that the test moves."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder, self.now_us = folder, 1_800_000_000_000_000
        self.database: Database = home.opened(folder, url)
        self.settings = settings.load(folder, {})
        self.keeper = self.new_keeper()

    def new_keeper(self) -> Keeper:
        return Keeper(self.settings, self.database, lambda: self.now_us)

    def add(self, count: int = 1) -> None:
        entries = [Entry(type=EntryType.TASK_QUEUED, actor="a", commit="none")] * count
        with self.database.write() as connection:
            audit.append(connection, entries, self.now_us)

    def tamper(self, statement: str, *values: object) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql(statement, values)

    def signed(self) -> Signed:
        found = self.keeper.step(at_once=True)
        assert found is not None
        return found

    def signed_name(self) -> str:
        with self.database.read() as connection:
            return audit.name(connection)

    def leaves(self) -> list[bytes]:
        with self.database.read() as connection:
            return [merkle.leaf(entry.raw) for entry in audit.read(connection)]


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Log]:
    made = Log(tmp_path, database_url)
    yield made
    made.database.close()


def test_an_empty_log_is_not_signed(log: Log) -> None:
    assert log.keeper.step(at_once=True) is None


def test_a_few_entries_are_signed_when_they_are_two_seconds_old(log: Log) -> None:
    log.add(3)
    assert log.keeper.step() is None
    log.now_us += 2 * SECOND_US - 1
    assert log.keeper.step() is None
    log.now_us += 1
    found = log.keeper.step()
    assert found is not None
    assert found.checkpoint.size == 3
    assert log.keeper.step() is None


def test_64_entries_are_signed_at_once(log: Log) -> None:
    log.add(63)
    assert log.keeper.step() is None
    log.add()
    found = log.keeper.step()
    assert found is not None
    assert found.checkpoint.size == 64


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_what_is_signed_is_the_tree_over_every_entry(log: Log, size: int) -> None:
    for part in (size // 2, size - size // 2):
        if part:
            log.add(part)
            log.signed()
    with log.database.read() as connection:
        newest = checkpoints.newest(connection)
        known = [one.key for one in keys.known(connection)]
        assert newest is not None
        said = checkpoints.trusted(newest, known, audit.name(connection))
        roots = dict(connection.exec_driver_sql("SELECT number, root FROM audit_subtree").all())
    leaves = log.leaves()
    assert (said.size, said.root) == (size, merkle.root(leaves))
    assert roots == {
        number: merkle.root(leaves[number * BLOCK : (number + 1) * BLOCK])
        for number in range(size // BLOCK)
    }


def test_another_keeper_goes_on_where_one_ended(log: Log) -> None:
    log.add(300)
    log.signed()
    log.add(300)
    log.keeper = log.new_keeper()
    assert log.signed().checkpoint.root == merkle.root(log.leaves())


@pytest.mark.parametrize("fresh", [False, True], ids=["the same keeper", "a new one"])
@pytest.mark.parametrize(
    ("statement", "match"),
    [
        pytest.param("DELETE FROM audit_entry WHERE seq > 5", "cut off", id="truncated"),
        pytest.param(
            "UPDATE checkpoint SET note = 'x'", "does not hold", id="note-that-is-none"
        ),
        pytest.param(
            "UPDATE checkpoint SET size = 9", "kept as 9 entries", id="note-of-another-size"
        ),
        pytest.param("UPDATE audit_key SET vkey = 'x'", "keys", id="key-replaced"),
        pytest.param("DELETE FROM audit_entry WHERE seq = 12", "missing", id="removed-since"),
    ],
)
def test_a_log_that_does_not_go_on_is_not_signed(
    log: Log, statement: str, match: str, fresh: bool
) -> None:
    log.add(10)
    log.signed()
    if "seq > 5" not in statement:
        log.add(5)
    log.tamper(statement)
    if fresh:
        log.keeper = log.new_keeper()
    with pytest.raises(errors.AuditBroken, match=match):
        log.keeper.step(at_once=True)


def test_entries_that_were_exchanged_are_not_signed_by_a_new_keeper(log: Log) -> None:
    log.add(10)
    log.signed()
    log.add()
    log.tamper("UPDATE audit_entry SET raw = ? WHERE seq = 3", b"{}")
    log.keeper = log.new_keeper()
    with pytest.raises(errors.AuditBroken, match="not those that were"):
        log.keeper.step(at_once=True)


def test_the_key_is_ours_alone_and_of_this_log(log: Log) -> None:
    log.add()
    log.signed()
    file = log.folder / "audit.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    with pytest.raises(errors.SettingsInvalid, match="can be read by others"):
        keys.signing(log.settings, "orloj/x")
    file.chmod(0o600)
    with pytest.raises(errors.SettingsInvalid, match="this database holds orloj/x"):
        keys.signing(log.settings, "orloj/x")


def test_another_key_does_not_sign_unless_the_old_one_said_so(log: Log) -> None:
    log.add()
    log.signed()
    (log.folder / "audit.key").unlink()
    log.add()
    with pytest.raises(errors.SettingsInvalid, match="put that key back"):
        log.keeper.step(at_once=True)
    assert not (log.folder / "audit.key").exists()
    keys.write(log.folder / "audit.key", note.generate(log.signed_name()))
    with pytest.raises(errors.SettingsInvalid, match="hand over"):
        log.keeper.step(at_once=True)


@pytest.mark.parametrize("crash", [False, True], ids=["finished", "killed in between"])
def test_a_rotated_key_signs_from_then_on_and_the_old_one_vouches_for_it(
    log: Log, crash: bool
) -> None:
    log.add()
    before = log.signed()
    with log.database.write() as connection:
        new = keys.rotate(log.settings, connection, "person:ada", log.now_us)
    if not crash:
        keys.finish(log.settings)
    after = log.signed()
    with log.database.read() as connection:
        known = keys.known(connection)
        entry = next(iter(audit.read(connection, type_prefix="log.key_rotated")))
    assert [one.key for one in known][1] == new
    assert after.note.signatures[0].key_id == new.key_id
    assert before.note.signatures[0].key_id == known[0].key.key_id
    assert entry.fields["outcome"] == new.key_id.hex()


def test_a_key_that_nobody_signed_for_is_none_of_the_log(log: Log) -> None:
    log.add()
    log.signed()
    with log.database.write() as connection:
        keys.rotate(log.settings, connection, "person:ada", log.now_us)
    keys.finish(log.settings)
    log.tamper(
        "UPDATE audit_key SET note = (SELECT note FROM audit_key WHERE number = 0)"
        " WHERE number = 1"
    )
    with log.database.read() as connection, pytest.raises(errors.AuditBroken, match="key 1"):
        keys.known(connection)


def test_growth_is_the_tree_of_all_its_leaves(log: Log) -> None:
    log.add(700)
    with log.database.read() as connection:
        for size in (0, 1, 256, 257, 511, 512, 700):
            assert stored(connection, size).root == merkle.root(log.leaves()[:size])
    assert Growth().root == merkle.EMPTY
