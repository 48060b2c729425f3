"""What is recorded is read back as it was written, however many are asked for at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from home import opened
from sqlalchemy import Connection, event

from reconciler import recorded
from reconciler.recorded import SourceState
from reconciler.resource import Recorded
from runner.contract.database import Database
from runner.contract.kinds import Key

GIT = "git:default"
MANY = 1_000  # More than fit into one statement's variables in batches.


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    database = opened(tmp_path, database_url)
    yield database
    database.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        yield connection


def put(connection: Connection, name: str, owner: str = GIT, path: str = "x.yaml") -> Recorded:
    key = Key("default", "Agent", name)
    connection.exec_driver_sql(
        "INSERT INTO resource VALUES (?, ?, ?, ?, NULL, ?, 1, 'b1', 'h', '{}', '{}', 1, 0)",
        (*key, owner, path),
    )
    return Recorded(key, owner, None, path, 1, "h", "{}", 1, "b1")


def test_resources_are_found_by_key_whoever_owns_them(connection: Connection) -> None:
    made = [put(connection, f"a{number}") for number in range(MANY)]
    made.append(put(connection, "hers", "person:dana"))
    asked = [item.key for item in made] + [Key("default", "Agent", "missing")]
    assert recorded.resources_with(connection, asked) == {item.key: item for item in made}


def test_resources_are_found_by_file_for_one_owner(connection: Connection) -> None:
    made = [put(connection, f"a{number}", path=f"{number}.yaml") for number in range(MANY)]
    put(connection, "hers", "person:dana", "1.yaml")
    paths = [item.path for item in made]
    assert recorded.resources_at(connection, GIT, paths) == {item.key: item for item in made}
    assert recorded.inventory(connection, GIT) == dict.fromkeys(paths, "b1")
    assert recorded.count(connection, GIT) == MANY


def test_a_source_is_read_back_as_it_was_written(connection: Connection) -> None:
    state = SourceState(
        name="default", url="file:///r", ref="main", path="", settings_digest="d"
    )
    for written in (state, replace(state, applied_commit="c" * 40, checked_at=7)):
        recorded.put_source(connection, written)
        assert recorded.source(connection) == written
    assert recorded.sources(connection) == [written]


def test_a_cached_blob_is_known_only_to_the_parser_that_wrote_it(
    connection: Connection,
) -> None:
    recorded.remember(connection, {"b1": "one", "b2": "two"}, "v1")
    assert recorded.cached(connection, ["b1", "b3"], "v1") == {"b1": "one"}
    assert recorded.cached(connection, ["b1"], "v2") == {}


def test_the_blob_cache_has_a_limit(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "CACHED_BLOBS_MAX", 10)
    for number in range(30):
        recorded.remember(connection, {f"b{number}": "text"}, "v1")
    blobs = [f"b{number}" for number in range(30)]
    assert sorted(recorded.cached(connection, blobs, "v1")) == sorted(blobs[-10:])


def test_what_a_pass_asks_is_looked_up_and_never_read_through(
    database: Database, connection: Connection
) -> None:
    for number in range(MANY):
        put(connection, f"a{number}", path=f"{number}.yaml")
    connection.exec_driver_sql("ANALYZE")
    asked: list[tuple[str, object]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def keep(_c: object, _k: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    recorded.resources_with(connection, [Key("default", "Agent", "a1")])
    recorded.resources_at(connection, GIT, ["1.yaml"])
    recorded.dependents(connection, GIT, [Key("default", "Tool", "t")])
    event.remove(connection, "before_cursor_execute", keep)

    if database.shared:  # Tables this small it would rather read, if it were let.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        used = [
            [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]
            for statement, values in asked
        ]
        by_key, by_path, by_target = (" / ".join(steps) for steps in used)
        assert "resource_pkey" in by_key
        assert "resource_path" in by_path
        assert "Seq Scan" not in by_key + by_path + by_target
        return
    used = [
        [
            row[3]
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
        for statement, values in asked
    ]
    by_key, by_path, by_target = (" / ".join(steps) for steps in used)
    assert "SEARCH resource USING INDEX sqlite_autoindex_resource_1" in by_key
    assert "SEARCH resource USING INDEX resource_path (owner=? AND path=?)" in by_path
    assert "SEARCH f USING INDEX reference_to" in by_target
    assert "SCAN resource" not in by_key + by_path + by_target
