"""A decision either fits the state of every task it names, or it changes nothing at all."""

import json
from typing import Any

import pytest
from home import COMMIT, Home

from runner import decisions
from runner.claim import Claimable
from runner.contract import audit_check, clock
from runner.contract.errors import NotFound, Refused
from runner.contract.kinds import Key
from runner.contract.task_state import FINISHED, TaskState
from runner.decisions import Letters
from runner.pinning import Pins

TABLES = ("task", "attempt", "step", "audit_entry", "disclosure")
FITS = {
    "cancel": set(TaskState) - FINISHED,
    "ran": {TaskState.UNKNOWN_OUTCOME},
    "not_ran": {TaskState.UNKNOWN_OUTCOME},
    "retry": FINISHED - {TaskState.SUCCEEDED},
    "drop": {TaskState.FAILED, TaskState.DEAD},
}
WRONG = [(what, state) for what in FITS for state in TaskState if state not in FITS[what]]


@pytest.fixture
def task(home: Home) -> str:
    """A task with a finished step and a call under way that may not be repeated."""
    return make(home)


def make(home: Home, *, idempotent: bool = False) -> str:
    tool = {"endpoint": "http://127.0.0.1:9", "idempotent": idempotent}
    home.record("Tool", "send", tool)
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    subject = home.record("Agent", "clerk", {"model": "m", "tools": [{"name": "send"}]})
    (task,) = home.submit(subject)
    with home.database.write() as connection:
        from_rows(connection, task)
    return task


def from_rows(connection: Any, task: str) -> None:
    """The rows as the dispatcher writes them for a task in the middle of a call."""
    key = Key("default", "Agent", "clerk")
    digest, commit = Pins(connection).pin(Claimable(task, key, {}, 0, 0, 0, {}, None, None))
    connection.exec_driver_sql(
        "UPDATE task SET state = 'leased', fence = 4, attempt = 3, crashes = 1, holder = 'w',"
        " commit_sha = ?, manifest_set = ?, error = 'why' WHERE id = ?",
        (commit, digest, task),
    )
    connection.exec_driver_sql(
        "INSERT INTO attempt (task_id, fence, worker, started_at) VALUES (?, 4, 'w', 1)",
        (task,),
    )
    for number, kind, phase in ((1, "model", "done"), (2, "tool", "begun")):
        connection.exec_driver_sql(
            "INSERT INTO step (task_id, number, agent, kind, name, request, phase, result,"
            " fence, tokens_in, tokens_out, started_at)"
            " VALUES (?, ?, 'clerk', ?, 'send', '{}', ?, NULL, 4, 0, 0, 1)",
            (task, number, kind, phase),
        )


def put(home: Home, task: str, state: TaskState) -> None:
    finished = clock.now_us() if state in FINISHED else None
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE task SET state = ?, finished_at = ? WHERE id = ?",
            (state.value, finished, task),
        )


def act(home: Home, what: str, *tasks: str, result: str | None = None) -> list[Any]:
    by: dict[str, Any] = {"actor": "person:ada", "now_us": clock.now_us()}
    with home.database.write() as connection:
        if what in {"ran", "not_ran"}:
            ran = what == "ran"
            return [
                decisions.resolve(connection, task, ran=ran, result=result, **by)
                for task in tasks
            ]
        return list(getattr(decisions, what)(connection, tasks, **by))


def everything(home: Home) -> list[Any]:
    return [home.rows(f"SELECT * FROM {table}") for table in TABLES]


def log_holds(home: Home) -> bool:
    with home.database.read() as connection:
        return audit_check.verify(connection).holds


@pytest.mark.parametrize(("what", "state"), WRONG)
def test_a_decision_in_a_wrong_state_names_the_state_and_changes_nothing(
    home: Home, task: str, what: str, state: TaskState
) -> None:
    put(home, task, state)
    before = everything(home)
    with pytest.raises(Refused, match="running" if state == "leased" else state) as refused:
        act(home, what, task)
    assert "`orloj " in str(refused.value)
    assert everything(home) == before


def test_one_task_in_a_wrong_state_keeps_all_others_as_they_are(home: Home, task: str) -> None:
    other = make(home)
    put(home, other, TaskState.SUCCEEDED)
    before = everything(home)
    with pytest.raises(Refused, match=f"{other} is succeeded.*Nothing was changed"):
        act(home, "cancel", task, other)
    assert everything(home) == before


def test_a_task_that_is_not_there_is_not_found(home: Home) -> None:
    with pytest.raises(NotFound, match="no task"):
        act(home, "cancel", "0")


