"""A person sees and deletes what agents keep; the log says so, and not what it was."""

import json
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import LocalServer
from memories import Desk, memory
from model_server import said

from reconciler.privacy import erasure, holds
from reconciler.privacy.erasure import Erased, Order
from reconciler.privacy.record import Scope

CANARY = "canary-person-3391"


@pytest.fixture
def kept(home: Home) -> Home:
    """A home with a memory that two tasks wrote to."""
    home.record("Memory", "notes", {"provider": "sqlite"})
    desk = Desk(home.folder / "memory", memory(provider="sqlite"))
    desk.call("write", "one:1", key=f"people/{CANARY}", value=f"{CANARY} likes apples")
    desk.call("write", "two:1", key="facts/sky", value="The sky is blue")
    return home


def of_type(home: Home, type: str) -> list[dict[str, Any]]:
    return [one for one in home.entries() if one["type"] == type]


def test_entries_are_listed_and_the_reading_is_noted(kept: Home, orloj) -> None:
    (sky,) = json.loads(orloj("memory", "list", "notes", "--prefix", "facts/", "--json").out)
    assert (sky["key"], sky["value"], sky["task"]) == ("facts/sky", "The sky is blue", "two")
    assert sky["agent"] == "clerk"
    lines = orloj("memory", "list", "default/notes").out.splitlines()
    assert lines[0].split() == ["KEY", "WRITTEN", "(UTC)", "BY", "VALUE"]
    assert [line.split()[0] for line in lines[1:]] == ["facts/sky", f"people/{CANARY}"]
    read = of_type(kept, "access.read")
    assert [one["outcome"] for one in read] == ["memory list"] * 2
    assert all(one["actor"].startswith("person:") for one in read)


def test_a_search_finds_what_an_agent_would_find(kept: Home, orloj) -> None:
    found = json.loads(orloj("memory", "search", "notes", "blue skies", "--json").out)
    assert found[0]["key"] == "facts/sky"
    assert "sky" in orloj("memory", "search", "notes", "sky").out
    assert "Nothing like it" in orloj("memory", "search", "notes", "zzz").out


def test_what_was_looked_for_and_deleted_is_in_no_header(kept: Home, orloj) -> None:
    orloj("memory", "search", "notes", CANARY)
    orloj("memory", "list", "notes", "--prefix", f"people/{CANARY}")
    done = orloj("memory", "delete", "notes", f"people/{CANARY}", "--yes", "--reason", CANARY)
    assert (done.code, done.out) == (0, "Deleted: 1 entry of notes.\n")
    (deleted,) = of_type(kept, "memory.deleted")
    assert (deleted["resource"], deleted["outcome"]) == ("memory/default/notes", "1 entry")
    assert deleted["digest"].startswith("sha256:")
    raw = kept.rows("SELECT raw FROM audit_entry")
    assert all(CANARY.encode() not in bytes(row[0]) for row in raw)
    assert len(json.loads(orloj("memory", "list", "notes", "--json").out)) == 1


def test_what_one_task_wrote_is_deleted_alone(kept: Home, orloj) -> None:
    out = orloj("memory", "delete", "notes", "--task", "one", "--yes", "--json").out
    assert json.loads(out) == {"deleted": [f"people/{CANARY}"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["delete", "notes", "--yes"], "say what: keys, --prefix, --task or --all"),
        (["delete", "notes", "x", "--all", "--yes"], "say what"),
        (["delete", "notes", "facts/sky", "none", "--yes"], "holds nothing under none"),
        (["delete", "notes", "--prefix", "none", "--yes"], "holds nothing of that"),
        (["list", "other"], "there is no Memory default/other"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_goes(
    kept: Home, orloj, arguments: list[str], words: str
) -> None:
    done = orloj("memory", *arguments)
    assert (done.code, words in done.err) == (1, True), done.err
    assert len(json.loads(orloj("memory", "list", "notes", "--json").out)) == 2
    assert not of_type(kept, "memory.deleted")


def test_nothing_is_deleted_without_a_yes(kept: Home, orloj) -> None:
    assert orloj("memory", "delete", "notes", "--all").code == 1
    assert len(json.loads(orloj("memory", "list", "notes", "--json").out)) == 2


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        (Scope.LOG, ""),
        (Scope.NAMESPACE, "default"),
        (Scope.AGENT, "clerk"),
        (Scope.TASK, "one"),
    ],
)
def test_what_a_legal_hold_covers_stays(kept: Home, orloj, scope: Scope, subject: str) -> None:
    with kept.database.write() as connection:
        holds.put(connection, scope, subject, actor="person:x", reason="case", now_us=1)
    done = orloj("memory", "delete", "notes", "--all", "--yes")
    assert (done.code, "legal hold" in done.err) == (1, True)
    assert len(json.loads(orloj("memory", "list", "notes", "--json").out)) == 2


def test_the_memory_of_a_task_is_seen_by_its_number(home: Home, orloj) -> None:
    desk = Desk(home.folder / "memory")
    desk.manifests = desk.own()
    desk.call("write", "t7:1", key="k", value="v")
    (one,) = json.loads(orloj("memory", "list", "task:t7", "--json").out)
    assert (one["key"], one["task"]) == ("k", "t7")


def test_an_adapter_cannot_be_told_to_delete_and_says_so(home: Home, orloj) -> None:
    body = {"entries": [{"key": "k", "value": "v"}]}
    with LocalServer(lambda _: said(body)).running() as server:
        home.record("Memory", "far", {"provider": "http", "endpoint": server.url})
        (one,) = json.loads(orloj("memory", "list", "far", "--json").out)
        assert one == {
            "key": "k",
            "value": "v",
            "task": None,
            "agent": None,
            "written_at": None,
        }
        done = orloj("memory", "delete", "far", "k", "--yes")
    assert (done.code, "no word for it" in done.err) == (1, True)
    assert not of_type(home, "memory.deleted")


def test_an_erasure_of_a_task_takes_what_it_kept_along(home: Home, orloj) -> None:
    home.record("Agent", "clerk", {"model": "m"})
    home.record("Memory", "notes", {"provider": "sqlite"})
    (task,) = home.submit(home.record("Agent", "clerk", {"model": "m"}))
    desk = Desk(home.folder / "memory", memory(provider="sqlite"))
    desk.call("write", f"{task}:1", key="k", value=CANARY)
    orloj("cancel", task)
    order = Order(actor="person:x", basis="law")
    erased = Erased(home.folder / "memory")
    with home.database.write() as connection:
        erasure.tasks(connection, [task], erased)
        erasure.done(connection, erased, order, 1)
    assert erased.memories == 1
    assert "1 entries of memory" in erased.counted
    assert CANARY.encode() not in _bytes(home.folder / "memory")


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
