"""`orloj webhooks` says where each listens and why nothing gets in; `orloj run --task` works.

What `orloj task --output` prints is what the task said, letter by letter.
"""

import hashlib
import json

import pytest
from home import Home

from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.rows import Standing
from runner.contract.kinds import Key

HOOK = Key("default", "TaskWebhook", "hook")
ID = hashlib.sha256(b"default/hook").hexdigest()[:24]


@pytest.fixture
def hooked(home: Home) -> Home:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    home.record("Agent", "clerk", {"model": "m"})
    template = {"agent": "clerk", "mode": "template", "input": {"a": "1", "b": "2"}}
    home.record("Task", "report", template | {"priority": "low", "retry": {"max_attempts": 3}})
    home.record("TaskWebhook", "hook", {"task_ref": "report", "auth": {"secret_ref": "s"}})
    return home


def test_a_home_without_webhooks_says_what_makes_one(orloj) -> None:
    assert "A TaskWebhook manifest makes one" in orloj("webhooks").out
    assert json.loads(orloj("webhooks", "--json").out) == []


def test_an_address_is_shown_as_senders_reach_it(hooked: Home, orloj) -> None:
    path = f"/v1/webhook-deliveries/{ID}"
    (one,) = json.loads(orloj("webhooks", "--json").out)
    assert one["url"] == path
    assert "No port is open for them" in orloj("webhooks").out
    settings = hooked.folder / "orloj.toml"
    settings.write_text('[web]\nlisten = "127.0.0.1:8471"\n')
    assert f"http://127.0.0.1:8471{path}" in orloj("webhooks").out
    settings.write_text('[web]\nlisten = "127.0.0.1:8471"\nurl = "https://hooks.example/"\n')
    (one,) = json.loads(orloj("webhooks", "--json").out)
    assert one["url"] == f"https://hooks.example{path}"


def test_counts_and_why_nothing_gets_in_are_shown(hooked: Home, orloj) -> None:
    (task,) = hooked.submit(Key("default", "Agent", "clerk"))
    with hooked.database.write() as connection:
        delivery_rows.note(connection, HOOK, Standing(accepted=1, delivered_at=1, task=task))
        problem = "secret/default/s has no value for value on this host"
        delivery_rows.note(
            connection,
            HOOK,
            Standing(refused=2, refused_at=2, refusal=problem, problem=problem),
        )
    (one,) = json.loads(orloj("webhooks", "--json").out)
    assert (one["condition"], one["problem"]) == ("stalled", problem)
    assert (one["accepted"], one["refused"]) == (1, 2)
    assert one["last_delivery"]["task"] == task
    assert one["last_delivery"]["state"] == "pending"
    shown = orloj("webhooks").out
    assert "stalled" in shown
    assert problem in shown
    health = orloj("health", "taskwebhook/default/hook").out
    assert "it lets nothing in" in health


def test_a_task_is_run_with_its_own_inputs_but_those_given(hooked: Home, orloj) -> None:
    assert orloj("run", "report", "--task", "--detach", "--input", "b=3").code == 0
    ((stored, name, priority, retry),) = hooked.rows(
        "SELECT input, task_name, priority, retry FROM task"
    )
    assert json.loads(stored) == {"a": "1", "b": "3"}
    assert (name, priority, json.loads(retry)["max_attempts"]) == ("report", 3, 3)


def test_whoever_forgets_the_flag_is_told_it(hooked: Home, orloj) -> None:
    assert "Task report is: add --task" in orloj("run", "report", "--detach").err
    assert "leave out --task" in orloj("run", "clerk", "--task", "--detach").err
    assert orloj("run", "clerk", "--task", "--system").code != 0


def test_an_output_is_printed_alone(hooked: Home, orloj) -> None:
    (task,) = hooked.submit(Key("default", "Agent", "clerk"))
    assert orloj("task", task, "--output").code == 1
    with hooked.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE task SET state = 'succeeded', output = ? WHERE id = ?",
            ("one\n" * 500 + "last", task),
        )
    assert orloj("task", task, "--output").out == "one\n" * 500 + "last"
