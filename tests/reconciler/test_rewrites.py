"""A rewritten history is followed as the settings say, and what was applied stays readable."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import signing
from signing import World, agent

from reconciler import apply
from reconciler.event import events
from reconciler.reconcile import Outcome

A, B, C = (agent(name) for name in "abc")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.push({"a.yaml": A})
    world.push({"b.yaml": B})
    assert world.reasons() == []
    yield world
    world.close()


def rewrite(world: World, files: dict[str, str | None]) -> tuple[str, str]:
    """Push another commit in the place of the newest; the old and the new one."""
    old = world.repository.head()
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    return old, world.push(files)


def seen(world: World) -> list[tuple[str, str]]:
    with world.database.read() as connection:
        return [
            (record.event.severity.value, record.event.reason)
            for record in events.read(connection)
        ]


def test_allow_follows_and_says_so_loudly(world: World) -> None:
    old, new = rewrite(world, {"c.yaml": C})
    result = world.look()
    assert (result.outcome, result.commit) == (Outcome.APPLIED, new)
    assert not result.plan.target.fast_forward
    assert ("warning", "HistoryRewritten") in seen(world)
    assert f"{old} is no ancestor" in world.log("manifest.applied")[-1]["reason"]
    assert world.names() == ["a", "c"]


def test_pause_waits_until_a_person_accepts_that_very_commit(world: World) -> None:
    world.started(non_fast_forward="pause")
    _, first = rewrite(world, {"c.yaml": C})
    (block,) = world.look().blocks
    assert block.reason == "HistoryRewritten"
    assert 'orloj reconcile --accept-rewrite --reason "WHY"' in block.sentence
    world.accept_rewrite(first)
    _, second = rewrite(world, {"c.yaml": agent("c", "Be rude.")})
    assert world.reasons() == ["HistoryRewritten"]
    world.accept_rewrite(second)
    assert world.reasons(forced=True) == []
    assert world.state().applied_commit == second


def test_deny_refuses_whoever_accepts(world: World) -> None:
    world.started(non_fast_forward="deny")
    old, new = rewrite(world, {"c.yaml": C})
    world.accept_rewrite(new)
    (block,) = world.look().blocks
    assert block.reason == "HistoryRewritten"
    assert f"git push --force REMOTE {old}:refs/heads/main" in block.sentence
    world.repository.git("reset", "--quiet", "--hard", old)
    world.push({"c.yaml": C})
    assert world.reasons() == []


@pytest.mark.parametrize("policy", ["pause", "deny"])
def test_going_back_to_an_older_commit_is_a_rewrite_too(world: World, policy: str) -> None:
    world.started(non_fast_forward=policy)
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    world.repository.push(force=True)
    assert world.reasons() == ["HistoryRewritten"]
    assert world.names() == ["a", "b"]


def test_a_rewrite_while_nobody_looked_is_found_at_the_next_start(world: World) -> None:
    rewrite(world, {"c.yaml": C})
    world.started(non_fast_forward="pause")
    assert world.reasons() == ["HistoryRewritten"]


def test_a_rewrite_is_found_after_the_mirror_was_lost(world: World) -> None:
    rewrite(world, {"c.yaml": C})
    shutil.rmtree(world.home / "git")
    world.started(non_fast_forward="pause")
    assert world.reasons() == ["HistoryRewritten"]


def test_a_longer_history_than_is_read_is_still_told_from_a_rewrite(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.git.history.COMMITS_MAX", 2)
    world.started(non_fast_forward="deny")
    for number in range(4):
        world.push({"b.yaml": agent("b", f"Be {number}.")})
    result = world.look()
    assert result.outcome == "applied"
    assert (result.plan.target.fast_forward, result.plan.target.commits) == (True, None)
    world.repository.git("reset", "--quiet", "--hard", "HEAD~4")
    world.push({"c.yaml": C})
    assert world.reasons() == ["HistoryRewritten"]


def test_a_rewrite_of_signed_commits_is_judged_from_where_the_histories_part(
    tmp_path: Path,
) -> None:
    dana = signing.ssh(tmp_path, "dana@example.com")
    world = World(tmp_path / "w")
    world.trusting(dana)
    world.push({"a.yaml": A}, dana)
    world.push({"b.yaml": B}, dana)
    assert world.reasons() == []
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    hidden = world.commit({"b.yaml": agent("b", "Obey.")})
    world.push({"c.yaml": C}, dana)
    (block,) = world.look().blocks
    assert hidden[:12] in block.sentence
    world.repository.git("reset", "--quiet", "--hard", "HEAD~2")
    world.push({"c.yaml": C}, dana)
    assert world.reasons() == []
    world.close()


# Evidence.


def test_every_applied_commit_is_readable_after_a_rewrite_and_a_collection(
    world: World,
) -> None:
    old, new = rewrite(world, {"c.yaml": C})
    assert world.reasons() == []
    older, newest = rewrite(world, {"b.yaml": agent("b", "Be rude.")})
    assert older == new
    assert world.reasons() == []
    world.mirror("gc", "--quiet", "--prune=now")
    for commit in (old, new, newest):
        assert world.mirror("cat-file", "-t", commit) == "commit"
    assert world.mirror("show", f"{old}:b.yaml") == B.strip()


def test_a_kill_right_after_the_apply_leaves_the_commit_pinned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = apply.apply

    def killed(*arguments: object, **more: object) -> None:
        real(*arguments, **more)  # type: ignore[arg-type]
        os._exit(9)  # As by a kill: nothing of ours runs any more.

    monkeypatch.setattr(apply, "apply", killed)
    applied = world.push({"c.yaml": C})
    child = os.fork()
    if child == 0:
        world.started()
        world.look()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    assert world.state().applied_commit == applied
    rewrite(world, {"b.yaml": agent("b", "Be rude.")})
    world.started().sight()
    world.mirror("gc", "--quiet", "--prune=now")
    assert world.mirror("cat-file", "-t", applied) == "commit"


def test_a_commit_applied_before_pins_came_first_is_pinned_when_it_is_seen_again(
    world: World,
) -> None:
    applied = world.repository.head()
    world.mirror("update-ref", "-d", f"refs/orloj/applied/{applied}")
    world.started()
    world.look()
    assert world.mirror("rev-parse", f"refs/orloj/applied/{applied}") == applied
