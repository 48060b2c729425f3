"""The tests' PostgreSQL is a real one: durable, guarded by a password, gone at the end."""

from collections.abc import Iterator

import postgresql_server
import psycopg
import pytest
from postgresql_server import Mode, Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with Server() as server:
        yield server


def test_it_keeps_what_was_committed(server: Server) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert server.execute(f"SHOW {setting}") == [("on",)]


def test_a_database_is_reached_with_the_password_only(server: Server) -> None:
    url = server.create("guarded")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (id integer)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(server.password, "wrong"))


def test_each_test_has_a_database_of_its_own(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url) as connection:
        tables = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == []


def test_a_database_in_use_can_be_dropped(server: Server) -> None:
    with psycopg.connect(server.create("held"), autocommit=True) as connection:
        server.drop("held")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_what_was_committed_survives_each_way_to_stop(server: Server, mode: str) -> None:
    url = server.create(f"stopped_{mode}")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        connection.commit()
        connection.execute("UPDATE kept SET number = 8")
        if mode == "kill":
            server.kill()
            server.start()
        else:
            ways: dict[str, Mode] = {"fast": "fast", "immediate": "immediate"}
            server.restart(ways[mode])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_paused_server_answers_nothing_until_it_goes_on(server: Server) -> None:
    url = server.create("paused")
    with psycopg.connect(url, autocommit=True) as connection:
        server.pause()
        connection.pgconn.send_query(b"SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(url, connect_timeout=2)
        connection.pgconn.consume_input()
        assert connection.pgconn.is_busy()
        server.resume()
        results = []
        while (result := connection.pgconn.get_result()) is not None:
            results.append(result)
        assert [result.ntuples for result in results] == [1]


def test_sessions_can_be_ended_from_outside(server: Server) -> None:
    url = server.create("ended")
    with psycopg.connect(url, autocommit=True) as connection:
        assert server.terminate("ended") == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_nothing_is_left_behind() -> None:
    if reason := postgresql_server.missing():
        pytest.skip(reason)
    with Server() as server:
        process, folder = server.process, server.folder
    assert process is not None
    assert process.poll() is not None
    assert not folder.exists()
