"""What goes on under another name is one change, surely the same thing, and keeps its past.

Two candidates are no move, a wrong annotation is an error where it stands, and a schedule
that moves runs no moment twice and loses none.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, opened
from hypothesis import given
from hypothesis import strategies as st
from repository import Repository

from reconciler import moved_rows
from reconciler.change import Action, ReasonCode, Target
from reconciler.plan import PlanRequest, plan
from reconciler.reconcile import Outcome, PassResult, Reconciler
from reconciler.resource import Recorded, Resource
from reconciler.schedule import rows as schedule_rows
from reconciler.schedule.schedules import Schedules
from runner.contract import audit, clock, database
from runner.contract.kinds import Key, digest
from runner.contract.settings import Settings, Source

GIT = "git:default"
TARGET = Target(owner=GIT, source="default", commit="b" * 40, previous_commit="a" * 40)
MINUTE_US = 60_000_000

AGENT = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: {name}{more}
spec:
  model_ref: scripted
  prompt: |
    You triage the claims of customers in five steps, {words}.
    Escalate when the amount exceeds 100 EUR, and say to whom.
    Be brief, be kind, and never promise a date to anybody.
    Whoever asks for a person gets one within the hour, by name.
    What you cannot decide goes to the desk with all you know.
    Money is never mentioned before the claim is understood.
"""
MODEL = """\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: scripted
spec:
  provider: mock
  default_model: m
"""
ANNOTATED = "\n  annotations:\n    orloj.dev/moved-from: {}"


def agent(name: str, words: str = "then stop", moved_from: str = "") -> str:
    return AGENT.format(
        name=name, words=words, more=ANNOTATED.format(moved_from) if moved_from else ""
    )


