"""A memory in PostgreSQL is one memory for all hosts, and says what the server lacks.

Vectors need the extension pgvector: where the server of this machine has none, a server that
has it can be named by ORLOJ_TEST_PGVECTOR_URL; else those tests are skipped.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from memories import Desk, memory
from postgresql_server import Server

from runner.contract.errors import ToolFailed

VECTORS = os.environ.get("ORLOJ_TEST_PGVECTOR_URL", "")


def desk(folder: Path, url: str, **spec: Any) -> Desk:
    """An agent with a memory at an address, its password in a Secret as it must be."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    place = f"postgres://{parts.username}@{host}{parts.path}"
    auth = {"auth": {"secretRef": "db"}} if parts.password else {}
    made = Desk(folder, memory(provider="pgvector", endpoint=place, **auth, **spec))
    made.secrets["db"] = parts.password or ""
    return made


@pytest.fixture(params=["kv", "vector"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A type of memory, and an empty database for it."""
    if request.param == "kv":
        return "kv", str(request.getfixturevalue("postgresql_url"))
    return "vector", str(request.getfixturevalue("vector_url"))


@pytest.fixture
def vector_url(postgresql: Server, request: pytest.FixtureRequest) -> str:
    """The address of a database that can compare vectors, without our tables in it."""
    if VECTORS:
        with psycopg.connect(VECTORS, autocommit=True) as connection:
            for ending in ("", "_space", "_done"):
                connection.execute(f"DROP TABLE IF EXISTS orloj_memory_entry{ending}".encode())
        return VECTORS
    if not postgresql.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("the PostgreSQL server here has no extension vector (package pgvector)")
    url = str(request.getfixturevalue("postgresql_url"))
    postgresql.execute("CREATE EXTENSION vector", database=url.rpartition("/")[2])
    return url


def test_what_one_host_keeps_another_finds(tmp_path: Path, place: tuple[str, str]) -> None:
    type, url = place
    one, other = desk(tmp_path / "1", url, type=type), desk(tmp_path / "2", url, type=type)
    assert one.call("list") == {"entries": [], "count": 0}
    assert one.call("search", query="apples")["count"] == 0
    one.call("write", key="a/1", value="Red apples")
    one.call("write", key="a_2", value="Cats sleep")
    assert other.call("read", key="a/1") == {"found": True, "key": "a/1", "value": "Red apples"}
    assert [item["key"] for item in other.call("list", prefix="a/")["entries"]] == ["a/1"]
    found = other.call("search", query="red apples", top_k=1)["results"]
    assert [(item["key"], item["score"] > 0.9) for item in found] == [("a/1", True)]
    assert not (tmp_path / "1").exists()


def test_a_call_made_again_changes_nothing_twice(
    tmp_path: Path, place: tuple[str, str]
) -> None:
    type, url = place
    clerk = desk(tmp_path, url, type=type)
    clerk.call("ingest", "t1:3", source="s", content="mine")
    clerk.call("write", "t2:1", key="s/chunk-0001", value="theirs")
    clerk.call("ingest", "t1:3", source="s", content="mine")
    assert clerk.call("list")["entries"] == [{"key": "s/chunk-0001", "value": "theirs"}]
    clerk.call("ingest", "t1:4", source="s", content="z" * 1_500)
    clerk.call("ingest", "t1:5", source="s", content="short")
    assert clerk.call("list")["entries"] == [{"key": "s/chunk-0001", "value": "short"}]


def test_hosts_that_write_first_at_once_make_one_memory(
    tmp_path: Path, place: tuple[str, str]
) -> None:
    type, url = place

    def written(name: str) -> int:
        clerk = desk(tmp_path, url, type=type)
        clerk.bounds = Desk(tmp_path, memory_entries_max=8).bounds
        kept = 0
        for number in range(5):
            with contextlib.suppress(ToolFailed):
                clerk.call("write", f"{name}:{number}", key=f"{name}/{number}", value="v")
                kept += 1
        return kept

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(written, ["one", "two", "three"])) == 8
    clerk = desk(tmp_path, url, type=type)
    assert clerk.call("list")["count"] == 8
    clerk.bounds = Desk(tmp_path, memory_entries_max=8).bounds
    with pytest.raises(ToolFailed, match="full: it takes 8 entries"):
        clerk.call("write", key="ninth", value="v")


def test_another_maker_of_vectors_is_refused(tmp_path: Path, vector_url: str) -> None:
    clerk = desk(tmp_path, vector_url)
    clerk.call("write", key="k", value="v")
    clerk.call("write", key="nothing", value="!!!")
    assert [one["key"] for one in clerk.call("search", query="v")["results"]] == ["k"]
    assert clerk.call("search", query="???")["count"] == 0
    with psycopg.connect(vector_url, autocommit=True) as connection:
        connection.execute("UPDATE orloj_memory_entry_space SET dimensions = 3")
    for tool, arguments in (("write", {"key": "x", "value": "v"}), ("search", {"query": "v"})):
        with pytest.raises(ToolFailed, match="which cannot be compared"):
            clerk.call(tool, **arguments)


def test_a_server_without_the_extension_says_what_is_missing(
    tmp_path: Path, postgresql_url: str
) -> None:
    with pytest.raises(ToolFailed, match="no extension vector"):
        desk(tmp_path, postgresql_url).call("write", key="k", value="v")


def test_a_wrong_password_and_a_silent_server_are_errors_without_it(
    tmp_path: Path, postgresql_url: str
) -> None:
    clerk = desk(tmp_path, postgresql_url, type="kv")
    clerk.secrets["db"] = "canary-password"
    with pytest.raises(ToolFailed, match="cannot be reached") as failed:
        clerk.call("read", key="k")
    assert "canary-password" not in str(failed.value)


def test_a_table_of_ones_own_is_used(tmp_path: Path, postgresql_url: str) -> None:
    desk(tmp_path, postgresql_url, type="kv", options={"table": "own"}).call(
        "write", key="k", value="v"
    )
    with psycopg.connect(postgresql_url) as connection:
        rows = connection.execute("SELECT memory, key, task FROM own").fetchall()
    assert rows == [("default/notes", "k", "task")]
