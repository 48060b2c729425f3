"""A call reaches the one data source that its allowed permission names, and only as it says.

What the model wrote in the arguments chooses nothing; what is unclear is refused.
"""

import asyncio
import contextlib
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
from runner.contract.kinds import DataSource, Permission, Tool
from runner.tools import Bounds, Call
from runner.tools.sources import Source, named, reach

OUTSIDE = "what nobody may read"
SQLITE = Source(DataSource(type="sqlite", path="a.db"))
FILES = Source(DataSource(type="files", path="reports"))
SOURCES = {"a_db": SQLITE, "b_db": SQLITE, "reports": FILES}


def permissions(*texts: str) -> tuple[Permission, ...]:
    return tuple(Permission.model_validate(text) for text in texts)


@pytest.mark.parametrize("verb", ["read", "write", "admin"])
def test_the_verb_of_the_permission_is_the_access(verb: str) -> None:
    found = reach(permissions(f"{verb}: a_db", "send: mail"), SOURCES, "sqlite")
    assert (found.name, found.access) == ("a_db", verb)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ((), "names no data source"),
        (("read: other_db",), "names no data source"),
        (("read: *",), "names no data source"),
        (("read: A_DB",), "names no data source"),
        (("read: a_db", "read: b_db"), "one data source in one way"),
        (("read: a_db", "write: a_db"), "one data source in one way"),
        (("read: a_db", "read: a_db"), "one data source in one way"),
        (("read: a_db", "read: reports"), "one data source in one way"),
        (("query: a_db",), "no access to a data source"),
        (("reads: a_db",), "no access to a data source"),
        (("read: reports",), "is of type files"),
    ],
    ids=lambda value: " & ".join(value) if isinstance(value, tuple) else None,
)
def test_whatever_is_not_one_source_in_one_way_is_refused(
    texts: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(ToolFailed, match=reason):
        reach(permissions(*texts), SOURCES, "sqlite", "postgresql")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "admin", "send"]),
            st.sampled_from(["a_db", "b_db", "reports", "mail"]),
        ),
        max_size=3,
    )
)
def test_an_access_is_never_more_than_a_permission_says(pairs: list[tuple[str, str]]) -> None:
    allowed = permissions(*(f"{verb}: {name}" for verb, name in pairs))
    try:
        found = named(allowed, SOURCES)
    except ToolFailed:
        return
    if found is not None:
        assert (found.access, found.name) in pairs
        assert sum(name in SOURCES for _, name in pairs) == 1


def test_a_password_shows_in_no_text_of_a_source() -> None:
    source = Source(SQLITE.spec, "hunter2-hunter2")
    found = reach(permissions("read: a_db"), {"a_db": source}, "sqlite")
    assert found.password == "hunter2-hunter2"
    assert "hunter2" not in f"{source!r} {found!r}"


# A folder as a source.


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text(OUTSIDE, encoding="utf-8")
    folder = tmp_path / "files"
    (folder / "reports" / "2026").mkdir(parents=True)
    (folder / "reports" / "a.txt").write_text("one\n", encoding="utf-8")
    (folder / "other").mkdir()
    (folder / "other" / "b.txt").write_text(OUTSIDE, encoding="utf-8")
    return folder


def call(
    files: Path,
    permission: str,
    function: str,
    arguments: dict[str, Any],
    config: dict[str, Any] | None = None,
) -> str:
    tool = Tool.model_validate({"type": "python", "function": function, "config": config or {}})
    brought = Call(
        "t:1",
        None,
        Bounds(files, (), 262_144),
        permissions=permissions(permission),
        sources={"reports": FILES},
    )
    return asyncio.run(tools.call(tool, arguments, brought)).text


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, every other thing with nothing."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_reading_works_in_the_folder_of_the_source(files: Path) -> None:
    assert json.loads(call(files, "read: reports", "list_files", {})) == ["a.txt"]
    assert call(files, "read: reports", "read_file", {"file": "a.txt"}) == "one\n"
    assert "b.txt" not in call(files, "read: reports", "search_files", {"pattern": "nobody"})


def test_the_folder_of_the_tool_lies_inside_that_of_the_source(files: Path) -> None:
    (files / "reports" / "2026" / "c.txt").write_text("three", encoding="utf-8")
    config = {"folder": "2026"}
    assert json.loads(call(files, "read: reports", "list_files", {}, config)) == ["c.txt"]


@pytest.mark.parametrize("folder", ["..", "../other", "/other", "a/../../other", "2026/../.."])
def test_no_folder_of_a_tool_leaves_the_source(files: Path, folder: str) -> None:
    with pytest.raises(ToolFailed):
        call(files, "read: reports", "read_file", {"file": "b.txt"}, {"folder": folder})


@pytest.mark.parametrize("permission", ["read: reports", "admin: reports", "send: reports"])
@pytest.mark.parametrize("function", ["append_record", "write_file"])
def test_only_write_lets_a_function_write(files: Path, permission: str, function: str) -> None:
    before = tree(files)
    given = {"file": "new.txt", "text": "x"}
    with pytest.raises(ToolFailed):
        call(files, permission, function, given, {"file": "log.jsonl"})
    assert tree(files) == before