class Place:
    """A repository, a home that follows it, and what became of the last push."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.repository = Repository(folder)
        self.database = opened(folder / "home", url)
        settings = Settings(home=folder / "home", source=Source(url=self.repository.url))
        self.reconciler = Reconciler(settings, self.database)
        self.now_us = clock.now_us()

    def push(self, **files: str | None) -> PassResult:
        for name, text in files.items():
            path = name.replace("__", "/") + ".yaml"
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        self.repository.commit("Change")
        self.repository.push()
        self.now_us += 1
        return self.reconciler.run(self.now_us)

    def rows(self, query: str, *values: object) -> list[tuple]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query, values)]

    def messages(self, result: PassResult) -> list[str]:
        assert result.outcome is Outcome.REJECTED
        return [str(problem) for problem in result.problems]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.push(model=MODEL, triage=agent("triage"))
    yield made
    made.database.close()


def only(result: PassResult) -> tuple[Action, str, str | None, ReasonCode]:
    assert result.plan is not None, result
    (change,) = result.plan.changes
    previous = change.previous.name if change.previous else None
    return change.action, change.key.name, previous, change.code


def test_a_new_name_in_the_same_file_is_a_move(place: Place) -> None:
    result = place.push(triage=agent("first-line"))
    assert only(result) == (Action.MOVE, "first-line", "triage", ReasonCode.MOVE_SAME_SPEC)
    assert place.rows("SELECT name, generation FROM resource WHERE kind = 'Agent'") == [
        ("first-line", 1)
    ]


def test_a_moved_resource_counts_its_generations_on(place: Place) -> None:
    place.push(triage=agent("triage", "or six"))
    place.push(triage=agent("first-line", "or six"))
    place.push(triage=agent("first-line", "or seven"))
    assert place.rows("SELECT generation FROM resource WHERE kind = 'Agent'") == [(3,)]


def test_git_sees_a_renamed_file_whose_manifest_changed_as_well(place: Place) -> None:
    result = place.push(triage=None, first_line=agent("first-line", "or in six"))
    assert only(result) == (Action.MOVE, "first-line", "triage", ReasonCode.MOVE_FILE_RENAMED)
    reason = result.plan.changes[0].reason
    assert "git sees triage.yaml renamed to first_line.yaml" in reason
    assert reason.endswith("; its manifest changed too")


def test_a_file_that_is_another_makes_no_move(place: Place) -> None:
    other = f"{agent('closer').partition('spec:')[0]}spec:\n  model_ref: scripted\n"
    result = place.push(triage=None, closer=other)
    assert [change.action for change in result.plan.changes] == [Action.CREATE, Action.DELETE]


def test_the_annotation_says_what_git_cannot_know(place: Place) -> None:
    words = "with altogether different words that make it another file for git " * 9
    result = place.push(triage=None, other=agent("first-line", words, "triage"))
    assert only(result) == (Action.MOVE, "first-line", "triage", ReasonCode.MOVE_DECLARED)


def test_an_annotation_that_has_done_its_work_may_stay(place: Place, tmp_path: Path) -> None:
    moved = agent("first-line", moved_from="triage")
    place.push(triage=moved)
    assert place.push(triage=moved.replace("100", "200")).outcome is Outcome.APPLIED
    assert place.push(old=agent("triage", "again")).outcome is Outcome.APPLIED
    settings = Settings(home=tmp_path / "new", source=Source(url=place.repository.url))
    fresh = opened(tmp_path / "new")
    assert Reconciler(settings, fresh).run(place.now_us).outcome is Outcome.APPLIED
    fresh.close()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {"triage": None, "new": agent("first-line", "x " * 400, "triaage")},
            "new.yaml:6:27: there is no agent/default/triaage that could have moved here",
            id="misspelled",
        ),
        pytest.param(
            {"new": agent("first-line", "x", "triage")},
            "new.yaml:6:27: agent/default/triage has not moved: triage.yaml:1 declares it",
            id="still there",
        ),
        pytest.param(
            {
                "triage": None,
                "a": agent("a-line", "x", "triage"),
                "b": agent("b-line", "x", "triage"),
            },
            "b.yaml:6:27: agent/default/triage cannot become two: agent/default/a-line says"
            " it was that, too",
            id="claimed twice",
        ),
        pytest.param(
            {"new": agent("first-line", "x", "first-line")},
            "new.yaml:6:27: `orloj.dev/moved-from` names the resource itself",
            id="itself",
        ),
        pytest.param(
            {"new": agent("first-line", "x", "'no:name'")},
            "new.yaml:6:27: `orloj.dev/moved-from` is a name, or namespace/name; several with"
            " a space between",
            id="no name",
        ),
    ],
)
def test_a_wrong_annotation_is_an_error_where_it_stands(
    place: Place, files: dict[str, str | None], message: str
) -> None:
    assert place.messages(place.push(**files)) == [message]
    assert place.rows("SELECT name FROM resource WHERE kind = 'Agent'") == [("triage",)]


def test_of_two_former_names_the_one_that_was_applied_counts(place: Place) -> None:
    result = place.push(triage=agent("third", "x " * 300, "second triage"))
    assert only(result) == (Action.MOVE, "third", "triage", ReasonCode.MOVE_DECLARED)


def test_a_move_can_go_to_another_namespace_and_back(place: Place) -> None:
    text = agent("triage").replace("name: triage", "name: triage\n  namespace: desk")
    moved = place.push(triage=text.replace("scripted", "default/scripted"))
    assert [change.action for change in moved.plan.changes] == [Action.DELETE, Action.CREATE]
    declared = text.replace("\nspec", ANNOTATED.format("desk/triage") + "\nspec").replace(
        "namespace: desk", "namespace: help"
    )
    result = place.push(triage=declared.replace("scripted", "default/scripted"))
    assert only(result) == (Action.MOVE, "triage", "triage", ReasonCode.MOVE_DECLARED)


def test_the_log_names_both_names_and_the_move_is_on_record(place: Place) -> None:
    place.push(triage=agent("second"))
    place.push(triage=agent("third"))
    with place.database.read() as connection:
        entries = [stored.fields for stored in audit.read(connection)]
    moved = [entry for entry in entries if entry["type"] == "resource.moved"]
    assert [(entry["resource"], entry["reason"].partition(":")[0]) for entry in moved] == [
        ("agent/default/second", "moved from agent/default/triage"),
        ("agent/default/third", "moved from agent/default/second"),
    ]
    applied = [entry for entry in entries if entry["type"] == "manifest.applied"][-1]
    assert applied["outcome"] == "0 created, 0 updated, 0 deleted, 1 moved"
    with place.database.read() as connection:
        known = moved_rows.former(connection, Key("default", "Agent", "third"))
    assert [key.name for key in known] == ["second", "triage"]


def test_what_goes_by_name_does_not_follow_and_is_said(place: Place) -> None:
    limited = agent("triage") + "  governance:\n    maxTokensPerMinute: 500\n"
    policy = """\
