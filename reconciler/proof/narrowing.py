"""Where in a stretch of entries the first bad one lies, as far as anything can tell.

    root that does not fit ──> entries that no program of ours wrote ──> that one
                           ──> blocks whose stored roots fit what was signed ──> that block

A root covers all entries before it. The roots of blocks of 256 that the keeper wrote down
narrow it, but only where they lead to the signed root: else they were written anew as well.
"""

from typing import Any

from sqlalchemy import Connection

from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.finding import Attack, Finding
from reconciler.proof.growth import BLOCK, Growth
from reconciler.proof.walk import Walked
from runner.contract import audit_check
from runner.contract.merkle import Frontier

_BLOCKS = "SELECT root FROM audit_subtree WHERE number < ? ORDER BY number"
_GAP = (
    "SELECT task FROM audit_entry WHERE task IS NOT NULL AND task_seq IS NOT NULL"
    " GROUP BY task HAVING count(*) <> max(task_seq) OR min(task_seq) <> 1"
    " ORDER BY min(seq) LIMIT 1"
)
_NUMBERS = (
    "SELECT seq, task_seq FROM audit_entry WHERE task = ? AND task_seq IS NOT NULL"
    " ORDER BY task_seq, seq"
)


def strange(connection: Connection, first: int, until: int) -> Finding | None:
    """The first of these entries whose bytes are not in the one form that is written."""
    size = first - 1
    for page in audit_check.pages(connection, size, until):
        size += len(page.leaves)
        if page.problem is not None:
            return Finding(Attack(page.problem.attack), page.problem.sentence, size + 1)
    return None


def span(
    connection: Connection, walked: Walked, said: Checkpoint, first: int
) -> tuple[int, int]:
    """Between which entries the first lies that is not under a signed root."""
    count = said.size // BLOCK
    stored = [bytes(root) for root in connection.exec_driver_sql(_BLOCKS, (count,)).scalars()]
    tail = walked.tails[said.size]
    whole = len(stored) == count and Growth(Frontier().grown(stored), tail).root == said.root
    for number in range((first - 1) // BLOCK, count) if whole else ():
        if stored[number] != walked.blocks[number]:
            return max(first, number * BLOCK + 1), (number + 1) * BLOCK
    return first, said.size


def gap(connection: Connection) -> Finding | None:
    """The first task of which an entry is missing, and after which one."""
    task: Any = connection.exec_driver_sql(_GAP).scalar_one_or_none()
    if task is None:
        return None
    before = 0
    for seq, number in connection.exec_driver_sql(_NUMBERS, (task,)):
        if number != before + 1:
            sentence = (
                f"task {task} has no entry number {before + 1}: this one is its number {number}"
            )
            return Finding(Attack.DELETION, sentence, seq)
        before = number
    raise AssertionError("a task whose numbers have no gap was taken for one with a gap")
