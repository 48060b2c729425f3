"""Whatever a push brings, nothing of it runs, is written anywhere, or steers a terminal."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import Pushed, Pushing, agent

pytestmark = pytest.mark.story

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b]")
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\u2066\u200b"


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    made = Pushing(tmp_path)
    # Git stops some of what follows by itself; here it must not, so that we have to.
    made.hooks.uninstall()
    config = str(made.repository.origin / "config")
    made.git("config", "-f", config, "receive.fsckObjects", "false")
    made.hooks.install(made.hook, chain=False)
    yield made
    made.close()


def refused(pushed: Pushed, pushing: Pushing) -> None:
    """Refused in words, with nothing in them that a terminal obeys."""
    assert (pushed.code, pushing.stands()) == (1, ""), pushed.output
    assert not UNSAFE.search("\n".join(pushed.lines)), pushed.output
    assert "Traceback" not in pushed.output
    assert not list(pushing.folder.rglob("canary*"))


def write_object(pushing: Pushing, kind: str, content: bytes) -> str:
    arguments = ("hash-object", "-t", kind, "-w", "--literally", "--stdin")
    return pushing.repository.git(*arguments, given=content)


def commit_of(pushing: Pushing, tree: str) -> str:
    who = {
        f"GIT_{role}_{part}": "x"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    return pushing.repository.git("commit-tree", "-m", "x", tree, **who)


def entry(mode: str, name: str, sha: str) -> bytes:
    return f"{mode} {name}\0".encode() + bytes.fromhex(sha)


def test_a_commit_full_of_traps_is_refused_and_springs_none(pushing: Pushing) -> None:
    canary = pushing.folder / "canary"
    bomb = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(5))
    pushing.change(
        {
            "a.yaml": agent("a", "x").replace("x\n", f'"{ESCAPES!s}"\n'),
            "bomb.yaml": bomb,
            "deep.yaml": "[" * 5_000,
            "large.yaml": "x" * 400_000,
            "tag.yaml": f"!!python/object/apply:os.system ['touch {canary}']\n",
            ".gitattributes": "* filter=evil diff=evil\n",
            ".gitmodules": f'[submodule "m"]\n path = m\n url = x\n update = !touch {canary}\n',
            "pre-receive": f"#!/bin/sh\ntouch {canary}\n",
        }
    )
    (pushing.repository.work / "link.yaml").symlink_to("/etc/passwd")
    (pushing.repository.work / f"odd{ESCAPES}.yaml").write_text("x")
    pushing.repository.git("add", "--all")
    head = pushing.repository.head()
    pushing.repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},m.yaml")
    pushing.repository.git(
        "-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "--cleanup=verbatim",
        f"--message=Subject {ESCAPES}",
    )  # fmt: skip
    pushed = pushing.push()
    refused(pushed, pushing)
    for words in (
        "link.yaml:1:1: error: a symbolic link is not read",
        "m.yaml:1:1: error: a submodule is not read",
        "large.yaml:1:1: error: the file is larger than",
        "bomb.yaml:",
        "deep.yaml:",
        "tag.yaml:",
        "the path is not UTF-8, or cannot be printed",
    ):
        assert words in pushed.words
    assert "root:" not in pushed.output


def test_escapes_in_what_is_shown_are_written_out(pushing: Pushing) -> None:
    quoted = ESCAPES.replace("\x1b", "\\e").replace("\x07", "\\a")
    pushing.change({"a.yaml": agent("a", f'"{quoted} \\u202e"')}, f"Subject {ESCAPES}")
    planned = pushing.push("-o", "plan-only")
    refused(planned, pushing)
    pushing.configure(approval="always")
    steered = pushing.push("-o", "plan-only\x1b[31m\u202e")
    refused(steered, pushing)
    assert "holds control characters" in steered.words
    option = pushing.push("-o", "--upload-pack=touch canary", "-o", "approve=--help")
    refused(option, pushing)


@pytest.mark.parametrize("name", ["..", ".git", "a/../../b"])
def test_a_name_that_leads_elsewhere_is_written_nowhere(pushing: Pushing, name: str) -> None:
    blob = write_object(pushing, "blob", agent("canary").encode())
    inner = write_object(pushing, "tree", entry("100644", "canary.yaml", blob))
    outer = write_object(pushing, "tree", entry("40000", name, inner))
    commit = commit_of(pushing, outer)
    pushed = pushing.push("-o", "plan-only", ref=f"{commit}:refs/heads/main")
    refused(pushed, pushing)


def test_what_is_no_commit_moves_nothing(pushing: Pushing) -> None:
    blob = write_object(pushing, "blob", b"x")
    pushed = pushing.push(ref=f"{blob}:refs/heads/main")
    refused(pushed, pushing)
    assert "is not a commit" in pushed.words


def test_thousands_of_refs_in_one_push_are_answered_for_the_one_that_counts(
    pushing: Pushing,
) -> None:
    commit = pushing.change({"a.yaml": agent("a")})
    lines = "".join(f"create refs/heads/many/{n} {commit}\n" for n in range(3_000))
    pushing.repository.git("update-ref", "--stdin", given=lines.encode())
    pushed = pushing.git(
        "push",
        "--quiet",
        "origin",
        "HEAD:refs/heads/main",
        "refs/heads/many/*:refs/heads/many/*",
    )
    assert pushed.code == 0, pushed.output
    assert pushed.output.count("Plan: 1 to create") == 1
    assert pushing.stands("refs/heads/many/2999") == pushing.stands() == commit


def test_a_ref_that_looks_like_an_option_is_another_ref(pushing: Pushing) -> None:
    commit = pushing.change({"a.yaml": agent("a")})
    odd = "refs/heads/a/--upload-pack=touch"
    pushed = pushing.push(ref=f"{commit}:{odd}")
    assert (pushed.code, pushed.lines) == (0, [])
    assert pushing.stands(odd) == commit


def test_git_itself_stops_malformed_objects_once_the_hook_is_installed(
    tmp_path: Path,
) -> None:
    pushing = Pushing(tmp_path / "strict")
    blob = write_object(pushing, "blob", agent("a").encode())
    inner = write_object(pushing, "tree", entry("100644", "a.yaml", blob))
    commit = commit_of(pushing, write_object(pushing, "tree", entry("40000", "..", inner)))
    pushed = pushing.push(ref=f"{commit}:refs/heads/main")
    assert (pushed.code, pushing.stands()) == (1, "")
    assert "hasDotdot" in pushed.output
    listed = subprocess.run(
        ["git", "count-objects"], cwd=pushing.repository.origin, capture_output=True, text=True
    )
    assert listed.stdout.startswith("0 objects")
    pushing.close()
