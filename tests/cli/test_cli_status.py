"""`orloj status` says what is applied, what runs and what is stuck, as the rows have it."""

import json
import subprocess
import sys

import pytest
from home import COMMIT, Home

from reconciler.views import sources as view
from runner.contract import service

PROBLEM = {
    "path": "agents/a.yaml",
    "line": 7,
    "column": 5,
    "message": "unknown field tols\x1b[2J",
    "hint": "did you mean tools?",
}


def stalled(home: Home, problems: list[dict]) -> None:
    with home.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE source SET condition = 'Stalled', reason = 'ManifestInvalid',"
            " message = '1 problem', attempted_commit = ?, problems = ?, url = '/srv/a.git',"
            " ref = 'main'",
            ("b" * 40, json.dumps(problems)),
        )


def test_a_fresh_home_says_what_to_set(orloj) -> None:
    done = orloj("status")
    assert done.code == 0
    assert "set url under [source]" in done.out
    assert json.loads(orloj("status", "--json").out)["source"] is None


def test_credentials_in_the_address_are_not_shown_even_before_the_first_look(
    orloj, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORLOJ_SOURCE_URL", "https://dana:hunter2@git.example/a.git")
    for arguments in (["status"], ["status", "--json"]):
        done = orloj(*arguments)
        assert "git.example/a.git" in done.out
        assert "hunter2" not in done.out + done.err


def test_resources_are_counted_by_kind_and_owner(home: Home, orloj) -> None:
    for name in ("a", "b", "c"):
        home.record("Agent", name, {"model": "m"})
    home.record("Tool", "t", {"type": "python", "function": "read_file"})
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE resource SET owner = 'person:ada' WHERE name = 'c'")
    assert json.loads(orloj("status", "--json").out)["resources"] == [
        {"kind": "Agent", "git": 2, "by_hand": 1},
        {"kind": "Tool", "git": 1, "by_hand": 0},
    ]


def test_a_rejected_commit_is_shown_with_every_place_and_the_last_good_one(
    home: Home, orloj
) -> None:
    stalled(home, [PROBLEM])
    out = orloj("status").out
    for words in (COMMIT, "b" * 40, "ManifestInvalid", "agents/a.yaml:7:5: unknown field"):
        assert words in out
    assert "did you mean tools?" in out
    assert "\x1b" not in out


def test_problems_beyond_a_screen_are_counted(home: Home, orloj) -> None:
    stalled(home, [PROBLEM] * 25)
    assert "and 5 more" in orloj("status").out


def test_the_exit_code_is_0_unless_asked_for(home: Home, orloj) -> None:
    assert orloj("status", "--exit-code").code == 0
    stalled(home, [])
    assert orloj("status").code == 0
    assert orloj("status", "--exit-code").code == 1


def test_tasks_without_a_runner_are_stuck_and_with_one_they_are_not(home: Home, orloj) -> None:
    agent = home.record("Agent", "a", {"model": "m"})
    home.submit(agent, count=2)
    assert json.loads(orloj("status", "--json").out)["stuck"] == [
        "2 tasks wait for a runner, and none is running"
    ]
    with service.only_one(home.folder / "run", "runner"):
        status = json.loads(orloj("status", "--json").out)
    assert (status["runner_running"], status["stuck"]) == (True, [])
    assert status["tasks"] == {"pending": 2}


@pytest.mark.parametrize("state", ["waiting_approval", "unknown_outcome"])
def test_a_task_that_waits_for_a_person_is_stuck(home: Home, orloj, state: str) -> None:
    home.submit(home.record("Agent", "a", {"model": "m"}))
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task SET state = ?", (state,))
    assert json.loads(orloj("status", "--json").out)["stuck"] == ["1 task waits for a person"]


@pytest.mark.parametrize(
    ("held", "following"),
    [
        pytest.param([], "orloj up", id="nothing-runs"),
        pytest.param(["daemon"], "orloj worker", id="no-runner"),
        pytest.param(["runner"], "orloj daemon", id="no-daemon"),
        pytest.param(["daemon", "runner"], "orloj run", id="both-run"),
    ],
)
def test_the_next_command_fits_what_runs(
    home: Home, orloj, held: list[str], following: str
) -> None:
    roles = [service.only_one(home.folder / "run", role) for role in held]
    assert f"Next: {following}" in orloj("status").out
    for role in roles:
        role.close()


def test_every_stuck_reason_is_a_clause_that_ends_in_no_stop(home: Home, orloj) -> None:
    stalled(home, [])
    home.submit(home.record("Agent", "a", {"model": "m"}))
    reasons = json.loads(orloj("status", "--json").out)["stuck"]
    assert len(reasons) == 2
    assert not any(reason.endswith(".") for reason in reasons)
    assert view.READY == "Ready"


def test_json_cannot_steer_a_terminal_and_means_what_was_recorded(home: Home, orloj) -> None:
    stalled(home, [PROBLEM | {"message": "\x9b2J\u202e\ud800"}])
    done = orloj("status", "--json")
    assert "\\u009b2J\\u202e\\ud800" in done.out
    assert json.loads(done.out)["source"]["problems"][0]["message"] == "\x9b2J\u202e\ud800"


@pytest.mark.parametrize(
    "environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"]
)
@pytest.mark.parametrize("command", ["status", "--help"])
def test_output_that_cannot_be_written_is_the_worlds_failure(
    home: Home, command: str, environment: dict[str, str]
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "--home", home.folder, command],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_a_terminal_of_another_encoding_gets_an_escape_for_what_it_cannot_show(
    home: Home,
) -> None:
    stalled(home, [PROBLEM | {"message": "\u6f22"}])
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "--home", home.folder, "status"],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u6f22" in done.stdout
