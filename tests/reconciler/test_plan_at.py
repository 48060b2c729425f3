"""Any commit can be planned or compared, by its name or by the time it was applied, and nothing
is written for it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import opened
from repository import Repository

from reconciler.change import Action
from reconciler.cli import effective
from reconciler.cli.planning import read_time
from reconciler.reconcile import Outcome, Reconciler
from reconciler.review import comparing
from reconciler.review.points import Point, point
from reconciler.views import access_diff
from reconciler.views.access_diff import Shift
from runner.contract import clock, errors
from runner.contract.settings import Settings, Source

AGENT = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: {name}
spec:
  model_ref: scripted
  tools:
    - name: scan
      permissions:
        - read: docs
{more}"""
REST = """\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: scripted
spec:
  provider: mock
  default_model: m
---
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: scan
spec:
  type: python
  function: read_file
  requires:
    - read: docs
---
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: flag
spec:
  type: python
  function: append_record
  requires:
    - write: issues
"""
FLAG = """\
    - name: flag
      permissions:
        - write: issues
"""
HOUR_US = 3_600_000_000


class Past:
    """A repository with three applied commits, an hour apart, and a branch."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder)
        self.database = opened(folder / "home")
        self.settings = Settings(home=folder / "home", source=Source(url=self.repository.url))
        self.reconciler = Reconciler(self.settings, self.database)
        now_us = clock.now_us()
        self.times = [now_us - hours * HOUR_US for hours in (30, 20, 10)]
        self.commits = [
            self.push({"rest.yaml": REST, "triage.yaml": self.agent("triage")}),
            self.push({"triage.yaml": self.agent("triage", FLAG)}),
            self.push({"triage.yaml": self.agent("first-line", FLAG)}),
        ]
        for commit, at in zip(self.commits, self.times, strict=True):
            self.repository.git("checkout", "--quiet", commit)
            self.repository.push(force=True)
            assert self.reconciler.run(at).outcome is Outcome.APPLIED
        self.repository.write("closer.yaml", self.agent("closer"))
        self.branch = self.repository.commit("On a branch")
        self.repository.push("later")

    def agent(self, name: str, more: str = "") -> str:
        return AGENT.format(name=name, more=more)

    def push(self, files: dict[str, str]) -> str:
        for path, text in files.items():
            self.repository.write(path, text)
        return self.repository.commit("Change")

    def point(self, text: str) -> Point:
        return point(self.settings, self.database, "default", text, read_time=read_time)

    def rows(self) -> dict[str, int]:
        """How much stands in every table but the cache of parsed blobs."""
        tables = ("resource", "revision", "audit_entry", "event", "source", "state")
        with self.database.read() as connection:
            return {
                table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                for table in tables
            }

    def compared(self, old: str, new: str) -> comparing.Compared:
        return comparing.compare(self.reconciler, old, new)

    def shifts(self, old: str, new: str) -> dict[str, list[Shift]]:
        found = self.compared(old, new)
        sides = map(effective.bounded, (found.before, found.after))
        return {item.agent: list(item.shifts) for item in access_diff.compare(*sides)}


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    made = Past(tmp_path_factory.mktemp("past"))
    yield made
    made.database.close()


@pytest.mark.parametrize(
    ("text", "at"),
    [("25h", 0), ("15h", 1), ("1h", 2), ("1s", 2), ("applied", 2), ("12.5h", 1)],
)
def test_a_time_is_what_was_applied_then(past: Past, text: str, at: int) -> None:
    found = past.point(text)
    assert found.commit == past.commits[at]
    assert found.words == f"applied {clock.iso(past.times[at])}"


def test_a_moment_of_the_clock_is_a_time_too(past: Past) -> None:
    between = clock.iso(past.times[1] + 5)
    assert past.point(between).commit == past.commits[1]


def test_a_commit_is_known_by_its_beginning_and_a_branch_by_its_name(past: Past) -> None:
    assert past.point(past.commits[0][:9]) == Point(past.commits[0])
    assert past.point("later") == Point(past.branch, "later")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("40h", "nothing of the repository default was applied at"),
        ("nowhere", "refs/heads/nowhere does not exist"),
        ("abcdef0", "abcdef0 is the beginning of no commit"),
        ("--upload-pack=x", "is not a branch or tag name"),
    ],
)
def test_a_point_that_is_none_says_what_to_give(past: Past, text: str, message: str) -> None:
    with pytest.raises(errors.OrlojError, match=message):
        past.point(text)


def test_nothing_is_recorded_for_a_look_at_another_commit(past: Past) -> None:
    before = past.rows()
    for commit in (past.branch, *past.commits):
        past.reconciler.preview(commit)
    past.compared(past.commits[0], past.branch)
    assert past.rows() == before


def test_planning_a_commit_of_the_past_is_planning_to_go_back(past: Past) -> None:
    seen = past.reconciler.preview(past.commits[0])
    actions = {change.key.name: change.action for change in seen.plan.changes}
    # Name and tools went back in one file: that may be two agents, and nobody says otherwise.
    assert actions == {"triage": Action.CREATE, "first-line": Action.DELETE}
    assert past.reconciler.ahead(past.commits[2], past.commits[0]) == 2
    assert past.reconciler.ahead(past.commits[0], past.commits[2]) is None


def test_planning_what_is_applied_changes_nothing(past: Past) -> None:
    assert past.reconciler.preview(past.commits[2]).plan.changes == ()


def test_two_commits_are_compared_whatever_is_applied(past: Past) -> None:
    made = past.compared(past.commits[0], past.branch).plan
    assert made.target.commits == 3
    assert made.counts[Action.CREATE] + made.counts[Action.MOVE] == 2
    back = past.compared(past.branch, past.commits[0]).plan
    assert back.target.commits is None
    assert {item.sentence for item in made.findings} != set()


def test_a_commit_compared_with_itself_differs_in_nothing(past: Past) -> None:
    found = past.compared(past.branch, past.branch)
    assert (found.plan.changes, found.plan.findings, found.plan.unchanged) == ((), (), 5)
    assert past.shifts(past.branch, past.branch) == {}


def test_a_rename_between_two_commits_is_a_move(past: Past) -> None:
    (change,) = past.compared(past.commits[1], past.commits[2]).plan.changes
    assert (change.action, change.previous.name) == (Action.MOVE, "triage")


def test_who_may_do_more_is_decided_by_the_guard_at_both(past: Past) -> None:
    (shift,) = past.shifts(past.commits[0], past.commits[1])["agent/default/triage"]
    assert (shift.what, shift.before, shift.after, shift.direction) == (
        *("flag: write:issues", "deny", "allow", "widens"),
    )
    assert shift.rule == "triage.yaml:13"
    (back,) = past.shifts(past.commits[1], past.commits[0])["agent/default/triage"]
    assert (back.before, back.after, back.direction) == ("allow", "deny", "narrows")


def test_limits_and_policies_of_both_commits_are_compared(past: Past) -> None:
    limited = past.agent("closer", FLAG) + "  governance:\n    maxTokensPerMinute: 500\n"
    policy = """\
