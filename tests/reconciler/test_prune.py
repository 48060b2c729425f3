"""No commit deletes much by accident: it is named, it is little, or it does not happen.

The incidents by which others lost what they ran (Argo CD #9227, #18480, #18212, #18780 and
#20440) each stand here under their number, as what would lead to them with us.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pushed import World, agent, agents, made, manifest
from repository import git

from reconciler.change import Action
from reconciler.reconcile import INVENTORY_EVERY_US, Reconciler
from reconciler.report import Outcome
from runner.contract import errors
from runner.contract.settings import Settings, Source


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with made(tmp_path) as world:
        yield world


def gone(*names: str) -> dict[str, str | None]:
    return dict.fromkeys((f"{name}.yaml" for name in names), None)


def first(count: int) -> list[str]:
    return [f"a{n:03}" for n in range(count)]


@pytest.mark.parametrize(
    ("standing", "deleted", "settings", "blocked"),
    [
        pytest.param(20, 10, {}, False, id="ten may always go"),
        pytest.param(12, 10, {}, False, id="ten are few, whatever their share"),
        pytest.param(20, 11, {}, True, id="eleven of twenty are more than half"),
        pytest.param(22, 11, {}, False, id="just half"),
        pytest.param(40, 11, {"prune_max_percent": 25}, True, id="more than a quarter"),
        pytest.param(20, 19, {"prune_max_percent": 100}, False, id="no limit by share"),
        pytest.param(40, 11, {"prune_max_percent": 0}, True, id="no share at all"),
        pytest.param(20, 3, {"prune_max": 2}, True, id="three where two may go"),
        pytest.param(20, 2, {"prune_max": 2}, False, id="two where two may go"),
    ],
)
def test_a_commit_deletes_unnamed_what_its_repository_allows(
    world: World, standing: int, deleted: int, settings: dict[str, Any], blocked: bool
) -> None:
    world.reconciler = world.started(**settings)
    world.push(agents(standing))
    world.look()
    world.push(gone(*first(deleted)))
    result = world.look()
    assert [block.reason for block in result.blocks] == ["PruneBudget"] * blocked
    assert len(world.names()) == standing - (0 if blocked else deleted)


def test_the_block_says_how_much_and_what_and_what_to_do(world: World) -> None:
    world.push(agents(20))
    world.look()
    world.push(gone(*first(15)))
    (block,) = world.look().blocks
    assert block.sentence == (
        "this commit deletes 15 of 20 resources unnamed (75 %), and 50 % may go unnamed"
        " (source.prune_max_percent): agent/default/a000, agent/default/a001,"
        " agent/default/a002 and 12 more; delete fewer in a commit, and push the next when it"
        " is applied, or let each go by name: orloj reconcile --allow-destroy"
        " agent/default/a000 --reason TEXT"
    )
    assert (world.state().condition, world.state().reason) == ("Stalled", "PruneBudget")


def test_what_is_named_is_deleted_and_the_log_says_who_let_it_go(world: World) -> None:
    world.push(agents(20))
    world.look()
    commit = world.push(gone(*first(15)))
    world.allow(commit, *(f"agent/default/{name}" for name in first(5)))
    assert world.look().outcome is Outcome.APPLIED
    assert len(world.names()) == 5
    entries = world.log("manifest.overridden")
    named = {entry["resource"] for entry in entries}
    assert named == {f"agent/default/{name}" for name in first(5)}
    assert {entry["actor"] for entry in entries} == {"person:ada"}


def test_naming_one_lets_no_other_go(world: World) -> None:
    world.reconciler = world.started(prune_max=1)
    world.push(agents(20))
    world.look()
    commit = world.push(gone("a001", "a002", "a003"))
    world.allow(commit, "agent/default/a001")
    (block,) = world.look().blocks
    assert "a001" not in block.sentence
    assert "deletes 2 of 20" in block.sentence
    assert len(world.names()) == 20


def test_what_was_let_go_in_one_commit_is_not_let_go_in_the_next(world: World) -> None:
    world.reconciler = world.started(prune_max=1)
    world.push(agents(20))
    world.look()
    commit = world.push(gone("a001", "a002"))
    world.allow(commit, "agent/default/a001", "agent/default/a002")
    world.push({"b.yaml": agent("b")})  # Before anybody looked.
    assert [block.reason for block in world.look().blocks] == ["PruneBudget"]
    assert len(world.names()) == 20


def test_several_commits_that_nobody_applied_in_between_are_one(world: World) -> None:
    world.push(agents(30))
    world.look()
    for start in (0, 10):
        world.push(gone(*first(30)[start : start + 10]))
    assert [block.reason for block in world.look().blocks] == ["PruneBudget"]
    assert len(world.names()) == 30


def test_a_manifest_that_moves_to_another_file_deletes_nothing(world: World) -> None:
    world.push(agents(20))
    world.look()
    moved: dict[str, str | None] = {f"moved/{name}.yaml": agent(name) for name in first(20)}
    world.push(moved | gone(*first(20)))
    result = world.look()
    assert (result.outcome, result.blocks) == (Outcome.APPLIED, ())
    assert len(world.names()) == 20


def test_what_is_blocked_is_applied_by_nobody_however_often_they_look(world: World) -> None:
    world.push(agents(20))
    applied = world.look().commit
    world.push(gone(*first(15)))
    for look in (
        lambda: world.look(),
        lambda: world.look(forced=True),
        lambda: world.look(after_us=INVENTORY_EVERY_US),
        lambda: setattr(world, "reconciler", world.started()) or world.look(),
        lambda: setattr(world, "reconciler", world.started()) or world.look(forced=True),
    ):
        assert look().outcome is not Outcome.APPLIED
    seen = world.reconciler.preview()
    assert seen.plan is not None
    with pytest.raises(errors.PlanBlocked, match="deletes 15 of 20"):
        world.reconciler.apply(seen.plan, world.now_us)
    assert len(world.names()) == 20
    assert world.state().applied_commit == applied
    assert world.log("resource.deleted") == []
    assert len(world.log("manifest.rejected")) == 1


def test_the_next_commit_that_puts_them_back_is_applied_at_once(world: World) -> None:
    world.push(agents(20))
    world.look()
    world.push(gone(*first(15)))
    world.look()
    world.push(agents(15) | {"b.yaml": agent("b")})
    assert world.look().outcome is Outcome.APPLIED
    assert len(world.names()) == 21


# The inventory is never emptied.


def _moved_out(world: World) -> Reconciler:
    world.repository.git("mv", "live", "elsewhere")
    world.push({})
    return world.reconciler


def _broken(world: World) -> Reconciler:
    world.push({f"live/{name}.yaml": "kind: [" for name in ("a", "b")})
    return world.reconciler


def _emptied(world: World) -> Reconciler:
    world.push({f"live/{name}.yaml": "# Nothing.\n" for name in ("a", "b")})
    return world.reconciler


def _no_manifests(world: World) -> Reconciler:
    world.push({"live/a.yaml": None, "live/b.yaml": None, "live/notes.txt": "Hello."})
    return world.reconciler


def _other_folder(world: World) -> Reconciler:
    return world.started(path="notes")


def _missing_folder(world: World) -> Reconciler:
    return world.started(path="lvie")


def _ref_deleted(world: World) -> Reconciler:
    world.repository.git("push", "--quiet", "origin", "main:other")
    git("symbolic-ref", "HEAD", "refs/heads/other", folder=world.repository.origin)
    world.repository.git("push", "--quiet", "origin", ":main")
    return world.reconciler


def _other_ref(world: World) -> Reconciler:
    return world.started(ref="mian")


def _other_repository(world: World) -> Reconciler:
    other = World(world.folder / "other")
    other.push({"README.md": "Nothing here."})
    other.database.close()
    return world.started(url=other.repository.url, path="")


def _emptied_history(world: World) -> Reconciler:
    world.repository.git("checkout", "--quiet", "--orphan", "fresh")
    world.push({"live/a.yaml": None, "live/b.yaml": None, "x.yaml": None}, force=True)
    return world.reconciler


@pytest.mark.parametrize(
    "disaster",
    [
        _moved_out,
        _broken,
        _emptied,
        _no_manifests,
        _other_folder,
        _missing_folder,
        _ref_deleted,
        _other_ref,
        _other_repository,
        _emptied_history,
    ],
    ids=lambda found: found.__name__.strip("_").replace("_", " "),
)
def test_nothing_empties_what_a_repository_has_recorded(
    world: World, disaster: Callable[[World], Reconciler]
) -> None:
    world.reconciler = world.started(path="live")
    world.push({"live/a.yaml": agent("a"), "live/b.yaml": agent("b"), "x.yaml": agent("x")})
    world.repository.write("notes/readme.txt", "Hello.")
    commit = world.push({})
    world.look()
    for reconciler in (disaster(world), world.started()):  # Running on, and started anew.
        world.reconciler = reconciler
        result = world.look(after_us=INVENTORY_EVERY_US, forced=True)
        assert result.outcome in (Outcome.FAILED, Outcome.REJECTED)
    assert world.names() == ["a", "b"]
    assert world.state().applied_commit == commit
    assert world.state().message
    assert world.log("resource.deleted") == []


# Where the settings changed, less than eleven are much.


def _folder(world: World) -> dict[str, Any]:
    world.push({"else/x.yaml": agent("x")})
    return {"path": "else"}


def _repository(world: World) -> dict[str, Any]:
    other = World(world.folder / "other")
    other.push({"x.yaml": agent("x")})
    other.database.close()
    return {"url": other.repository.url, "path": ""}


def _ref(world: World) -> dict[str, Any]:
    world.repository.git("checkout", "--quiet", "-b", "old")
    world.push({"live/a.yaml": None, "live/b.yaml": None, "live/x.yaml": agent("x")}, ref="old")
    return {"ref": "old"}


@pytest.mark.parametrize("change", [_folder, _repository, _ref], ids=["path", "url", "ref"])
def test_settings_that_lead_elsewhere_delete_most_only_by_name(
    world: World, change: Callable[[World], dict[str, Any]]
) -> None:
    world.reconciler = world.started(path="live")
    world.push({"live/a.yaml": agent("a"), "live/b.yaml": agent("b")})
    world.look()
    world.reconciler = world.started(**change(world))
    for _ in range(3):
        result = world.look(forced=True)
        assert [block.reason for block in result.blocks] == ["PruneBudget"]
        assert "with the settings as they are now" in result.blocks[0].sentence
        world.reconciler = world.started()  # What was said of it makes it no older.
    assert world.names() == ["a", "b"]
    assert result.commit is not None
    world.allow(result.commit, "agent/default/a", "agent/default/b")
    world.reconciler = world.started()
    assert world.look(forced=True).outcome is Outcome.APPLIED
    assert world.names() == ["x"]


def test_a_shallow_clone_in_place_of_the_repository_deletes_nothing(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.push({"b.yaml": agent("b")})
    world.look()
    origin = world.repository.origin
    origin.rename(world.folder / "whole.git")
    whole = f"file://{world.folder}/whole.git"
    git("clone", "--quiet", "--bare", "--depth=1", whole, str(origin), folder=world.folder)
    for reconciler in (world.reconciler, world.started()):
        world.reconciler = reconciler
        world.look(after_us=INVENTORY_EVERY_US, forced=True)
        assert world.names() == ["a", "b"]
    assert world.log("resource.deleted") == []


# What others lost everything by.


def test_argo_9227_a_source_that_cannot_be_read_is_no_wish_to_delete(world: World) -> None:
    world.push(agents(3))
    world.look()
    world.repository.origin.rename(world.folder / "away.git")
    for reconciler in (world.reconciler, world.started()):
        world.reconciler = reconciler
        assert world.look(after_us=INVENTORY_EVERY_US).outcome is Outcome.FAILED
    assert len(world.names()) == 3


def test_argo_18480_a_generator_that_yields_nothing_deletes_nothing(world: World) -> None:
    world.push({"apps/a.yaml": agent("a"), "apps/b.yaml": agent("b")})
    world.look()
    # What writes the manifests failed, and pushed what it had.
    world.push({"apps/a.yaml": "", "apps/b.yaml": ""})
    result = world.look()
    assert (result.outcome, world.state().reason) == (Outcome.FAILED, "EmptyTree")
    assert world.names() == ["a", "b"]


def test_argo_18212_half_of_what_was_there_is_an_error_and_not_a_plan(world: World) -> None:
    world.push(agents(40))
    world.look()
    # Most files do not parse any more; those that do are not all that is wanted.
    world.push({f"{name}.yaml": "kind: Agent\n  bad" for name in first(39)})
    result = world.look()
    assert (result.outcome, result.plan) == (Outcome.REJECTED, None)
    assert len(world.names()) == 40


def test_argo_18780_settings_with_a_mistake_delete_nothing(world: World) -> None:
    world.push({"live/a.yaml": agent("a"), "live/b.yaml": agent("b")})
    world.look()
    for wrong in ({"path": "Live"}, {"path": "live/"}, {"ref": "refs/tags/none"}):
        settings = Source(**{"url": world.repository.url} | wrong)
        reconciler = Reconciler(Settings(home=world.home, source=settings), world.database)
        reconciler.run(world.now_us)
    assert world.names() == ["a", "b"]
    assert world.log("resource.deleted") == []


def test_argo_20440_a_resource_that_is_called_otherwise_is_not_silently_made_anew(
    world: World,
) -> None:
    world.push(agents(20))
    world.look()
    # One edit of a template renames them all: each would be deleted and made anew.
    world.push({f"{name}.yaml": agent(f"prod-{name}") for name in first(20)})
    result = world.look()
    assert [block.reason for block in result.blocks] == ["PruneBudget"]
    assert result.plan is not None
    assert result.plan.counts[Action.DELETE] == 20
    assert world.names() == first(20)


def test_another_repository_is_not_touched_by_what_one_deletes(tmp_path: Path) -> None:
    with made(tmp_path) as world:
        other = World(tmp_path / "other")
        other.push({"x.yaml": agent("x")})
        other.database.close()
        sources = {"second": Source(url=other.repository.url)}
        settings = Settings(
            home=world.home, source=Source(url=world.repository.url), sources=sources
        )
        world.push(agents(3))
        world.look()
        assert Reconciler(settings, world.database, "second").run(world.now_us).commit
        world.push(gone("a000"))
        world.look()
        assert world.names() == ["a001", "a002", "x"]


def test_a_namespace_that_goes_takes_nothing_along(world: World) -> None:
    there = manifest("Namespace", "team", "{}", namespace="team")
    world.push({"n.yaml": there, "a.yaml": agent("a", namespace="team")})
    world.look()
    world.push({"n.yaml": None})
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["a"]
