"""Whoever follows events sees each of them once, and each time that its count grew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.text import Text

from reconciler.event import events
from reconciler.event.events import Event, EventRecord, EventSeverity
from reconciler.event.stream import GAP_US, Stream, Wanted
from reconciler.views.events import event_json, event_line
from runner.contract.database import Database, open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def happen(
    database: Database, reason: str, source: str = "default", at: int = 1_000_000
) -> None:
    event = Event(source=source, severity=EventSeverity.INFO, reason=reason, message="it is")
    with database.write() as connection:
        events.record(connection, event, at)


def more(database: Database, stream: Stream, now_us: int = 0) -> list[tuple[str, int]]:
    with database.read() as connection:
        return [(r.event.reason, r.count) for r in stream.more(connection, now_us)]


def begun(database: Database) -> Stream:
    stream = Stream()
    with database.read() as connection:
        stream.begin(connection, 10_000, 0)
    return stream


def test_a_new_event_comes_once(database: Database) -> None:
    happen(database, "Old")
    stream = begun(database)
    assert more(database, stream) == []
    happen(database, "New")
    assert more(database, stream) == [("New", 1)]
    assert more(database, stream) == []


def test_an_event_that_is_counted_again_comes_again_with_its_count(database: Database) -> None:
    happen(database, "Same")
    stream = begun(database)
    for _ in range(3):
        happen(database, "Same")
    assert more(database, stream) == [("Same", 4)]
    assert more(database, stream) == []


def test_a_count_that_grew_before_another_event_came_is_not_missed(database: Database) -> None:
    happen(database, "Same")
    stream = begun(database)
    happen(database, "Same")
    happen(database, "Next")
    assert more(database, stream) == [("Same", 2), ("Next", 1)]


def test_every_repository_is_followed_at_once(database: Database) -> None:
    for source in ("a", "b"):
        happen(database, "Same", source)
    stream = begun(database)
    happen(database, "Same", "a")
    happen(database, "Same", "b")
    assert more(database, stream) == [("Same", 2), ("Same", 2)]


def test_nothing_is_missed_or_repeated_however_often_somebody_looks(
    database: Database,
) -> None:
    stream, told = begun(database), list[tuple[int, int]]()
    for number in range(60):
        happen(database, f"R{number // 5}", "ab"[number % 2])
        if number % 4 == 0 or number == 59:
            with database.read() as connection:
                told += [(record.id, record.count) for record in stream.more(connection, 0)]
    with database.read() as connection:
        last = {record.id: record.count for record in events.read(connection)}
    assert sum(last.values()) == 60
    assert len(told) == len(set(told)), "nothing is told twice"
    assert {id: count for id, count in sorted(told)} == last, "and nothing is left out"


def test_a_number_that_becomes_visible_late_is_not_missed(database: Database) -> None:
    happen(database, "First")
    stream = begun(database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO event VALUES (4, 'b', 'info', 'Early', '', NULL, NULL, 1, 1, 1)"
        )
    assert more(database, stream, now_us=5) == [("Early", 1)]
    with database.write() as connection:  # Its transaction began first, and ended last.
        connection.exec_driver_sql(
            "INSERT INTO event VALUES (3, 'c', 'info', 'Late', '', NULL, NULL, 1, 1, 1)"
        )
    assert more(database, stream, now_us=6) == [("Late", 1)]
    assert more(database, stream, now_us=7) == []
    assert stream.gaps == {2: 5}
    assert more(database, stream, now_us=5 + GAP_US) == []
    assert stream.gaps == {}, "what never comes is not asked for for ever"


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(source="other"), False),
        (Wanted(resource="agent/default/a"), True),
        (Wanted(resource="agent/default/b"), False),
        (Wanted(severity=EventSeverity.WARNING), True),
        (Wanted(severity=EventSeverity.ERROR), False),
    ],
    ids=str,
)
def test_only_what_was_asked_for_is_shown(wanted: Wanted, fits: bool) -> None:
    event = Event(
        source="default",
        severity=EventSeverity.WARNING,
        reason="R",
        message="m",
        resource="agent/default/a",
    )
    assert wanted.fits(EventRecord(1, event, 1, 0, 0)) is fits


def test_a_repeated_event_says_how_often_and_over_how_long() -> None:
    event = Event(
        source="default",
        severity=EventSeverity.ERROR,
        reason="RemoteUnreachable",
        message="no answer\x1b[2J\nfrom there",
        commit="a" * 40,
    )
    line = event_line(EventRecord(7, event, 17, 0, 480_000_000))
    assert isinstance(line, Text)
    assert "RemoteUnreachable (x17 over 8m)" in line.plain
    assert "\x1b" not in line.plain
    assert "\n" not in line.plain
    assert event_json(EventRecord(7, event, 17, 0, 480_000_000))["count"] == 17