apiVersion: orloj.dev/v1
kind: AgentPolicy
metadata:
  name: no-flags
spec:
  blocked_tools: [flag]
  max_tokens_per_run: 1000
  target_agents: [closer]
"""
    system = """\
apiVersion: orloj.dev/v1
kind: AgentSystem
metadata:
  name: desk
spec:
  agents: [first-line, closer]
"""
    past.repository.git("checkout", "--quiet", past.branch)
    open_one = past.push({"closer.yaml": past.agent("closer", FLAG), "desk.yaml": system})
    bound_one = past.push({"closer.yaml": limited, "policy.yaml": policy})
    past.repository.push("bound")
    shifts = past.shifts(open_one, bound_one)
    alone = {item.what: (item.before, item.after, item.direction) for item in
             shifts["agent/default/closer"]}  # fmt: skip
    assert alone == {
        "flag: write:issues": ("allow", "deny", "narrows"),
        "limit maxTokensPerMinute of default/closer": ("no limit", "500", "narrows"),
        "limit maxTokensPerRun of a run agentpolicy/default/no-flags": (
            *("no limit", "1000", "narrows"),
        ),
    }
    assert "agent/default/closer in desk" in shifts
    assert set(shifts) == {"agent/default/closer", "agent/default/closer in desk"}
