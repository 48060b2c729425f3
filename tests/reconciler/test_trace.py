"""A resource is walked back to its line, its commit, its people and its entry in the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from status_world import World, agent

from reconciler import override, resource_name
from reconciler.history import trace
from reconciler.history.origin import Origin
from reconciler.override import Override, OverrideKind
from reconciler.problem import Severity
from reconciler.views.trace import trace_json, trace_words
from runner.contract import audit, errors
from runner.contract.kinds import Key

A = Key("default", "Agent", "a")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


def traced(world: World, key: Key = A) -> Origin:
    with world.database.read() as connection:
        return trace.trace(connection, world.settings, key)


def test_each_step_is_the_one_that_was_recorded(world: World) -> None:
    world.push({"first.yaml": agent("z")})
    world.look()
    commit = world.push({"teams/a.yaml": "# A comment.\n" + agent("a")}, "Hire a")
    planned = world.look().plan
    found = traced(world)
    assert (found.resource.path, found.resource.line) == ("teams/a.yaml", 2)
    assert found.text == "apiVersion: orloj.dev/v1"
    assert found.written is not None
    assert (found.written.commit, found.written.subject) == (commit, "Hire a")
    assert found.written.author == "Ada Author <ada@example.com>"
    assert found.written.committer == "Carl Committer <carl@example.com>"
    assert found.record is not None
    assert found.record.plan_id == planned.id
    assert found.change is not None
    with world.database.read() as connection:
        (entry,) = [e for e in audit.read(connection) if e.seq == found.entry]
    assert entry.fields["type"] == "resource.created"
    assert entry.fields["resource"] == str(A)


def test_of_many_commits_applied_at_once_the_one_that_wrote_the_file_is_named(
    world: World,
) -> None:
    world.push({"z.yaml": agent("z")})
    world.look()
    wrote = world.push({"a.yaml": agent("a")}, "The one")
    head = world.push({"b.yaml": agent("b")}, "Another")
    world.look()
    found = traced(world)
    assert found.written is not None
    assert (found.written.commit, found.resource.commit) == (wrote, head)
    assert f"Applied with  {head}" in trace_words(found, world.now_us).plain


def test_a_line_that_only_moved_is_found_where_it_is_now(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    first = traced(world)
    world.push({"a.yaml": "# One.\n# Two.\n" + agent("a")})
    world.look()
    found = traced(world)
    assert (first.resource.line, found.resource.line) == (1, 3)
    assert found.text == "apiVersion: orloj.dev/v1"
    assert found.entry == first.entry, "it was applied when it was applied"


def test_what_was_let_pass_in_the_commit_is_named(world: World) -> None:
    commit = world.push({"a.yaml": agent("a")})
    given = Override(OverrideKind.PLAN, "person:ada", "looked at it", "sha256:12")
    with world.database.write() as connection:
        override.give(connection, "default", commit, [given], world.now_us)
    world.look()
    words = trace_words(traced(world), world.now_us).plain
    assert "plan sha256:12 by person:ada (looked at it)" in words
    assert trace_json(traced(world))["overrides"][0]["actor"] == "person:ada"


def test_without_a_mirror_the_rest_is_told_and_nothing_is_made_up(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    (world.home / "git" / "mirror.git" / "HEAD").unlink()
    found = traced(world)
    assert (found.text, found.written) == (None, None)
    assert found.record is not None
    assert "Ada Author" in trace_words(found, world.now_us).plain


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("solo", Key("default", "Agent", "solo")),
        ("agent/twin", Key("default", "Agent", "twin")),
        ("Agent/twin", Key("default", "Agent", "twin")),
        ("agent/default/twin", Key("default", "Agent", "twin")),
        ("task/default/twin", Key("default", "Task", "twin")),
    ],
)
def test_the_shortest_name_that_is_one_is_enough(world: World, text: str, key: Key) -> None:
    twin = agent("twin").replace("Agent", "Task").replace("model: gpt-4", "agent: solo")
    twin = twin.replace("  prompt: Be brief.\n", "  mode: template\n")
    world.push({"solo.yaml": agent("solo"), "twin.yaml": agent("twin"), "task.yaml": twin})
    assert not any(one.severity is Severity.ERROR for one in world.look().problems)
    with world.database.read() as connection:
        assert resource_name.resolve(connection, text) == key
        with pytest.raises(errors.NotFound, match="say which"):
            resource_name.resolve(connection, "twin")
        with pytest.raises(errors.NotFound, match="did you mean agent/default/solo"):
            resource_name.resolve(connection, "solu")
