"""What `orloj tasks`, `task`, `logs` and `run` say is what the rows say.

A real runner works on the home; names, answers and errors cannot steer the terminal.
"""

import json
import signal
import subprocess
import sys

import pytest
from home import COMMIT, Home

from runner.contract import service

HOSTILE = "done\x1b]0;owned\x07 \u202e"


@pytest.fixture
def agent(home: Home):
    """An agent that scans, is denied a call, and answers with a text that steers terminals."""
    (home.folder / "files/documents").mkdir(parents=True)
    (home.folder / "files/documents/a.md").write_text("kept indefinitely\n")
    home.record(
        "Tool",
        "scan-documents",
        {
            "type": "python",
            "function": "search_files",
            "config": {"folder": "documents"},
            "requires": [{"read": "compliance_docs"}],
            "idempotent": True,
        },
    )
    scan = {"tool": "scan-documents", "arguments": {"pattern": "indefinitely"}}
    script = [
        {"calls": [scan]},
        {"calls": [{"tool": "export-customers", "arguments": {}}]},
        {"reply": HOSTILE + " {input.who}\nsecond line"},
    ]
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": {"checker": script}},
    )
    grant = {"name": "scan-documents", "permissions": [{"read": "compliance_docs"}]}
    return home.record("Agent", "checker", {"model": "m", "tools": [grant]}, line=3)


@pytest.fixture
def task(home: Home, agent) -> str:
    with home.runner(workers=1):
        (task,) = home.submit(agent, input={"who": "Ada"})
        home.wait([task], {"succeeded", "failed"})
    return task


def test_without_tasks_the_next_command_is_named(home: Home, orloj) -> None:
    done = orloj("tasks")
    assert (done.code, done.err) == (0, "")
    assert "orloj run AGENT" in done.out
    assert json.loads(orloj("tasks", "--json").out) == []


def test_the_list_shows_a_task_with_state_and_subject(home: Home, orloj, task: str) -> None:
    listed = orloj("tasks").out
    (line,) = [line for line in listed.splitlines() if task in line]
    assert "succeeded" in line
    assert "agent/default/checker" in line


@pytest.mark.parametrize(
    ("state", "count"), [("succeeded", 1), ("running", 0), ("pending", 0), ("failed", 0)]
)
def test_the_list_can_be_narrowed_to_a_state(orloj, task: str, state: str, count: int) -> None:
    assert len(json.loads(orloj("tasks", "--state", state, "--json").out)) == count


def test_a_leased_task_is_called_running(home: Home, orloj, agent) -> None:
    (queued,) = home.submit(agent)
    with home.database.write() as connection:
        connection.exec_driver_sql("UPDATE task SET state = 'leased' WHERE id = ?", (queued,))
    (found,) = json.loads(orloj("tasks", "--state", "running", "--json").out)
    assert (found["id"], found["state"]) == (queued, "running")


def test_the_limit_keeps_the_newest(home: Home, orloj, agent) -> None:
    ids = sorted(home.submit(agent, count=3))
    found = json.loads(orloj("tasks", "--limit", "2", "--json").out)
    assert [task["id"] for task in found] == ids[:0:-1]


def test_one_task_tells_its_whole_story(orloj, task: str) -> None:
    told = orloj("task", task)
    assert told.code == 0
    for words in (
        "succeeded",
        COMMIT,
        "scan-documents",
        "denied (permission_denied): ",
        "input who",
        "second line",
    ):
        assert words in told.out, words
    assert "\x1b" not in told.out
    assert "\u202e" not in told.out


def test_one_task_as_json_has_its_attempts_and_steps(orloj, task: str) -> None:
    told = json.loads(orloj("task", task, "--json").out)
    assert told["output"].startswith(HOSTILE)
    assert [step["kind"] for step in told["steps"]] == [
        "model",
        "tool",
        "model",
        "tool",
        "model",
    ]
    assert [step["phase"] for step in told["steps"]] == ["done"] * 3 + ["denied", "done"]
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["succeeded"]
    assert (told["commit"], told["input"]) == (COMMIT, {"who": "Ada"})
    assert told["duration_us"] > 0


def test_the_beginning_of_an_id_is_enough_in_either_case(orloj, task: str) -> None:
    assert json.loads(orloj("task", task[:16].upper(), "--json").out)["id"] == task


def test_a_beginning_that_fits_several_lists_them(home: Home, orloj, agent) -> None:
    ids = home.submit(agent, count=2)
    done = orloj("task", ids[0][0])
    assert done.code == 1
    assert all(task in done.err for task in ids)


