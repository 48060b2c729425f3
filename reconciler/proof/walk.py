"""Every entry read once, in two processes where there are many: what the tree is made of.

    entries ──halves, at a block──> roots of blocks, and of the parts of blocks that are asked

A half is read by a process of its own, from a connection of its own. Entries are only added,
so both see the same ones.
"""

import multiprocessing
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from reconciler.proof.growth import BLOCK, Growth
from runner.contract import audit, audit_check, database, merkle
from runner.contract.audit_check import SEQ_MAX, Problem
from runner.contract.merkle import Frontier
from runner.contract.settings import Settings

MANY: Final = 200_000
"""Entries from which on a second process pays for its start."""
SKEW_US: Final = 300_000_000
"""How far a clock may be off before an entry's time is taken for a lie."""
_SHOWN: Final = 10

Progress = Callable[[int], None]


@dataclass(slots=True)
class Walked:
    """What entries that follow each other gave.

    `blocks` are the roots of full blocks, `tails` the parts of blocks at the sizes asked for;
    `late` the first entry of a time to come, `early` those that say an earlier time than one
    before them; `oldest` the entry with the earliest time, and that time. `beside` are the
    numbers of entries that have to be held against what stands beside the log.
    """

    size: int
    blocks: list[bytes] = field(default_factory=list)
    tails: dict[int, Frontier] = field(default_factory=dict)
    problem: Problem | None = None
    newest_us: int = 0
    oldest: tuple[int, int] = (0, SEQ_MAX)
    late: int | None = None
    early: list[int] = field(default_factory=list)
    beside: "array[int]" = field(default_factory=lambda: array("q"))

    def roots(self) -> dict[int, bytes]:
        """The root over the first entries, for each size that was asked for."""
        found, blocks = dict[int, bytes](), Frontier()
        for size in sorted(self.tails):
            blocks = blocks.grown(self.blocks[blocks.size : size // BLOCK])
            found[size] = Growth(blocks, self.tails[size]).root
        return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which entries to read, those after one up to another, and what of them is wanted."""

    after: int
    until: int
    sizes: Sequence[int]
    signed: int
    now_us: int


def walk(
    connection: Connection,
    sizes: Iterable[int],
    signed: int,
    now_us: int,
    *,
    progress: Progress = lambda _: None,
    settings: Settings | None = None,
) -> Walked:
    """Read every entry; with `settings`, a second process may open the database as they say."""
    count, _ = audit.end(connection)
    wanted = sorted(sizes)
    if settings is None or count < MANY:
        return _span(connection, _Asked(0, SEQ_MAX, wanted, signed, now_us), progress)
    middle = count // 2 // BLOCK * BLOCK
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as beside:
        after = _Asked(middle, SEQ_MAX, wanted, signed, now_us)
        second = beside.submit(_beside, settings, after)
        before = _Asked(0, middle, wanted, signed, now_us)
        first = _span(connection, before, lambda done: progress(2 * done))
        return _joined(first, second.result()) if first.problem is None else first


def _beside(settings: Settings, asked: _Asked) -> Walked:
    url = settings.database.url.get_secret_value()
    opened = database.open_database(settings.home, url)
    try:
        with opened.read() as connection:
            return _span(connection, asked, lambda _: None)
    finally:
        opened.close()


def _span(connection: Connection, asked: _Asked, progress: Progress) -> Walked:
    """Read the entries after one, which ends a block, up to another."""
    found, tail = Walked(asked.after), Frontier()
    for page in audit_check.pages(connection, asked.after, asked.until, asked.signed):
        start, end = found.size, found.size + len(page.leaves)
        stops = {size for size in asked.sizes if start < size <= end} | {end}
        stops |= set(range(start - start % BLOCK + BLOCK, end + 1, BLOCK))
        for stop in sorted(stops):
            leaves = page.leaves[found.size - start : stop - start]
            found.size = stop
            if len(leaves) == BLOCK:
                found.blocks.append(merkle.perfect(leaves))
            else:
                tail = tail.grown(leaves)
            if tail.size == BLOCK:
                found.blocks.append(tail.root)
                tail = Frontier()
            found.tails[stop] = tail
        _keep_only(found, asked.sizes, end)
        _look_at_times(found, page.times, start, asked.now_us)
        found.beside.extend(page.beside)
        found.problem = page.problem
        progress(found.size)
    return found


def _keep_only(found: Walked, sizes: Sequence[int], end: int) -> None:
    wanted = {*sizes, end}
    for size in [size for size in found.tails if size not in wanted]:
        del found.tails[size]


def _look_at_times(found: Walked, times: Sequence[int], start: int, now_us: int) -> None:
    if not times:
        return
    newest, oldest = max(times), min(times)
    if oldest < found.oldest[1]:
        found.oldest = (start + 1 + times.index(oldest), oldest)
    if newest > now_us + SKEW_US and found.late is None:
        found.late = next(
            seq for seq, time in enumerate(times, start + 1) if time > now_us + SKEW_US
        )
    if oldest < max(found.newest_us, newest) - SKEW_US and len(found.early) < _SHOWN:
        before = found.newest_us
        for seq, time in enumerate(times, start + 1):
            if time < before - SKEW_US and len(found.early) < _SHOWN:
                found.early.append(seq)
            before = max(before, time)
    found.newest_us = max(found.newest_us, newest)


def _joined(first: Walked, second: Walked) -> Walked:
    early = first.early + second.early
    if second.oldest[1] < first.newest_us - SKEW_US:
        early.append(second.oldest[0])
    return Walked(
        size=second.size,
        blocks=first.blocks + second.blocks,
        tails=first.tails | second.tails,
        problem=second.problem,
        newest_us=max(first.newest_us, second.newest_us),
        late=second.late if first.late is None else first.late,
        early=sorted(set(early))[:_SHOWN],
        beside=first.beside + second.beside,
    )
