"""Going back is one new commit on the branch: history stays, and nobody's work is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import git
from status_world import World, agent

from reconciler import rollback
from reconciler.git import way_back
from reconciler.git.way_back import Person, Pushed
from reconciler.report import Outcome
from reconciler.rollback import Rollback
from runner.contract import errors

ADA = Person("Ada", "ada@example.com")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


def prepared(world: World, commit: str) -> Rollback:
    applied = world.state().applied_commit
    return rollback.prepare(world.reconciler, commit, applied, world.now_us)


def pushed(world: World, wanted: Rollback, to: Path | None = None) -> tuple[str, Pushed]:
    made = rollback.write(world.reconciler, wanted, ADA)
    return made, rollback.push(world.reconciler, wanted, made, to)


def origin(world: World, *arguments: str) -> str:
    return git(*arguments, folder=world.repository.origin).decode().strip()


def test_the_new_commit_holds_the_old_tree_and_stands_on_the_head(world: World) -> None:
    old = world.push({"a.yaml": agent("a")}, "Good")
    world.look()
    head = world.push({"a.yaml": agent("a", "Bad."), "b.yaml": agent("b")}, "Bad")
    world.look()
    wanted = prepared(world, old[:10])
    assert [(c.action.value, c.key.name) for c in wanted.plan.changes] == [
        ("update", "a"),
        ("delete", "b"),
    ]
    made, done = pushed(world, wanted)
    assert done.done, done.words
    assert origin(world, "rev-parse", "main") == made
    assert origin(world, "rev-parse", f"{made}^") == head
    assert origin(world, "rev-parse", f"{made}^{{tree}}") == origin(
        world, "rev-parse", f"{old}^{{tree}}"
    )
    assert origin(world, "log", "-1", "--format=%an %ae %s", made) == (
        f"Ada ada@example.com Roll back to {old[:12]}"
    )
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["a"]


def test_only_the_folder_of_the_manifests_goes_back(tmp_path: Path) -> None:
    world = World(tmp_path / "nested", path="deploy/agents")
    old = world.push({"deploy/agents/a.yaml": agent("a"), "deploy/x.txt": "1", "y.txt": "1"})
    world.look()
    world.push({"deploy/agents/a.yaml": agent("a", "Bad."), "deploy/x.txt": "2", "y.txt": "2"})
    world.look()
    made, done = pushed(world, prepared(world, old))
    assert done.done, done.words
    assert origin(world, "show", f"{made}:deploy/x.txt") == "2"
    assert origin(world, "show", f"{made}:y.txt") == "2"
    assert "Be brief." in origin(world, "show", f"{made}:deploy/agents/a.yaml")
    world.database.close()


def test_a_branch_that_moved_meanwhile_is_left_alone(world: World) -> None:
    old = world.push({"a.yaml": agent("a")})
    world.look()
    world.push({"a.yaml": agent("a", "Bad.")})
    world.look()
    wanted = prepared(world, old)
    newer = world.push({"c.yaml": agent("c")}, "Somebody else's")
    _, done = pushed(world, wanted)
    assert (done.done, done.moved) == (False, True)
    assert origin(world, "rev-parse", "main") == newer


def test_a_rewritten_commit_that_was_applied_can_be_gone_back_to(world: World) -> None:
    world.push({"a.yaml": agent("a")}, "Root")
    world.look()
    lost = world.push({"a.yaml": agent("a", "Kept in the mirror.")}, "Lost")
    world.look()
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    world.push({"b.yaml": agent("b")}, "Rewritten", force=True)
    world.look()
    git("reflog", "expire", "--expire=now", "--all", folder=world.repository.origin)
    git("gc", "--quiet", "--prune=now", folder=world.repository.origin)
    made, done = pushed(world, prepared(world, lost))
    assert done.done, done.words
    assert "Kept in the mirror." in origin(world, "show", f"{made}:a.yaml")


def test_a_checked_out_branch_moves_with_its_clean_files(tmp_path: Path) -> None:
    world = World(tmp_path / "worktree")
    world.source = {"url": str(world.repository.work)}
    world.started()
    old = world.push({"a.yaml": agent("a")})
    world.look()
    world.push({"a.yaml": agent("a", "Bad.")})
    world.look()
    made, done = pushed(world, prepared(world, old))
    assert done.done, done.words
    assert world.repository.head() == made
    assert "Be brief." in (world.repository.work / "a.yaml").read_text()
    assert world.repository.git("status", "--porcelain") == ""
    world.database.close()


def test_a_changed_file_of_somebody_is_never_written_over(tmp_path: Path) -> None:
    world = World(tmp_path / "dirty")
    world.source = {"url": str(world.repository.work)}
    world.started()
    old = world.push({"a.yaml": agent("a")})
    world.look()
    head = world.push({"a.yaml": agent("a", "Bad.")})
    world.look()
    wanted = prepared(world, old)
    world.repository.write("a.yaml", "my unsaved work\n")
    _, done = pushed(world, wanted)
    assert (done.done, done.moved) == (False, False)
    assert "unstaged changes" in done.words
    assert world.repository.head() == head
    assert (world.repository.work / "a.yaml").read_text() == "my unsaved work\n"
    assert f"git restore --source={old}" in rollback.by_hand(world.reconciler, wanted)
    world.database.close()


def test_a_hook_of_the_repository_has_the_last_word(world: World) -> None:
    old = world.push({"a.yaml": agent("a")})
    world.look()
    head = world.push({"a.yaml": agent("a", "Bad.")})
    world.look()
    hook = world.repository.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'ask a colleague'\nexit 1\n")
    hook.chmod(0o755)
    _, done = pushed(world, prepared(world, old))
    assert not done.done
    assert "ask a colleague" in done.words
    assert origin(world, "rev-parse", "main") == head


def test_a_clone_can_take_the_commit_for_its_owner_to_push(
    world: World, tmp_path: Path
) -> None:
    old = world.push({"a.yaml": agent("a")})
    world.look()
    head = world.push({"a.yaml": agent("a", "Bad.")})
    world.look()
    clone = tmp_path / "clone"
    git("clone", "--quiet", str(world.repository.origin), str(clone), folder=tmp_path)
    made, done = pushed(world, prepared(world, old), clone)
    assert done.done, done.words
    assert git("rev-parse", "HEAD", folder=clone).decode().strip() == made
    assert origin(world, "rev-parse", "main") == head


def test_what_the_branch_holds_already_needs_no_commit(world: World) -> None:
    commit = world.push({"a.yaml": agent("a")})
    world.look()
    assert prepared(world, commit).same


@pytest.mark.parametrize("source", [{"ref": "refs/tags/v1"}, {"commit": "a" * 40}])
def test_what_is_no_branch_has_no_place_for_a_commit(
    tmp_path: Path, source: dict[str, str]
) -> None:
    world = World(tmp_path / "pinned", **source)
    commit = world.push({"a.yaml": agent("a")})
    with pytest.raises(errors.Refused, match="does not follow a branch"):
        rollback.prepare(world.reconciler, commit, None, world.now_us)
    world.database.close()


def test_a_commit_with_mistakes_cannot_be_gone_back_to(world: World) -> None:
    bad = world.push({"a.yaml": agent("a").replace("model", "modle")})
    world.look()
    world.push({"a.yaml": agent("a")})
    world.look()
    with pytest.raises(errors.SourceStalled, match="cannot be gone back to"):
        prepared(world, bad)


def test_the_person_is_whom_git_knows(world: World, tmp_path: Path) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    file = tmp_path / "gitconfig"
    file.write_text("[user]\n\tname = Grace\n\temail = grace@example.com\n")
    found = way_back.person_of(world.reconciler.place.git, [tmp_path / "none", file])
    assert found == ("Grace", "grace@example.com")