@pytest.mark.parametrize("command", ["task", "logs"])
@pytest.mark.parametrize("name", ["zzzz", "%", "\x1b[2J"], ids=["none", "percent", "escape"])
def test_a_task_nobody_knows_is_an_error_in_words(
    home: Home, orloj, command: str, name: str
) -> None:
    done = orloj(command, name)
    assert done.code == 1
    assert "no task" in done.err
    assert "\x1b" not in done.err


def test_the_log_has_a_line_per_step_and_state_change(orloj, task: str) -> None:
    lines = orloj("logs", task).out.splitlines()
    words = ["queued", "claimed", "done", "done", "done", "denied", "done", "finished"]
    assert len(lines) == len(words)
    for line, word in zip(lines, words, strict=True):
        assert task in line
        assert f" {word}" in line
    assert "export-customers" in lines[5]
    assert "\x1b" not in "".join(lines)


def test_the_log_as_json_has_the_journal_in_it(orloj, task: str) -> None:
    lines = [json.loads(line) for line in orloj("logs", "--json").out.splitlines()]
    (scan,) = [line for line in lines if line.get("tool") == "scan-documents"]
    assert "kept indefinitely" in scan["journal"]["result"]["content"]


def test_following_a_task_shows_its_end_and_stops_by_itself(home: Home, orloj, agent) -> None:
    (task,) = home.submit(agent)
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "--home", home.folder, "logs", "-f", task],
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert "queued" in following.stdout.readline()
        with home.runner(workers=1):
            rest = following.stdout.read()
        assert following.wait(30) == 0
    assert "finished  succeeded" in rest.splitlines()[-1]


def test_following_everything_ends_with_ctrl_c(home: Home, agent) -> None:
    home.submit(agent)
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "--home", home.folder, "logs", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert "queued" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        _, complaint = following.communicate(timeout=30)
    assert "Traceback" not in complaint


@pytest.fixture
def running(home: Home):
    """A runner that holds its role."""
    with home.runner(workers=1, drain_s=0):
        home.until(lambda: service.is_running(home.folder / "run", "runner"))
        yield


def test_run_prints_the_answer_and_nothing_else(orloj, agent, running) -> None:
    done = orloj("run", "checker", "--input", "who=Grace=Hopper")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1] == "second line"
    assert "Grace=Hopper" in done.out
    assert "\x1b" not in done.out


def test_run_ends_with_1_when_the_task_fails(home: Home, orloj, agent, running) -> None:
    home.record("ModelEndpoint", "default", {"provider": "anthropic", "default_model": "m"})
    done = orloj("run", "checker")
    assert (done.code, done.out) == (1, "")
    assert "failed" in done.err
    assert "secretRef" in done.err


def test_run_without_a_runner_says_how_to_start_one_and_queues_nothing(
    home: Home, orloj, agent
) -> None:
    done = orloj("run", "checker")
    assert done.code == 1
    assert "orloj worker" in done.err
    assert json.loads(orloj("tasks", "--json").out) == []


def test_run_detached_prints_the_id_and_who_asked(home: Home, orloj, agent) -> None:
    done = orloj("run", "checker", "--detach")
    (queued,) = json.loads(orloj("tasks", "--json").out)
    assert (done.code, done.out.strip()) == (0, queued["id"])
    assert queued["state"] == "pending"
    assert queued["actor"].startswith("person:")
    assert home.entries(queued["id"])[0]["commit"] == COMMIT


def test_run_stops_waiting_after_its_timeout_and_the_task_goes_on(
    home: Home, orloj, agent, running
) -> None:
    script = {"checker": [{"reply": "slow", "delay": "20s"}]}
    endpoint = {"provider": "mock", "default_model": "m", "script": script}
    home.record("ModelEndpoint", "default", endpoint)
    done = orloj("run", "checker", "--timeout", "0.3")
    assert done.code == 1
    assert "goes on" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["run", "chekcer"], "did you mean checker?", id="misspelt"),
        pytest.param(["run", "other"], "applied in default: checker", id="unknown"),
        pytest.param(["run", "x/checker"], "applied in x: none", id="other-namespace"),
        pytest.param(["run", "pair"], "add --system", id="system-without-flag"),
        pytest.param(["run", "checker", "--system"], "leave out --system", id="flag-on-agent"),
    ],
)
def test_a_name_that_is_not_applied_gets_a_hint(
    home: Home, orloj, agent, arguments: list[str], words: str
) -> None:
    home.record("AgentSystem", "pair", {"agents": ["checker"]})
    done = orloj(*arguments)
    assert done.code == 1
    assert words in done.err