@pytest.mark.parametrize(
    ("what", "state"), [(what, state) for what in FITS for state in sorted(FITS[what])]
)
def test_a_fitting_decision_changes_the_state_keeps_the_fence_and_is_logged(
    home: Home, task: str, what: str, state: TaskState
) -> None:
    put(home, task, state)
    (decided,) = act(home, what, task)
    row = home.rows("SELECT state, fence, input FROM task WHERE id = ?", task)[0]
    assert (row.state, row.fence) == (decided.state, 4)
    entry = home.entries(task)[-1]
    assert entry["type"].startswith("task.")
    assert (entry["actor"], entry["commit"], entry["attempt"]) == ("person:ada", COMMIT, 4)
    assert log_holds(home)


def test_a_running_task_that_is_cancelled_is_in_nobodys_hands(home: Home, task: str) -> None:
    (decided,) = act(home, "cancel", task)
    assert (decided.was, decided.state, decided.call) == ("running", "cancelled", "send")
    assert home.rows("SELECT holder, lease_until FROM task") == [(None, None)]
    assert home.rows("SELECT outcome FROM attempt") == [("cancelled",)]
    unknown, cancelled = home.entries(task)[-2:]
    assert (unknown["type"], unknown["tool"], unknown["step"]) == ("action.unknown", "send", 2)
    assert (cancelled["type"], cancelled["reason"]) == ("task.cancelled", "was running")


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not idempotent"])
def test_only_a_call_that_may_not_be_repeated_is_unknown_and_waits_for_a_person(
    home: Home, idempotent: bool
) -> None:
    task = make(home, idempotent=idempotent)
    act(home, "cancel", task)
    logged = [entry["type"] for entry in home.entries(task)]
    assert ("action.unknown" in logged) is not idempotent
    (decided,) = act(home, "retry", task)
    assert decided.state == ("pending" if idempotent else "unknown_outcome")


def test_a_call_that_ran_is_closed_with_its_result(home: Home, task: str) -> None:
    put(home, task, TaskState.UNKNOWN_OUTCOME)
    act(home, "ran", task, result="sent at noon")
    phase, result = home.rows("SELECT phase, result FROM step WHERE number = 2")[0]
    assert (phase, json.loads(result)) == ("done", {"content": "sent at noon"})
    assert home.rows("SELECT state, error FROM task") == [("pending", None)]
    assert "sent at noon" not in json.dumps(home.entries(task)), "it may be personal"


def test_a_call_that_did_not_run_is_open_no_more(home: Home, task: str) -> None:
    put(home, task, TaskState.UNKNOWN_OUTCOME)
    act(home, "not_ran", task)
    assert home.rows("SELECT number FROM step") == [(1,)]
    assert home.entries(task)[-1]["outcome"] == "not_ran"


def test_a_retried_task_has_new_budgets_and_its_old_journal(home: Home) -> None:
    task = make(home, idempotent=True)
    put(home, task, TaskState.DEAD)
    act(home, "retry", task)
    query = "SELECT attempt, crashes, error, finished_at, fence FROM task"
    assert home.rows(query) == [(0, 0, None, None, 4)]
    assert home.rows("SELECT number, phase FROM step ORDER BY 1") == [(1, "done"), (2, "begun")]


def test_a_dropped_letter_keeps_everything_and_can_be_queued_again(
    home: Home, task: str
) -> None:
    put(home, task, TaskState.DEAD)
    before = home.rows("SELECT * FROM step")
    act(home, "drop", task)
    assert home.rows("SELECT * FROM step") == before
    assert home.rows("SELECT error FROM task") == [("why",)]
    assert act(home, "retry", task)[0].was == "dropped"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({}, {"dead"}, id="dead ones"),
        pytest.param({"failed": True}, {"dead", "failed"}, id="failed ones too"),
        pytest.param({"name": "clerk"}, {"dead"}, id="of an agent"),
        pytest.param({"namespace": "default", "name": "clerk"}, {"dead"}, id="with namespace"),
        pytest.param({"namespace": "other", "name": "clerk"}, set(), id="of another namespace"),
        pytest.param({"name": "other"}, set(), id="of another agent"),
        pytest.param({"before_us": 5}, set(), id="that ended before"),
    ],
)
def test_letters_are_found_by_filter(home: Home, wanted: dict[str, Any], found: set) -> None:
    states = {make(home): state for state in TaskState}
    for task, state in states.items():
        put(home, task, state)
    chosen = Letters(**{"before_us": clock.now_us(), **wanted})
    with home.database.read() as connection:
        ids = decisions.letters(connection, chosen, 100)
    assert {states[id].value for id in ids} == found
