"""A file function works inside its own folder and never leaves it, whatever it is given."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import tools
from runner.contract.errors import ToolFailed
from runner.contract.kinds import Tool
from runner.functions import files as builtin
from runner.functions import table
from runner.tools import Bounds, Call

OUTSIDE = "what nobody may read"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(OUTSIDE, encoding="utf-8")
    folder = tmp_path / "files"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.txt").write_text("one\nTwo words\n", encoding="utf-8")
    (folder / "docs" / "ünï\u200bcode.txt").write_text("zwei\n", encoding="utf-8")
    return folder


def call(
    files: Path,
    function: str,
    arguments: dict[str, Any],
    config: dict[str, Any] | None = None,
    output_bytes_max: int = 262_144,
) -> str:
    tool = Tool.model_validate(
        {"type": "python", "function": function, "config": config or {}, "requires": []}
    )
    bounds = Bounds(files, (), output_bytes_max)
    return asyncio.run(tools.call(tool, arguments, Call("t:1", None, bounds))).text


DOCS = {"folder": "docs"}


def test_search_finds_any_of_the_words_in_any_case(files: Path) -> None:
    found = json.loads(call(files, "search_files", {"pattern": "TWO|zwei"}, DOCS))
    assert found == [
        {"file": "a.txt", "line": 2, "text": "Two words"},
        {"file": "ünï\u200bcode.txt", "line": 1, "text": "zwei"},
    ]


def test_a_file_is_read_by_its_listed_name(files: Path) -> None:
    names = json.loads(call(files, "list_files", {}, DOCS))
    assert names == ["a.txt", "ünï\u200bcode.txt"]
    assert [call(files, "read_file", {"file": name}, DOCS) for name in names] == [
        "one\nTwo words\n",
        "zwei\n",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "docs/../../secret.txt",
        "docs/..",
        "{outside}",
        "a.txt\x00.png",
        "",
        "   ",
        "x" * 201,
        "docs",
        "absent.txt",
        "\ud800",
    ],
    ids=[
        "up",
        "down and up",
        "the folder itself",
        "absolute",
        "zero byte",
        "empty",
        "blank",
        "too long",
        "a folder",
        "absent",
        "half a surrogate pair",
    ],
)
def test_no_name_leads_out_of_the_folder(files: Path, name: str) -> None:
    name = name.replace("{outside}", str(files.parent / "secret.txt"))
    with pytest.raises(ToolFailed) as failed:
        call(files, "read_file", {"file": name})
    assert OUTSIDE not in str(failed.value)


@pytest.mark.parametrize("value", [None, 7, ["a.txt"], {"a": 1}, True], ids=repr)
def test_a_name_must_be_a_text(files: Path, value: object) -> None:
    with pytest.raises(ToolFailed, match="file must be a text"):
        call(files, "read_file", {"file": value}, DOCS)


@given(st.lists(st.sampled_from(["..", ".", "/", "docs", "a.txt", "", "secret.txt", "~"])))
def test_no_path_of_odd_parts_reads_what_is_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "odd"
    (root / "files" / "docs").mkdir(parents=True, exist_ok=True)
    (root / "secret.txt").write_text(OUTSIDE, encoding="utf-8")
    try:
        answer = builtin.read_file({"file": "/".join(parts)}, {}, root / "files")
    except ToolFailed:
        return
    assert answer != OUTSIDE


@pytest.mark.parametrize("link", ["file", "folder", "config"])
def test_a_symbolic_link_is_never_followed(files: Path, link: str) -> None:
    (files / "docs" / "file").symlink_to(files.parent / "secret.txt")
    (files / "folder").symlink_to(files.parent)
    tried = {
        "file": lambda: call(files, "read_file", {"file": "file"}, DOCS),
        "folder": lambda: call(files, "read_file", {"file": "folder/secret.txt"}),
        "config": lambda: call(
            files, "read_file", {"file": "secret.txt"}, {"folder": "folder"}
        ),
    }
    with pytest.raises(ToolFailed, match="symbolic link"):
        tried[link]()


def test_search_and_list_pass_links_by(files: Path) -> None:
    (files / "docs" / "link.txt").symlink_to(files.parent / "secret.txt")
    (files / "docs" / "around").symlink_to(files)
    assert json.loads(call(files, "list_files", {}, DOCS)) == ["a.txt", "ünï\u200bcode.txt"]
    assert json.loads(call(files, "search_files", {"pattern": "nobody"}, DOCS)) == []


def test_a_named_pipe_blocks_nobody(files: Path) -> None:
    os.mkfifo(files / "pipe")
    with pytest.raises(ToolFailed, match="not a regular file"):
        call(files, "read_file", {"file": "pipe"})
    with pytest.raises(ToolFailed, match="not a regular file"):
        call(files, "append_record", {"x": 1}, {"file": "pipe"})


def test_a_huge_file_is_read_up_to_the_bound_and_said_to_be_cut(files: Path) -> None:
    with (files / "huge").open("wb") as file:
        file.truncate(50 * 1024 * 1024 * 1024)
    answer = call(files, "read_file", {"file": "huge"}, output_bytes_max=2_048)
    assert answer == "\x00" * 2_048 + "\n[cut after 2048 bytes]"


def test_an_answer_is_cut_between_characters(files: Path) -> None:
    (files / "wide").write_text("€" * 1_000, encoding="utf-8")
    answer = call(files, "read_file", {"file": "wide"}, output_bytes_max=1_024)
    assert answer == "€" * 341 + "\n[cut after 1024 bytes]"


def test_bytes_that_are_no_text_are_shown_as_such(files: Path) -> None:
    (files / "raw").write_bytes(b"a\xff\xfeb")
    assert call(files, "read_file", {"file": "raw"}) == "a\ufffd\ufffdb"


def test_a_record_is_one_line_whatever_is_in_it(files: Path) -> None:
    odd = {"text": "two\nlines \u2028 \x85", "n": [1, None]}
    assert call(files, "append_record", odd, {"file": "out/log.jsonl"}) == "recorded 1"
    assert call(files, "append_record", {}, {"file": "out/log.jsonl"}) == "recorded 2"
    lines = (files / "out" / "log.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [odd, {}]


@pytest.mark.parametrize(
    "file", ["../out.txt", "/tmp/out.txt", ""], ids=["up", "absolute", "none"]
)
def test_a_record_goes_nowhere_else(files: Path, file: str) -> None:
    with pytest.raises(ToolFailed):
        call(files, "append_record", {"x": 1}, {"file": file})
    assert sorted(path.name for path in files.parent.iterdir()) == ["files", "secret.txt"]


def test_a_record_is_not_written_through_a_link(files: Path) -> None:
    (files / "log").symlink_to(files.parent / "secret.txt")
    with pytest.raises(ToolFailed):
        call(files, "append_record", {"x": 1}, {"file": "log"})
    assert (files.parent / "secret.txt").read_text(encoding="utf-8") == OUTSIDE


def test_a_folder_that_is_not_there_is_an_answer(files: Path) -> None:
    with pytest.raises(ToolFailed, match="the folder nowhere is not there"):
        call(files, "list_files", {}, {"folder": "nowhere"})


def test_only_the_functions_that_ship_can_be_called(files: Path) -> None:
    with pytest.raises(ToolFailed, match=r"no function os\.system; there are append_record"):
        call(files, "os.system", {"command": "true"})


@pytest.mark.parametrize("function", ["read_file", "append_record", "search_files"])
def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(
    files: Path, function: str
) -> None:
    # A check of the path before it is opened lost this race in a tenth of a second.
    (files.parent / "outside").mkdir()
    (files.parent / "outside" / "a.txt").write_text(OUTSIDE, encoding="utf-8")
    (files / "link").symlink_to(files.parent / "outside")
    given: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "read_file": ({"file": "docs/a.txt"}, {}),
        "append_record": ({"x": 1}, {"file": "docs/a.txt"}),
        "search_files": ({"pattern": "nobody"}, {"folder": "docs"}),
    }
    arguments, config = given[function]
    swapping = subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(files)])
    try:
        for _ in range(3_000):
            try:
                answer = table.FUNCTIONS[function](arguments, config, files)
            except ToolFailed:
                continue
            assert OUTSIDE not in answer
    finally:
        swapping.kill()
        swapping.wait()
    outside = (files.parent / "outside" / "a.txt").read_text(encoding="utf-8")
    assert outside == OUTSIDE


SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("docs", "kept"); os.rename("link", "docs")
    os.rename("docs", "link"); os.rename("kept", "docs")
"""


def test_a_tree_without_end_is_walked_to_a_bound(files: Path) -> None:
    deep = files
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    (deep / "lost.txt").write_text("x", encoding="utf-8")
    assert "d/lost.txt" not in call(files, "list_files", {})
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ToolFailed, match="32 folders deep"):
        call(files, "read_file", {"file": "d/" * 60 + "lost.txt"})
    assert len(os.listdir("/proc/self/fd")) == open_before
