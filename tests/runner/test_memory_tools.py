"""What an agent keeps it finds again: by key, by prefix and by what it says, within bounds."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from manifest_sets import manifest_set
from memories import Desk, agent, memory

from runner.contract import memory_file
from runner.contract.errors import ToolFailed
from runner.contract.memory_file import MemoryFile

SQLITE: dict[str, Any] = {"provider": "sqlite"}


@pytest.fixture(params=["in-memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    return Desk(tmp_path, memory(provider=request.param))


def test_a_value_is_read_under_its_key(desk: Desk) -> None:
    assert desk.call("write", key="a/b", value="grün") == {"status": "ok", "key": "a/b"}
    assert desk.call("read", key="a/b") == {"found": True, "key": "a/b", "value": "grün"}
    assert desk.call("read", key="a") == {"found": False, "key": "a"}


def test_a_memory_nobody_wrote_to_is_empty(desk: Desk) -> None:
    assert desk.call("read", key="a")["found"] is False
    assert desk.call("list") == {"entries": [], "count": 0}
    assert desk.call("search", query="x") == {"results": [], "count": 0}


def test_a_later_value_replaces_the_earlier_one(desk: Desk) -> None:
    desk.call("write", key="a", value="one")
    desk.call("write", key="a", value="two")
    assert desk.call("list")["entries"] == [{"key": "a", "value": "two"}]


@pytest.mark.parametrize("prefix", ["a%", "a_", "A", "a*"])
def test_a_prefix_is_compared_letter_by_letter(desk: Desk, prefix: str) -> None:
    for key in ("a/1", "a/2", "b/1", f"{prefix}x"):
        desk.call("write", key=key, value="v")
    assert [one["key"] for one in desk.call("list", prefix=prefix)["entries"]] == [f"{prefix}x"]
    assert [one["key"] for one in desk.call("list", prefix="a/")["entries"]] == ["a/1", "a/2"]


def test_a_search_finds_the_nearest_text_first(desk: Desk) -> None:
    desk.call("write", key="1", value="The quarterly revenue grew by ten percent")
    desk.call("write", key="2", value="Cats sleep most of the day")
    desk.call("write", key="3", value="Revenue in the third quarter")
    found = desk.call("search", query="quarterly revenue", top_k=2)["results"]
    assert [one["key"] for one in found] == ["1", "3"]
    assert found[0]["score"] > found[1]["score"] > 0


def test_a_memory_of_type_kv_searches_by_words_and_keeps_no_vector(tmp_path: Path) -> None:
    desk = Desk(tmp_path, memory(type="kv", **SQLITE))
    desk.call("write", key="fruit", value="Red apples")
    desk.call("write", key="tree", value="An apple tree")
    assert desk.call("search", query="apple RED")["results"] == [
        {"key": "fruit", "value": "Red apples", "score": 0.5},
        {"key": "tree", "value": "An apple tree", "score": 0.5},
    ]
    kept = MemoryFile(tmp_path / memory_file.KEPT).all("default/notes", 10)
    assert [one.vector for one in kept] == [None, None]


def test_a_document_is_cut_and_a_shorter_one_leaves_no_piece_behind(desk: Desk) -> None:
    said = desk.call("ingest", source="report", content="x" * 2_600)
    assert said == {"status": "ok", "source": "report", "chunks_stored": 3}
    lengths = [len(one["value"]) for one in desk.call("list", prefix="report/")["entries"]]
    assert lengths == [1_000, 1_000, 1_000]
    desk.call("ingest", source="report", content="short")
    assert desk.call("list", prefix="report/")["entries"] == [
        {"key": "report/chunk-0001", "value": "short"}
    ]


@pytest.mark.parametrize("tool", ["write", "ingest"])
def test_a_call_that_is_made_again_changes_nothing_twice(desk: Desk, tool: str) -> None:
    arguments = {
        "write": {"key": "s/chunk-0001", "value": "mine"},
        "ingest": {"source": "s", "content": "mine"},
    }[tool]
    first = desk.call(tool, "t1:3", **arguments)
    desk.call("write", "t2:1", key="s/chunk-0001", value="theirs")
    assert desk.call(tool, "t1:3", **arguments) == first
    assert desk.call("read", key="s/chunk-0001")["value"] == "theirs"


def test_another_call_under_the_same_number_is_not_taken_for_the_first(desk: Desk) -> None:
    desk.call("write", "t1:3", key="a", value="v")
    desk.call("write", "t1:3", key="b", value="v")
    assert [one["key"] for one in desk.call("list")["entries"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("write", {"key": "", "value": "v"}, "key has 1 to 512 characters"),
        ("write", {"key": "a\nb", "value": "v"}, "control character"),
        ("write", {"key": "k" * 513, "value": "v"}, "key has 1 to 512 characters"),
        ("write", {"key": "a", "value": "ä" * 200}, "400 bytes, and memory takes 300"),
        ("write", {"key": "a", "value": 7}, "value must be a text"),
        ("write", {"key": "a"}, "value must be a text"),
        ("search", {"query": ""}, "query has 1 to"),
        ("search", {"query": "x", "top_k": 0}, "top_k is 1 to 50"),
        ("search", {"query": "x", "top_k": True}, "top_k must be a whole number"),
        ("ingest", {"source": "s", "content": "x", "overlap": 1_000}, "less than chunk_size"),
        ("ingest", {"source": "s", "content": "x" * 9_000, "chunk_size": 1, "overlap": 0},
         "9000 pieces"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(
    tmp_path: Path, tool: str, arguments: dict[str, Any], words: str
) -> None:
    desk = Desk(tmp_path, memory_value_bytes_max=300)
    with pytest.raises(ToolFailed, match=words):
        desk.call(tool, **arguments)


def test_a_full_memory_keeps_what_it_has(tmp_path: Path) -> None:
    desk = Desk(tmp_path, memory(**SQLITE), memory_entries_max=2)
    for key in ("a", "b"):
        desk.call("write", key=key, value="v")
    with pytest.raises(ToolFailed, match="full: it takes 2 entries"):
        desk.call("write", "t:9", key="c", value="v")
    desk.call("write", key="a", value="again")
    assert [one["key"] for one in desk.call("list")["entries"]] == ["a", "b"]
    MemoryFile(tmp_path / memory_file.KEPT).forget("default/notes", ["b"])
    desk.call("write", "t:9", key="c", value="v")  # The refused call was not taken as done.
    assert desk.call("read", key="c")["found"]


def test_an_answer_that_would_be_too_long_is_shorter_and_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path, output_bytes_max=2_048)
    for number in range(30):
        desk.call("write", key=f"k{number:02}", value='"' * 100)
    for tool, arguments in (("list", {}), ("search", {"query": "x"})):
        answer = desk.answered(tool, arguments, None)
        assert len(answer.text.encode()) <= 2_048
    assert desk.call("list")["truncated"] is True
    desk.call("write", key="long", value="é" * 5_000)
    answer = desk.answered("read", {"key": "long"}, None)
    assert len(answer.text.encode()) <= 2_048
    said = desk.call("read", key="long")
    assert said["truncated"] is True
    assert set(said["value"]) == {"é"}


def test_two_memories_do_not_see_each_other(tmp_path: Path) -> None:
    for name in ("notes", "team"):
        desk = Desk(tmp_path, memory(name, **SQLITE))
        desk.manifests = manifest_set(agent(ref=name), memory(name, **SQLITE))
        desk.call("write", f"{name}:1", key="k", value=name)
    assert desk.call("read", key="k")["value"] == "team"
    assert desk.call("list")["count"] == 1


def test_without_a_ref_each_task_has_a_memory_to_itself(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.manifests = manifest_set(agent(ref=None))
    desk.call("write", "one:1", key="k", value="v")
    assert desk.call("read", "one:2", key="k")["found"]
    assert not desk.call("read", "two:1", key="k")["found"]


def test_another_maker_of_vectors_is_refused_until_the_memory_is_empty(tmp_path: Path) -> None:
    desk = Desk(tmp_path, memory(**SQLITE))
    desk.call("write", key="k", value="v")
    file = MemoryFile(tmp_path / memory_file.KEPT)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("UPDATE space SET model = 'letters-0', dimensions = 3")
        connection.commit()
    words = r"embedded by letters-0 \(3 numbers\) and this would be letters-1 \(512 numbers\)"
    for tool, arguments in (("write", {"key": "x", "value": "v"}), ("search", {"query": "v"})):
        with pytest.raises(ToolFailed, match=words):
            desk.call(tool, **arguments)
    assert file.forget("default/notes") == [("k", "task")]
    desk.call("write", key="x", value="v")
    assert desk.call("search", query="v")["count"] == 1


def test_what_is_in_memory_goes_with_the_start_of_a_runner_and_the_rest_stays(
    tmp_path: Path,
) -> None:
    for provider in ("in-memory", "sqlite"):
        Desk(tmp_path, memory(provider=provider)).call("write", key="k", value="v")
    memory_file.clear(tmp_path)
    assert not Desk(tmp_path).call("read", key="k")["found"]
    assert Desk(tmp_path, memory(**SQLITE)).call("read", key="k")["found"]


def test_the_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    Desk(folder).call("write", key="k", value="v")
    assert (folder / memory_file.CLEARED).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_was_made_and_not_filled_is_an_empty_memory(tmp_path: Path) -> None:
    (tmp_path / memory_file.KEPT).touch()
    desk = Desk(tmp_path, memory(**SQLITE))
    assert not desk.call("read", key="k")["found"]
    assert desk.call("search", query="k")["count"] == 0
    desk.call("write", key="k", value="v")
    assert desk.call("read", key="k")["found"]


def test_a_broken_file_is_an_error_in_words_and_not_an_empty_memory(tmp_path: Path) -> None:
    (tmp_path / memory_file.KEPT).write_bytes(b"this is no database at all" * 50)
    with pytest.raises(ToolFailed, match=r"memory file memory\.sqlite cannot be used"):
        Desk(tmp_path, memory(**SQLITE)).call("read", key="k")


def test_an_erasure_takes_what_the_task_wrote_last_and_no_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path, memory(**SQLITE))
    desk.call("write", "one:1", key="mine", value="canary-4711")
    desk.call("write", "one:2", key="passed-on", value="v")
    desk.call("write", "two:1", key="passed-on", value="w")
    file = MemoryFile(tmp_path / memory_file.KEPT)
    assert file.forget_task("one") == 1
    assert [one["key"] for one in desk.call("list")["entries"]] == ["passed-on"]
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"canary-4711" not in file.path.read_bytes()


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from memories import Desk, memory
desk, me = Desk(Path(sys.argv[1]), memory(provider="sqlite")), sys.argv[2]
for number in range(25):
    desk.call("write", f"{{me}}:{{number}}", key=f"{{me}}/{{number:02}}", value="v")
    desk.call("write", f"{{me}}:{{100 + number}}", key="shared", value=me)
"""


def test_two_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    program = WRITER.format(tests=str(Path(__file__).parents[1]))

    def written(name: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", program, str(tmp_path), name]
        return subprocess.run(command, capture_output=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(written, ["one", "two"]))
    assert [(end.returncode, end.stderr) for end in ends] == [(0, b"")] * 2
    found = Desk(tmp_path, memory(**SQLITE)).call("list")
    assert found["count"] == 51
    shared = [one["value"] for one in found["entries"] if one["key"] == "shared"]
    assert shared in (["one"], ["two"])
