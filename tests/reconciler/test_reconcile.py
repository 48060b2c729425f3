"""The recorded state follows the repository, whole commits only, and never by accident."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from repository import Repository

from reconciler import recorded
from reconciler.change import Action
from reconciler.condition import CHECKED_EVERY_US
from reconciler.problem import Severity
from reconciler.reconcile import INVENTORY_EVERY_US, Outcome, Reconciler
from reconciler.recorded import SourceState
from runner.contract import audit, audit_check, errors
from runner.contract.database import Database, open_database
from runner.contract.settings import Settings, Source

SECOND_US = 1_000_000


def agent(name: str, prompt: str = "Be brief.", tool: str = "") -> str:
    tools = f"  tools:\n    - name: {tool}\n" if tool else ""
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\n"
        f"spec:\n  model: gpt-4\n  prompt: {prompt}\n{tools}"
    )


def task(name: str, subject: str) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Task\n"
        f"metadata:\n  name: {name}\nspec:\n  agent: {subject}\n"
    )


SECRET_VALUE = "hunter2-canary"
SECRET = (
    "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata:\n  name: key\n"
    f"spec:\n  stringData:\n    value: {SECRET_VALUE}\n"
)
BROKEN = agent("broken").replace("model:", "modle:")


class World:
    """A repository, a home, and a reconciler whose clock is a number."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database: Database = open_database(self.home)
        self.now_us = 1_000 * INVENTORY_EVERY_US
        self.reconciler = self.started()

    def started(self, **source: Any) -> Reconciler:
        """A reconciler as a new process has it."""
        fields = {"url": self.repository.url} | source
        return Reconciler(Settings(home=self.home, source=Source(**fields)), self.database)

    def push(self, files: dict[str, str | None], message: str = "Change", **more: Any) -> str:
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        commit = self.repository.commit(message)
        self.repository.push(**more)
        return commit

    def look(self, after_us: int = SECOND_US, **more: Any) -> Any:
        self.now_us += after_us
        return self.reconciler.run(self.now_us, **more)

    def state(self) -> SourceState:
        with self.database.read() as connection:
            state = recorded.source(connection)
        assert state is not None
        return state

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def log(self, type_prefix: str | None = None) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            assert audit_check.verify(connection).holds
            return [e.fields for e in audit.read(connection, type_prefix=type_prefix)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


def test_a_pushed_commit_is_applied_and_stamped_with_its_hash(world: World) -> None:
    commit = world.push({"a.yaml": agent("a"), "t.yaml": task("t", "a")})
    result = world.look()
    assert (result.outcome, result.commit, len(result.tasks)) == (Outcome.APPLIED, commit, 1)
    state = world.state()
    assert (state.applied_commit, state.condition) == (commit, "Ready")
    assert {entry["commit"] for entry in world.log()} == {commit}
    assert world.names() == ["a", "t"]


def test_a_change_touches_only_what_it_names(world: World) -> None:
    world.push({f"{name}.yaml": agent(name) for name in "abcdef"})
    world.look()
    world.push(
        {"c.yaml": agent("c", "Be long."), "d.yaml": None, "g.yaml": agent("g", "Be new.")}
    )
    planned = world.look().plan
    assert [(str(c.key), c.action.value, c.reason) for c in planned.changes] == [
        ("agent/default/c", "update", "its manifest changed"),
        ("agent/default/d", "delete", "because d.yaml was deleted"),
        ("agent/default/g", "create", "new in g.yaml"),
    ]
    assert (planned.examined, planned.parsed, planned.unchanged) == (2, 2, 4)
    assert world.names() == list("abcefg")


def test_a_commit_seen_before_is_neither_parsed_nor_written_down(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.database.connect():  # As the daemon holds one: the last to close checkpoints.
        world.look()
        before = _files(world)
        for _ in range(20):
            assert world.look(after_us=SECOND_US).outcome is Outcome.UNCHANGED
        assert _files(world) == before
        world.look(after_us=CHECKED_EVERY_US)
        assert world.state().checked_at == world.now_us
        assert _files(world) != before


def _files(world: World) -> dict[str, tuple[int, int]]:
    """Size and time of last writing of every file but those that SQLite maps to memory."""
    found = {path: path.stat() for path in world.home.rglob("*") if path.suffix != ".db-shm"}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


def test_a_forced_look_is_always_written_down(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    world.look(forced=True)
    assert world.state().checked_at == world.now_us


def test_a_broken_manifest_rejects_its_commit_and_the_next_good_one_is_applied(
    world: World,
) -> None:
    good = world.push({"a.yaml": agent("a")})
    world.look()
    bad = world.push({"b.yaml": agent("b"), "teams/broken.yaml": BROKEN})
    result = world.look()
    assert result.outcome is Outcome.REJECTED
    errors = [one for one in result.problems if one.severity is Severity.ERROR]
    assert str(errors[0]).startswith("teams/broken.yaml:6:3: ")
    state = world.state()
    assert (state.condition, state.reason) == ("Stalled", "ManifestInvalid")
    assert (state.applied_commit, state.attempted_commit) == (good, bad)
    assert json.loads(state.problems)[0]["line"] == 6
    assert world.names() == ["a"]
    world.push({"teams/broken.yaml": agent("mended")})
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["a", "b", "mended"]
    assert world.state().condition == "Ready"
    assert '"error"' not in world.state().problems


def test_a_rejected_commit_is_looked_at_once_and_logged_once(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    bad = world.push({"broken.yaml": BROKEN})
    assert world.look().outcome is Outcome.REJECTED
    assert world.look().outcome is Outcome.UNCHANGED
    assert world.look(forced=True).outcome is Outcome.REJECTED
    world.reconciler = world.started()
    assert world.look().outcome is Outcome.REJECTED
    (entry,) = world.log("manifest.rejected")
    assert entry["commit"] == bad
    assert "broken.yaml:6:3" in entry["reason"]


def test_what_has_a_mistake_is_not_also_missing_wherever_it_is_named(world: World) -> None:
    world.push({"broken.yaml": BROKEN, "task.yaml": task("t", "broken")})
    (problem,) = world.look().problems
    assert str(problem).startswith("broken.yaml:6:3")


def test_a_branch_that_goes_back_leaves_no_rejected_commit_behind(world: World) -> None:
    good = world.push({"a.yaml": agent("a")})
    world.look()
    bad = world.push({"broken.yaml": BROKEN})
    world.look()
    assert world.state().attempted_commit == bad
    world.repository.git("reset", "--quiet", "--hard", good)
    world.repository.push(force=True)
    assert world.look().outcome is Outcome.UNCHANGED
    assert (world.state().condition, world.state().attempted_commit) == ("Ready", good)
    world.repository.git("reset", "--quiet", "--hard", bad)
    world.repository.push()
    assert world.look().outcome is Outcome.REJECTED
    assert world.state().condition == "Stalled"
    assert [entry["commit"] for entry in world.log("manifest.rejected")] == [bad, bad]


def test_a_condition_names_the_repository_of_which_it_speaks(world: World) -> None:
    commit = world.push({"a.yaml": agent("a")})
    world.look()
    world.reconciler = world.started(url="/nowhere/at/all")
    assert world.look().outcome is Outcome.FAILED
    state = world.state()
    assert (state.url, state.applied_commit) == ("/nowhere/at/all", commit)


def test_two_files_may_not_declare_the_same_even_if_one_was_applied_before(
    world: World,
) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    world.push({"b.yaml": agent("a", "Another.")})
    result = world.look()
    assert result.outcome is Outcome.REJECTED
    assert "agent/default/a is declared twice: also at a.yaml:1" in str(result.problems[0])


def test_what_others_need_cannot_be_deleted(world: World) -> None:
    world.push({"a.yaml": agent("a"), "t.yaml": task("t", "a")})
    world.look()
    world.push({"a.yaml": None})
    (problem,) = world.look().problems
    assert problem.path == "t.yaml"
    assert "task/default/t needs agent/default/a, which this commit deletes" in str(problem)


def test_a_secret_cannot_take_back_what_an_unchanged_tool_of_others_needs(
    world: World,
) -> None:
    elsewhere = "  name: key\n  namespace: vault\n"
    held = SECRET.replace("  name: key\n", elsewhere)
    tool = (
        "apiVersion: orloj.dev/v1\nkind: Tool\nmetadata:\n  name: t\nspec:\n"
        "  endpoint: https://x.example\n  auth:\n    secretRef: vault/key\n"
    )
    world.push({"s.yaml": held, "t.yaml": tool})
    (problem,) = [p for p in world.look().problems if p.severity is Severity.ERROR]
    assert (problem.path, problem.line) == ("t.yaml", 8)
    world.push({"s.yaml": held + "  allowedNamespaces: [default]\n"})
    assert world.look().outcome is Outcome.APPLIED
    world.push({"s.yaml": held})
    result = world.look()
    assert result.outcome is Outcome.REJECTED
    (problem,) = [p for p in result.problems if p.severity is Severity.ERROR]
    assert (problem.path, problem.line) == ("t.yaml", 8)
    assert "does not allow the namespace `default`" in problem.message
    world.push({"s.yaml": held, "t.yaml": None, "a.yaml": agent("a")})
    assert world.look().outcome is Outcome.APPLIED


def _remote_gone(world: World) -> None:
    world.repository.origin.rename(world.home / "elsewhere.git")


def _ref_gone(world: World) -> None:
    (world.repository.origin / "refs/heads/main").unlink()


def _no_manifest(world: World) -> None:
    world.push({"a.yaml": None, "b.yaml": None, "README.md": "nothing left"})


def _no_document(world: World) -> None:
    world.push({"a.yaml": "# nothing\n", "b.yaml": "# nothing\n"})


def test_one_mistake_is_one_problem_and_not_also_a_deletion(world: World) -> None:
    world.push({"agent.yaml": agent("needed"), "task.yaml": task("work", "needed")})
    world.look()
    world.push(
        {
            "agent.yaml": agent("needed").replace("model:", "modle:"),
            "task.yaml": task("work", "needed") + "  priority: high\n",
        }
    )

    result = world.look()

    assert {problem.path for problem in result.problems} == {"agent.yaml"}


@pytest.mark.parametrize(
    ("disaster", "reason"),
    [
        pytest.param(_remote_gone, None, id="remote gone"),
        pytest.param(_ref_gone, "RefNotFound", id="ref gone"),
        pytest.param(_no_manifest, "EmptyTree", id="no manifest left"),
        pytest.param(_no_document, "EmptyTree", id="every manifest empty"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_source_that_fails_deletes_nothing(
    world: World, disaster: Callable[[World], None], reason: str | None, restarted: bool
) -> None:
    commit = world.push({"a.yaml": agent("a"), "b.yaml": agent("b")})
    world.look()
    disaster(world)
    if restarted:
        world.reconciler = world.started()
    result = world.look()
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.error, errors.SourceError)
    state = world.state()
    assert state.condition in ("Reconciling", "Stalled")
    assert reason in (None, state.reason)
    assert state.message
    assert world.names() == ["a", "b"]
    assert state.applied_commit == commit
    assert world.log("resource.deleted") == []


def test_a_source_that_comes_back_is_ready_again(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    elsewhere = world.home / "elsewhere.git"
    world.repository.origin.rename(elsewhere)
    world.look()
    elsewhere.rename(world.repository.origin)
    assert world.look().outcome is Outcome.UNCHANGED
    assert (world.state().condition, world.state().message) == ("Ready", "")


def test_a_rewritten_history_is_applied_and_said(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    first = world.repository.head()
    second = world.push({"b.yaml": agent("b")})
    world.look()
    world.repository.git("reset", "--quiet", "--hard", first)
    world.push({"c.yaml": agent("c")}, force=True)
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["a", "c"]
    assert world.log("manifest.applied")[-1]["reason"] == (
        f"the history was rewritten: {second} is no ancestor"
    )
    assert world.rows("SELECT fast_forward FROM revision ORDER BY id") == [(1,), (0,)]


def test_every_applied_commit_stays_readable_for_ever(world: World) -> None:
    first = world.push({"a.yaml": agent("a")})
    world.look()
    world.push({"a.yaml": agent("a", "Again.")})
    world.look()
    pins = list((world.home / "git").rglob(f"refs/orloj/applied/{first}"))
    assert len(pins) == 1


def test_a_commit_that_changes_no_manifest_is_recorded(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    for files in ({}, {"README.md": "words"}):
        commit = world.push(files)
        result = world.look()
        assert (result.outcome, result.plan.changes) == (Outcome.APPLIED, ())
        assert world.state().applied_commit == commit


def test_an_unchanged_manifest_is_never_parsed_again(world: World) -> None:
    files = {f"{name}.yaml": agent(name) for name in "abc"}
    world.push(files)
    assert world.look().plan.parsed == 3
    world.reconciler = world.started()
    assert world.look().outcome is Outcome.UNCHANGED
    world.push({"a.yaml": None, "moved/a.yaml": files["a.yaml"]})
    planned = world.look().plan
    assert [change.reason for change in planned.changes] == ["moved from a.yaml"]
    assert planned.parsed == 0


def test_a_warning_is_remembered_with_the_file_it_is_about(world: World) -> None:
    world.push({"a.yaml": SECRET, "b.yaml": agent("b")})
    first = world.started().preview()
    again = world.started().preview()
    assert [again.plan.parsed, *map(str, again.problems)] == [0, *map(str, first.problems)]
    assert "secret value stands in Git" in str(again.problems[0])


def test_another_folder_of_the_repository_is_another_desired_state(world: World) -> None:
    world.push({"one/a.yaml": agent("a"), "two/b.yaml": agent("b")})
    world.look()
    world.reconciler = world.started(path="two")
    result = world.look()
    assert {c.action: c.key.name for c in result.plan.changes} == {Action.DELETE: "a"}
    assert world.names() == ["b"]


def test_a_file_lost_from_the_record_is_found_by_the_inventory(world: World) -> None:
    world.push({"a.yaml": agent("a"), "b.yaml": agent("b")})
    world.look()
    with world.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM resource WHERE name = 'a'")
    assert world.look().outcome is Outcome.UNCHANGED
    assert world.look(after_us=INVENTORY_EVERY_US).outcome is Outcome.APPLIED
    assert world.names() == ["a", "b"]


def test_a_preview_writes_nothing_but_the_cache(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    seen = world.started().preview()
    assert seen.plan is not None
    assert [change.key.name for change in seen.plan.changes] == ["a"]
    tables = ["source", "resource", "revision", "audit_entry", "task", "sealed_secret"]
    assert [world.rows(f"SELECT * FROM {table}") for table in tables] == [[]] * len(tables)


def test_the_plan_shown_is_the_plan_applied(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    seen = world.started().preview().plan
    assert world.look().plan.id == seen.id


def test_a_previewed_plan_is_applied_once(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    seen = world.reconciler.preview().plan
    assert world.reconciler.apply(seen, world.now_us).outcome is Outcome.APPLIED
    with pytest.raises(errors.PlanStale):
        world.reconciler.apply(seen, world.now_us)


def test_the_value_of_a_secret_is_nowhere_in_the_home(world: World) -> None:
    world.push({"s.yaml": SECRET, "a.yaml": agent("a")})
    planned = world.look().plan
    assert SECRET_VALUE not in repr(planned)
    held = [
        path
        for path in world.home.rglob("*")
        if path.is_file() and "git" not in path.relative_to(world.home).parts
        if SECRET_VALUE.encode() in path.read_bytes()
    ]
    assert held == []


def test_two_hundred_passes_hold_no_more_files_open_than_one(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    world.look()
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        if number % 40 == 0:
            world.push({"a.yaml": agent("a", f"Version {number}.")})
        assert world.look().outcome is not Outcome.FAILED
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_repository_set_is_one_clear_error(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with pytest.raises(errors.SettingsInvalid, match=r"source\.url is not set"):
        Reconciler(Settings(home=tmp_path), database)
    database.close()