apiVersion: orloj.dev/v1
kind: AgentPolicy
metadata:
  name: no-mail
spec:
  blocked_tools: [mail]
  target_agents: [triage]
"""
    place.push(triage=limited, policy=policy)
    result = place.push(triage=limited.replace("triage\n", "first-line\n", 1))
    assert [(item.rule, item.sentence) for item in result.plan.widenings] == [
        (
            "moved-limits",
            "first-line begins anew under maxTokensPerMinute: what was used as triage is"
            " counted for that name",
        ),
        (
            "moved-from-policy",
            "policy no-mail (policy.yaml:1) names triage, and does not reach first-line",
        ),
    ]


def test_a_move_alone_widens_nothing(place: Place) -> None:
    assert place.push(triage=agent("first-line")).plan.findings == ()


def test_a_task_that_only_moved_is_not_run_again(place: Place) -> None:
    task = """\
apiVersion: orloj.dev/v1
kind: Task
metadata:
  name: once
spec:
  agent: triage
"""
    task = task.replace("agent: triage", "system: desk")
    desk = """\
apiVersion: orloj.dev/v1
kind: AgentSystem
metadata:
  name: desk
spec:
  agents: [triage]
"""
    assert len(place.push(task=task, desk=desk).tasks) == 1
    result = place.push(task=task.replace("once", "renamed"))
    assert only(result)[0] is Action.MOVE
    assert result.tasks == ()


SCHEDULE = """\
apiVersion: orloj.dev/v1
kind: TaskSchedule
metadata:
  name: {name}
spec:
  schedule: "*/5 * * * *"
  task_ref: nightly
"""
TEMPLATE = """\
apiVersion: orloj.dev/v1
kind: Task
metadata:
  name: nightly
spec:
  mode: template
  system: desk
---
apiVersion: orloj.dev/v1
kind: AgentSystem
metadata:
  name: desk
spec:
  agents: [triage]
