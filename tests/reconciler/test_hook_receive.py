"""A push is answered from the objects it brings, and what cannot be planned does not pass."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import Pushing, agent

from reconciler import control
from reconciler.control import Hold
from reconciler.git.received import ReceivedSource
from reconciler.push import followed
from reconciler.push.verdict import Ending
from runner.contract import clock, errors, settings
from runner.contract.source_settings import Source

MAIN = "refs/heads/main"
HASH = "a" * 40


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    made = Pushing(tmp_path)
    made.hooks.uninstall()  # What is pushed here is only to be there.
    yield made
    made.close()


def brought(pushing: Pushing, files: dict[str, str | None]) -> str:
    """A commit that is in the repository under another name."""
    commit = pushing.change(files)
    assert pushing.push("--force", ref="HEAD:refs/heads/other").code == 0
    return commit


def test_only_the_line_of_the_followed_ref_counts() -> None:
    lines = [f"{HASH} {HASH} refs/heads/{number}\n" for number in range(5_000)]
    lines.insert(2_500, f"{HASH} {'b' * 40} {MAIN}\n")
    stream = io.BytesIO("".join(lines).encode())
    assert followed.updates(stream, MAIN) == followed.Update(HASH, "b" * 40, MAIN)
    assert followed.updates(io.BytesIO(b""), MAIN) is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"main\n",
        f"{HASH} {HASH}\n".encode(),
        f"{HASH} --all {MAIN}\n".encode(),
        f"{HASH} {HASH} ".encode() + b"x" * 9_000 + b"\n",
    ],
    ids=["empty", "one word", "no ref", "an option for a hash", "longer than any ref"],
)
def test_a_line_that_git_does_not_write_is_refused(line: bytes) -> None:
    with pytest.raises(errors.Refused):
        followed.updates(io.BytesIO(line), MAIN)


def test_a_ref_that_looks_like_an_option_is_another_ref() -> None:
    stream = io.BytesIO(f"{HASH} {HASH} refs/heads/--upload-pack=evil\n".encode())
    assert followed.updates(stream, MAIN) is None


def test_a_commit_is_planned_and_nothing_is_recorded_without_an_option(
    pushing: Pushing,
) -> None:
    commit = brought(pushing, {"a.yaml": agent("a")})
    found = pushing.look(commit)
    assert (found.ending, found.commit) == (Ending.ACCEPTED, commit)
    assert [str(change.key) for change in found.plan.changes] == ["agent/default/a"]
    assert pushing.overrides() == []


def test_problems_are_all_told_at_once(pushing: Pushing) -> None:
    broken = agent("b").replace("model", "modle")
    commit = brought(pushing, {"b.yaml": broken, "c.yaml": broken.replace(": b", ": c")})
    found = pushing.look(commit)
    assert found.ending is Ending.REFUSED
    assert [(item.path, item.line) for item in found.problems] == [("b.yaml", 6), ("c.yaml", 6)]


def test_the_followed_ref_is_never_deleted(pushing: Pushing) -> None:
    found = pushing.look("0" * 40, old=HASH)
    assert found.ending is Ending.REFUSED
    assert "deleting it is never taken for a wish" in found.sentences[0]


def test_an_empty_tree_is_refused(pushing: Pushing) -> None:
    brought(pushing, {"a.yaml": agent("a")})
    commit = brought(pushing, {"a.yaml": None, "README": "x"})
    found = pushing.look(commit)
    assert found.ending is Ending.REFUSED
    assert "holds no manifest" in found.sentences[0]


@pytest.mark.parametrize("kind", ["blob", "tree"])
def test_what_is_no_commit_is_refused(pushing: Pushing, kind: str) -> None:
    commit = brought(pushing, {"a.yaml": agent("a")})
    spec = {"blob": f"{commit}:a.yaml", "tree": f"{commit}^{{tree}}"}[kind]
    found = pushing.look(pushing.repository.git("rev-parse", spec))
    assert "is not a commit, and stands for none" in found.sentences[0]


def test_a_tag_is_refused_for_a_branch_and_looked_through_for_a_tag(pushing: Pushing) -> None:
    commit = brought(pushing, {"a.yaml": agent("a")})
    pushing.repository.git("-c", "user.name=x", "-c", "user.email=x", "tag", "-m", "x", "v1")
    pushing.push(ref="v1")
    tag = pushing.repository.git("rev-parse", "v1")
    assert tag != commit
    assert "names a commit, not a tag" in pushing.look(tag).sentences[0]
    assert pushing.look(tag, ref="refs/tags/v1").commit == commit


def test_an_object_that_is_not_there_is_refused(pushing: Pushing) -> None:
    assert pushing.look("c" * 40).ending is Ending.REFUSED


def test_an_applied_commit_that_is_gone_makes_everything_new_to_read(pushing: Pushing) -> None:
    first = brought(pushing, {"a.yaml": agent("a")})
    pushing.repository.git("push", "--quiet", "origin", f"{first}:{MAIN}")
    assert pushing.orloj("reconcile").returncode == 0
    pushing.repository.git("checkout", "--quiet", "--orphan", "fresh")
    commit = brought(pushing, {"a.yaml": agent("a", "New."), "b.yaml": agent("b")})
    pushing.repository.git("push", "--quiet", "--force", "origin", f"{commit}:{MAIN}")
    for arguments in (
        ("update-ref", "-d", "refs/heads/other"),
        ("reflog", "expire", "--expire=now", "--all"),
        ("gc", "--quiet", "--prune=now"),
    ):
        pushing.repository.git("--git-dir", str(pushing.repository.origin), *arguments)
    found = pushing.look(commit)
    assert found.ending is Ending.ACCEPTED
    assert not found.plan.target.fast_forward
    assert [change.action.sign for change in found.plan.changes] == ["~", "+"]


def test_the_plan_that_was_read_is_approved_and_another_is_stale(pushing: Pushing) -> None:
    pushing.configure(approval="always")
    commit = brought(pushing, {"a.yaml": agent("a")})
    waiting = pushing.look(commit)
    assert (waiting.ending, waiting.approvable) == (Ending.REFUSED, True)
    stale = pushing.look(commit, "approve=0123456789ab")
    assert stale.ending is Ending.STALE
    assert waiting.plan.short_id in stale.sentences[0]
    assert pushing.overrides() == []
    passed = pushing.look(commit, f"approve={waiting.plan.short_id}")
    assert (passed.ending, passed.plan.blocked) == (Ending.ACCEPTED, ())
    (entry,) = pushing.overrides()
    assert (entry["actor"], entry["outcome"], entry["resource"], entry["reason"]) == (
        *("person:dana", "plan", waiting.plan.id, "push option"),
    )
    assert entry["commit"] == commit


def test_planning_only_records_nothing_and_moves_nothing(pushing: Pushing) -> None:
    commit = brought(pushing, {"a.yaml": agent("a")})
    plan = pushing.look(commit).plan.short_id
    found = pushing.look(commit, "plan-only", f"approve={plan}", "override-freeze=now")
    assert (found.ending, found.passes) == (Ending.PLAN_ONLY, False)
    assert pushing.overrides() == []


def test_what_is_let_pass_is_recorded_for_this_commit(pushing: Pushing) -> None:
    first = brought(pushing, {"a.yaml": agent("a"), "b.yaml": agent("b")})
    pushing.repository.git("push", "--quiet", "origin", f"{first}:{MAIN}")
    assert pushing.orloj("reconcile").returncode == 0
    commit = brought(pushing, {"b.yaml": None})
    slip = pushing.look(commit, "allow-destroy=agent/default/a")
    assert slip.ending is Ending.REFUSED
    assert "does not delete it" in slip.sentences[0]
    options = ("allow-destroy=agent/default/b", "override-freeze=now", "accept-rewrite=squash")
    assert pushing.look(commit, *options).ending is Ending.ACCEPTED
    assert pushing.look(commit, *options).ending is Ending.ACCEPTED
    entries = [(e["outcome"], e["resource"], e["reason"]) for e in pushing.overrides()]
    assert sorted(entries) == [
        ("destroy", "agent/default/b", "push option"),
        ("freeze", "source/default", "now"),
        ("rewrite", "source/default", "squash"),
    ]


def test_a_hook_in_a_repository_that_is_not_followed_refuses(pushing: Pushing) -> None:
    home = settings.load(pushing.home, {})
    assert followed.source(home, "default", pushing.repository.origin)
    with pytest.raises(errors.Refused, match="follows"):
        followed.source(home, "default", pushing.repository.work / ".git")
    with pytest.raises(errors.SettingsInvalid):
        followed.source(home, "teams", pushing.repository.origin)


@pytest.mark.parametrize(
    "name",
    ["objects/pack", "objects", "..", "objects/tmp_objdir-incoming-absent", "hooks"],
)
def test_only_the_folder_where_git_keeps_pushed_objects_is_read(
    pushing: Pushing, name: str
) -> None:
    origin = pushing.repository.origin
    source = ReceivedSource(
        Source(url=str(origin)), origin, str(origin / name), pushing.folder / "git"
    )
    with pytest.raises(errors.SourceStalled, match="no folder of pushed objects"):
        source.commit(HASH)


def test_a_link_in_the_place_of_pushed_objects_is_not_followed(pushing: Pushing) -> None:
    origin = pushing.repository.origin
    link = origin / "objects" / "tmp_objdir-incoming-x"
    link.symlink_to(pushing.folder)
    source = ReceivedSource(Source(url=str(origin)), origin, str(link), pushing.folder / "git")
    with pytest.raises(errors.SourceStalled, match="no folder of pushed objects"):
        source.commit(HASH)


@pytest.mark.parametrize("name", ['a:b"c.git', "plain.git"])
def test_objects_are_read_from_quarantine_whatever_the_path_holds(
    tmp_path: Path, name: str
) -> None:
    pushing = Pushing(tmp_path)
    pushing.hooks.uninstall()
    commit = brought(pushing, {"a.yaml": agent("a")})
    moved = tmp_path / name
    pushing.repository.origin.rename(moved)
    quarantine = moved / "objects" / "tmp_objdir-incoming-x"
    quarantine.mkdir()
    for folder in moved.glob("objects/??"):
        os.rename(folder, quarantine / folder.name)
    source = ReceivedSource(Source(url=str(moved)), moved, str(quarantine), tmp_path / "git")
    assert source.commit(commit) == commit
    assert [file.path for file in source.tree(commit).files] == ["a.yaml"]
    without = ReceivedSource(Source(url=str(moved)), moved, "", tmp_path / "git")
    with pytest.raises(errors.SourceStalled):
        without.commit(commit)
    pushing.close()


def test_a_suspended_source_still_shows_the_plan(pushing: Pushing) -> None:
    commit = brought(pushing, {"a.yaml": agent("a")})
    hold = Hold("person:dana", "holidays", commit)
    with pushing.database.write() as connection:
        control.suspend(connection, "default", hold, clock.now_us())
    assert pushing.look(commit).ending is Ending.ACCEPTED
