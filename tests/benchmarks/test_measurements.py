"""What the benchmarks measure is the real way of a task, and the limits are of our schema."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import limits
from ours import Ours
from tally import Tally

from runner.contract import audit_check

TASKS = 60


def test_a_worker_that_does_nothing_finishes_every_task_through_the_real_runner(
    tmp_path: Path,
) -> None:
    ours = Ours(tmp_path)
    ours.submit(TASKS)
    with ours.runner(2):
        ours.settle(timeout_s=30)
    assert ours.finished() == TASKS
    assert {row[0] for row in ours.home.rows("SELECT outcome FROM attempt")} == {"succeeded"}
    with ours.home.database.read() as connection:
        verdict = audit_check.verify(connection)
    assert verdict.holds
    assert verdict.entries == 3 * TASKS + 2  # And that the log began and ended.
    ours.close()


def test_a_task_tells_when_it_was_sent_and_when_it_began(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "tally")
    tally.note(5)
    tally.note()
    assert [sent for sent, _ in tally.marks()] == [5, 0]
    first, second = (at for _, at in tally.marks())
    assert first <= second
    assert tally.count() == 2


@pytest.mark.parametrize("group", [1, 7], ids=["one by one", "in groups"])
def test_the_limit_of_bare_sqlite_finishes_every_task(tmp_path: Path, group: int) -> None:
    assert limits.sqlite(tmp_path, TASKS, group) > 0


def test_the_limit_with_our_rows_writes_to_our_schema(tmp_path: Path) -> None:
    assert limits.same_rows(tmp_path, TASKS, 7) > 0


def test_the_limit_of_bare_psycopg_finishes_every_task(postgresql_url: str) -> None:
    assert limits.postgresql(postgresql_url, TASKS, 7, processes=2) > 0
