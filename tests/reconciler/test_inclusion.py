"""Proofs out of the stored log are those of the whole tree, and a broken log proves nothing."""

from collections.abc import Iterator

import home
import pytest

from reconciler.proof.growth import BLOCK
from reconciler.proof.inclusion import Tree
from runner.contract import audit, errors, merkle
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 1300]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = home.opened(tmp_path_factory.mktemp("log"))
    entries = [Entry(type=EntryType.TASK_QUEUED, actor="a", commit="none")] * max(SIZES)
    with opened.write() as connection:
        audit.append(connection, entries, 1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def leaves(log: Database) -> list[bytes]:
    with log.read() as connection:
        return [merkle.leaf(stored.raw) for stored in audit.read(connection)]


@pytest.mark.parametrize("known", [0, 2, 9], ids=["no root", "some roots", "all roots"])
@pytest.mark.parametrize("size", SIZES)
def test_every_proof_is_that_of_the_whole_tree(
    log: Database, leaves: list[bytes], size: int, known: int
) -> None:
    with log.write() as connection:
        for number in range(min(known, size // BLOCK)):
            root = merkle.root(leaves[number * BLOCK : (number + 1) * BLOCK])
            connection.exec_driver_sql(
                "INSERT INTO audit_subtree (number, root) VALUES (?, ?)", (number, root)
            )
        tree = Tree(connection, size)
        assert tree.head == merkle.root(leaves[:size])
        for index in {0, 1, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
            assert tree.path(index) == merkle.inclusion(leaves[:size], index)
            assert tree.leaf(index) == leaves[index]
        for old in {1, 2, 255, 256, 257, size // 2, size - 1, size} & set(range(1, size + 1)):
            assert tree.consistency(old) == merkle.consistency(leaves[:size], old)
        connection.exec_driver_sql("DELETE FROM audit_subtree")


def test_what_is_not_there_cannot_be_proved(log: Database) -> None:
    with log.read() as connection:
        tree = Tree(connection, 300)
        for prove in (
            lambda: tree.path(300),
            lambda: tree.path(-1),
            lambda: tree.consistency(0),
            lambda: tree.consistency(301),
        ):
            with pytest.raises(IndexError):
                prove()
        with pytest.raises(errors.AuditBroken, match="are not all there"):
            Tree(connection, 2_000).path(1_999)