def test_writing_stays_in_the_folder_of_the_source(files: Path) -> None:
    before = tree(files)
    given = {"file": "2026/new.txt", "text": "zwei ü"}
    assert call(files, "write: reports", "write_file", given) == "written 7"
    config = {"file": "log.jsonl"}
    assert call(files, "write: reports", "append_record", {"x": 1}, config) == "recorded 1"
    assert tree(files) == before | {
        "reports/2026/new.txt": "zwei ü".encode(),
        "reports/log.jsonl": b'{"x": 1}\n',
    }


def test_a_file_is_replaced_whole(files: Path) -> None:
    given = {"file": "a.txt", "text": ""}
    assert call(files, "write: reports", "write_file", given) == "written 0"
    assert tree(files / "reports") == {"2026": None, "a.txt": b""}


@pytest.mark.parametrize(
    "name",
    [
        "../other/b.txt",
        "/".join(["", "proc", "self", "root", "etc", "hostname"]),
        "proc/self/root",
        "..\u2215other\u2215b.txt",
        "\uff0e\uff0e/other/b.txt",
        "A.TXT",
        "a.txt/..",
        "2026",
        "2026/" + "x" * 300,
        "d/" * 40 + "a.txt",
        "a\u0301.txt",
        "",
        ".",
        "./",
    ],
    ids=[
        "up",
        "the root behind proc",
        "proc within",
        "division slashes",
        "wide dots",
        "another case",
        "a file and up",
        "a folder",
        "a name too long",
        "too deep",
        "a letter with an accent",
        "empty",
        "itself",
        "itself with a slash",
    ],
)
def test_no_odd_name_reaches_anything_else(files: Path, name: str) -> None:
    before = tree(files.parent)
    with pytest.raises(ToolFailed) as failed:
        call(files, "read: reports", "read_file", {"file": name})
    assert OUTSIDE not in str(failed.value)
    with contextlib.suppress(ToolFailed):  # Some are good names of a new file.
        call(files, "write: reports", "write_file", {"file": name, "text": "x"})
    after = tree(files.parent)
    made = {path for path in after if path not in before}
    assert all(path.startswith("files/reports/") for path in made)
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("kind", ["symbolic", "hard", "fifo", "socket folder", "source"])
@pytest.mark.parametrize("function", ["read_file", "append_record", "write_file"])
def test_what_is_no_plain_file_of_the_folder_is_refused(
    files: Path, kind: str, function: str
) -> None:
    odd = files / "reports" / "odd"
    if kind == "symbolic":
        odd.symlink_to(files.parent / "secret.txt")
    elif kind == "hard":
        os.link(files.parent / "secret.txt", odd)
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "socket folder":
        odd.symlink_to("/proc/self/root")
    else:
        (files / "reports").rename(files / "moved")
        (files / "reports").symlink_to(files / "other")
        odd = files / "other" / "odd"
        odd.write_text(OUTSIDE, encoding="utf-8")
    verb = "read" if function == "read_file" else "write"
    given = {"file": "odd", "text": "changed"}
    if (kind, function) == ("hard", "write_file"):
        # A new file takes the name; what the other name stands for stays.
        call(files, "write: reports", function, given, {"file": "odd"})
    else:
        with pytest.raises(ToolFailed) as failed:
            call(files, f"{verb}: reports", function, given, {"file": "odd"})
        assert OUTSIDE not in str(failed.value)
    assert (files.parent / "secret.txt").read_text(encoding="utf-8") == OUTSIDE
    if kind == "source":
        assert odd.read_text(encoding="utf-8") == OUTSIDE


def test_search_and_list_pass_hard_links_by(files: Path) -> None:
    os.link(files.parent / "secret.txt", files / "reports" / "hard.txt")
    assert json.loads(call(files, "read: reports", "list_files", {})) == ["a.txt"]
    assert json.loads(call(files, "read: reports", "search_files", {"pattern": "nobody"})) == []


def test_a_source_that_is_swapped_for_a_link_meanwhile_leads_nowhere(files: Path) -> None:
    (files.parent / "outside").mkdir()
    (files.parent / "outside" / "a.txt").write_text(OUTSIDE, encoding="utf-8")
    (files / "link").symlink_to(files.parent / "outside")
    swapping = subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(files)])
    outcomes = {"read": 0, "written": 0}
    try:
        while min(outcomes.values()) < 50:
            try:
                assert OUTSIDE not in call(
                    files, "read: reports", "read_file", {"file": "a.txt"}
                )
                outcomes["read"] += 1
                call(files, "write: reports", "write_file", {"file": "a.txt", "text": "two"})
                outcomes["written"] += 1
            except ToolFailed:
                continue
    finally:
        swapping.kill()
        swapping.wait()
    assert tree(files.parent / "outside") == {"a.txt": OUTSIDE.encode()}


SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("reports", "kept"); os.rename("link", "reports")
    os.rename("reports", "link"); os.rename("kept", "reports")
"""