"""


@pytest.fixture
def scheduled(tmp_path: Path, database_url: str) -> Iterator[Place]:
    made = Place(tmp_path, database_url)
    made.push(
        model=MODEL,
        triage=agent("triage"),
        task=TEMPLATE,
        every=SCHEDULE.format(name="every-five"),
    )
    yield made
    made.database.close()


def cancel(connection: object, ids: object, *, actor: str, now_us: int) -> None:
    raise AssertionError("nothing is to be cancelled")


def test_a_moved_schedule_runs_no_moment_twice_and_loses_none(scheduled: Place) -> None:
    schedules = Schedules(scheduled.database, cancel)
    first = schedules.tend(scheduled.now_us)
    assert first is not None
    schedules.tend(first)  # The first moment is queued under the old name.
    fires = "SELECT name, fire_at, decision FROM schedule_fire ORDER BY fire_at"
    assert scheduled.rows(fires) == [("every-five", first, "queued")]
    scheduled.now_us = first + 10
    result = scheduled.push(every=SCHEDULE.format(name="five-minutes"))
    assert only(result)[:3] == (Action.MOVE, "five-minutes", "every-five")
    assert scheduled.rows(fires) == [("five-minutes", first, "queued")]
    second = schedules.tend(first + 20)
    assert second == first + 5 * MINUTE_US
    schedules.tend(second)
    # It still knows the task of its first moment, which nobody has run.
    assert scheduled.rows(fires) == [
        ("five-minutes", first, "queued"),
        ("five-minutes", second, "skipped"),
    ]
    assert len(scheduled.rows("SELECT id FROM task")) == 1
    assert scheduled.rows("SELECT name FROM schedule") == [("five-minutes",)]


def test_a_schedule_that_moves_while_no_daemon_looks_keeps_what_it_owes(
    scheduled: Place,
) -> None:
    first = Schedules(scheduled.database, cancel).tend(scheduled.now_us)
    assert first is not None
    scheduled.now_us = first + 10
    scheduled.push(every=SCHEDULE.format(name="five-minutes"))
    Schedules(scheduled.database, cancel).tend(first + 20)
    fires = "SELECT name, fire_at, decision FROM schedule_fire"
    assert scheduled.rows(fires) == [("five-minutes", first, "queued")]


def test_what_a_schedule_of_the_new_name_left_behind_is_not_taken_over(
    scheduled: Place,
) -> None:
    Schedules(scheduled.database, cancel).tend(scheduled.now_us)
    with scheduled.database.write() as connection:
        left = Key("default", schedule_rows.KIND, "five-minutes")
        schedule_rows.hold(connection, left)
        connection.exec_driver_sql(
            "INSERT INTO schedule_fire (namespace, name, fire_at, decision, decided_at)"
            " VALUES ('default', 'five-minutes', 7, 'missed', 8)"
        )
    scheduled.push(every=SCHEDULE.format(name="five-minutes"))
    assert scheduled.rows("SELECT * FROM schedule_fire") == []
    assert scheduled.rows("SELECT name FROM schedule") == [("five-minutes",)]


# The pure half: no guess between two, and applying a plan with moves makes what was desired.


def resource(name: str, content: str, path: str) -> Resource:
    body = json.dumps({"spec": {"model": content}})
    key = Key("default", "Agent", name)
    return Resource(key, path, 1, 1, digest(body), body, {}, blob="0" * 40)


def record(made: Resource) -> Recorded:
    return Recorded(
        *(made.key, GIT, "a" * 40, made.path, made.line, made.spec_hash, made.body, 1),
        blob=made.blob,
    )


states = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.sampled_from("xyz"), st.sampled_from("pq"))
)


def request_of(before: dict, after: dict) -> PlanRequest:
    old = [resource(name, *rest) for name, rest in before.items()]
    new = [resource(name, *rest) for name, rest in after.items()]
    return PlanRequest(
        target=TARGET,
        desired={item.key: item for item in new},
        recorded={item.key: record(item) for item in old},
    )


@given(states, states)
def test_a_move_never_has_two_candidates(before: dict, after: dict) -> None:
    gone = [before[name][0] for name in before.keys() - after.keys()]
    new = [after[name][0] for name in after.keys() - before.keys()]
    made = plan(request_of(before, after))
    moved = [change for change in made.changes if change.action is Action.MOVE]
    contents = {content for content in gone if gone.count(content) == new.count(content) == 1}
    assert len(moved) == len(contents)
    assert {json.loads(change.after.body)["spec"]["model"] for change in moved} == contents


@given(states, states)
def test_applying_a_plan_with_moves_makes_what_was_desired(before: dict, after: dict) -> None:
    request = request_of(before, after)
    have = set(request.recorded)
    for change in plan(request).changes:
        if change.action in (Action.DELETE, Action.MOVE):
            have.remove(change.previous or change.key)
        if change.after is not None:
            have.add(change.key)
    assert have == set(request.desired)


def test_git_is_not_believed_where_others_say_the_same() -> None:
    request = request_of(
        {"a": ("x", "old.yaml"), "b": ("x", "other.yaml")}, {"c": ("x", "new.yaml")}
    )
    request = PlanRequest(
        target=TARGET,
        desired=request.desired,
        recorded=request.recorded,
        renames={"new.yaml": ("old.yaml", 100)},
    )
    assert Action.MOVE not in {change.action for change in plan(request).changes}


def test_the_id_of_a_plan_names_what_moved() -> None:
    one = plan(request_of({"a": ("x", "p")}, {"c": ("x", "p")}))
    two = plan(request_of({"b": ("x", "p")}, {"c": ("x", "p")}))
    assert one.id != two.id


def test_yesterdays_database_learns_of_moves(tmp_path: Path) -> None:
    made = Home(tmp_path / "home")
    assert made.rows("SELECT count(*) FROM resource_move") == [(0,)]
    made.close()
    assert database.open_database(tmp_path / "home").path is not None
