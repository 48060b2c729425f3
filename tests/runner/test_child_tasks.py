"""An agent queues a task only from a template it is granted, within bounds, exactly once.

Real runners with a scripted model where the whole way counts; where a worker must die between
two words, the test is the worker, at the other end of a real wire.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import COMMIT, Home
from test_dispatcher import claim, dispatching

from runner import tasks
from runner.child import bounds
from runner.child.bounds import Bounds, Family
from runner.contract.kinds import AgentPolicy, Key

CREATE, LIST = "orloj.task.create", "orloj.task.list"
GRANT = {"name": CREATE, "permissions": [{"create": "task/article"}]}


def made(folder: Path, url: str = "") -> Home:
    """A home with a template that an echoing agent works on."""
    home = Home(folder / "home", url)
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    home.record("Agent", "writer", {"model": "m"})
    home.record(
        "Task",
        "article",
        {
            "agent": "writer",
            "mode": "template",
            "input": {"topic": "none", "tone": "dry"},
            "priority": "low",
        },
    )
    return home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = made(tmp_path)
    yield home
    home.close()


@pytest.fixture
def either(tmp_path: Path, database_url: str) -> Iterator[Home]:
    """The same on each database."""
    home = made(tmp_path, database_url)
    yield home
    home.close()


def create(template: str = "article", **more: Any) -> dict[str, Any]:
    return {"tool": CREATE, "arguments": {"template": template, **more}}


def script(home: Home, agent: str, *turns: Any, **spec: Any) -> Key:
    """An agent that makes these calls, turn by turn, and then says what came of the last."""
    said = [*({"calls": list(turn)} for turn in turns), {"reply": "{result.1}"}]
    home.record(
        "ModelEndpoint",
        f"of-{agent}",
        {"provider": "mock", "default_model": "m", "script": {agent: said}},
    )
    return home.record("Agent", agent, {"model_ref": f"of-{agent}", **spec})


def run(home: Home, subject: Key, state: str = "succeeded") -> str:
    """A task of the subject, and every task below it, run to their ends; its id."""
    (task,) = home.submit(subject)
    with home.runner(workers=1):
        home.wait([task], {state})
        home.until(lambda: not home.rows("SELECT id FROM task WHERE finished_at IS NULL"))
    return task


def results(home: Home, task: str) -> list[dict[str, Any]]:
    rows = home.rows(
        "SELECT result FROM step WHERE task_id = ? AND kind = 'tool' ORDER BY number", task
    )
    return [json.loads(row[0]) for row in rows]


def children(home: Home, task: str) -> list[str]:
    rows = home.rows("SELECT task_id FROM task_child WHERE parent_id = ? ORDER BY step", task)
    return [row[0] for row in rows]


# What is granted is done, and can be walked both ways.


def test_a_granted_agent_queues_a_task_that_runs_by_itself(either: Home) -> None:
    clerk = script(either, "clerk", [create(input={"topic": "tea"}, labels={"a": "b"})],
                   tools=[GRANT])  # fmt: skip
    parent = run(either, clerk)
    (child,) = children(either, parent)
    (result,) = results(either, parent)
    assert json.loads(result["content"]) == {
        "status": "created",
        "name": child,
        "phase": "Pending",
        "template": "article",
        "agent": "writer",
    }
    ((state, stored, priority, actor, name),) = either.rows(
        "SELECT state, input, priority, actor, task_name FROM task WHERE id = ?", child
    )
    assert (state, priority, actor, name) == ("succeeded", 3, f"task:{parent}", "article")
    assert json.loads(stored) == {"topic": "tea", "tone": "dry"}
    with either.database.read() as connection:
        above, below = tasks.account(connection, parent), tasks.account(connection, child)
    assert [one.task for one in above.children] == [child]
    assert below.parent is not None
    assert (below.parent.task, below.parent.step) == (parent, above.children[0].step)
    shown = json.loads(either.orloj("task", child, "--json").stdout)
    assert shown["parent"] == {"task": parent, "step": above.children[0].step}
    assert child in either.orloj("task", parent).stdout
    assert either.orloj("task", child, "--output").stdout == shown["output"]


def test_the_log_links_the_two_and_keeps_no_input(home: Home) -> None:
    clerk = script(home, "clerk", [create(input={"topic": "a secret of theirs"})],
                   tools=[GRANT])  # fmt: skip
    parent = run(home, clerk)
    (child,) = children(home, parent)
    (linked,) = [one for one in home.entries(parent) if one["type"] == "task.child_queued"]
    assert (linked["outcome"], linked["resource"]) == (child, "task/default/article")
    assert (linked["rule"], linked["commit"]) == ("tasks/article.yaml:1", COMMIT)
    (queued,) = [one for one in home.entries(child) if one["type"] == "task.queued"]
    assert (queued["actor"], queued["commit"]) == (f"task:{parent}", COMMIT)
    raws = [bytes(row[0]) for row in home.rows("SELECT raw FROM audit_entry")]
    assert not any(b"a secret of theirs" in raw for raw in raws)


def test_what_is_not_granted_is_denied_and_queues_nothing(home: Home) -> None:
    home.record("Task", "other", {"agent": "writer", "mode": "template"})
    another_verb = {"name": CREATE, "permissions": [{"read": "task/article"}]}
    agents = [
        script(home, "nothing", [create()], tools=[{"name": CREATE}]),
        script(home, "another", [create("other")], tools=[GRANT]),
        script(home, "verb", [create()], tools=[another_verb]),
        script(home, "unlisted", [create()], tools=[]),
    ]
    queued = [home.submit(agent)[0] for agent in agents]
    with home.runner(workers=1):
        home.wait(queued, {"succeeded"})
    for task in queued:
        (result,) = results(home, task)
        assert "denied" in result
    assert home.rows("SELECT task_id FROM task_child") == []


def test_a_template_of_any_name_may_be_granted_and_a_policy_blocks_it(home: Home) -> None:
    grant = {"name": CREATE, "permissions": [{"create": "task/*"}]}
    clerk = script(home, "clerk", [create()], tools=[grant])
    run(home, clerk)
    assert len(home.rows("SELECT task_id FROM task_child")) == 1
    home.record("AgentPolicy", "no", {"apply_mode": "global", "blocked_tools": [CREATE]})
    parent = run(home, clerk)
    assert "blocks the tool" in results(home, parent)[0]["denied"]


def test_the_public_dialect_allows_it_outright(home: Home) -> None:
    parent = run(home, script(home, "clerk", [create()], allowed_tools=[CREATE]))
    assert len(children(home, parent)) == 1


def test_a_person_is_asked_first_where_the_manifest_wants_it(home: Home) -> None:
    clerk = script(
        home,
        "clerk",
        [create()],
        tools=[GRANT],
        governance={"requireApproval": [{"create": "task/*"}]},
    )
    (task,) = home.submit(clerk)
    with home.runner(workers=1):
        home.wait([task], {"waiting_approval"})
    assert home.rows("SELECT task_id FROM task_child") == []


# What cannot be queued is told to the agent.


def test_a_call_that_cannot_be_carried_out_says_why(home: Home) -> None:
    home.record("Task", "running", {"agent": "writer"})
    grant = {"name": CREATE, "permissions": [{"create": "task/*"}]}
    wrong: list[tuple[dict[str, Any], str]] = [
        (create("gone"), "there is no Task gone"),
        (create("other/article"), "of this agent's namespace"),
        (create("running"), "is no template"),
        (create(labels={"orloj.dev/depth": "0"}), "Orloj's own"),
    ]
    unfit = [create(input=["x"]), create(input={"a": 1})]
    calls = [*(call for call, _ in wrong), *unfit]
    parent = run(home, script(home, "clerk", calls, tools=[grant]))
    found = results(home, parent)
    for (_, said), result in zip(wrong, found[: len(wrong)], strict=True):
        assert said in result["error"]
    assert all("denied" in result for result in found[len(wrong) :])
    assert home.rows("SELECT task_id FROM task_child") == []


# Bounds.


def test_tasks_that_queue_themselves_end_at_the_depth_of_the_policy(home: Home) -> None:
    home.record("AgentPolicy", "low", {"apply_mode": "global", "max_child_depth": 2})
    again = script(home, "again", [create("again")], allowed_tools=[CREATE])
    home.record("Task", "again", {"agent": "again", "mode": "template"})
    run(home, again)
    assert home.rows("SELECT depth FROM task_child ORDER BY depth") == [(1,), (2,)]
    assert len(home.rows("SELECT DISTINCT root_id FROM task_child")) == 1
    (last,) = home.rows("SELECT task_id FROM task_child WHERE depth = 2")
    assert "2 deep at most" in results(home, last[0])[0]["error"]


def test_a_task_queues_no_more_children_than_the_policy_says(home: Home) -> None:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    home.record("AgentPolicy", "few", {"target_agents": ["clerk"], "max_child_tasks": 2})
    clerk = script(home, "clerk", [create(), create(), create()], allowed_tools=[CREATE])
    parent = run(home, clerk)
    first, second, third = results(home, parent)
    assert "content" in first
    assert "content" in second
    assert "2 child tasks at most" in third["error"]
    assert len(children(home, parent)) == 2


def test_the_strictest_policy_counts_and_the_total_holds_everywhere() -> None:
    said = [{"max_child_depth": 9}, {"max_child_depth": 3, "max_child_tasks": 50}]
    everybody = {"apply_mode": "global"}
    found = bounds.of(AgentPolicy.model_validate(everybody | one) for one in said)
    assert found == Bounds(3, 50)
    assert bounds.of([]) == Bounds(5, 20)
    assert bounds.exceeded(Family("r", 2, 49, bounds.TOTAL - 1), found) is None
    for family in (
        Family("r", 3, 0, 0),
        Family("r", 0, 50, 0),
        Family("r", 0, 0, bounds.TOTAL),
    ):
        assert bounds.exceeded(family, found) is not None


# Exactly once.


def asked(step: int, name: str = CREATE, **arguments: Any) -> dict[str, Any]:
    return {
        "step": step,
        "visit": 1,
        "agent": "clerk",
        "tool": name,
        "request": {"call": "c", "arguments": arguments},
    }


def test_a_step_queues_one_task_whoever_dies_and_asks_again(either: Home) -> None:
    clerk = script(either, "clerk", tools=[GRANT])

    async def story() -> None:
        async with dispatching(either) as (dispatcher, hire):
            dying = await hire("dying")
            either.submit(clerk)
            first = await dying.run()
            allowed = await dying.ask("tool", **claim(first), **asked(1, template="article"))
            assert allowed["decision"] == "allow"
            made = await dying.ask("child", **claim(first), step=1)
            again = await dying.ask("child", **claim(first), step=1)
            assert made["content"] == again["content"]
            dispatcher.detach(dying.seen, "it died before it said how the call ended")
            second_worker = await hire("second")
            second = await second_worker.run()
            while second["task"] != first["task"]:  # The child waits for a worker as well.
                await second_worker.ask(
                    "finish", **claim(second), outcome="succeeded", error=None, output=""
                )
                second = await second_worker.run()
            await second_worker.ask("tool", **claim(second), **asked(1, template="article"))
            third = await second_worker.ask("child", **claim(second), step=1)
            assert third["content"] == made["content"]
            late = await dying.ask("child", **claim(first), step=1)
            assert late["lost"]

    asyncio.run(story())
    assert len(either.rows("SELECT task_id FROM task_child")) == 1
    assert len(either.rows("SELECT id FROM task WHERE task_name = 'article'")) == 1


def test_a_worker_gets_only_what_was_decided(home: Home) -> None:
    clerk = script(home, "clerk", tools=[GRANT])

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("one")
            home.submit(clerk)
            held = await worker.run()
            unasked = await worker.ask("child", **claim(held), step=1)
            assert "error" in unasked
            denied = await worker.ask("tool", **claim(held), **asked(1, template="other"))
            assert denied["decision"] == "deny"
            assert "error" in await worker.ask("child", **claim(held), step=1)
            other = await worker.ask(
                "child", **claim(held), step=1, arguments={"template": "article"}
            )
            assert "error" in other

    asyncio.run(story())
    assert home.rows("SELECT task_id FROM task_child") == []


# What an agent may see of other tasks.


def test_a_list_names_tasks_by_their_labels_and_tells_nothing_they_said(either: Home) -> None:
    listing = {"tool": LIST, "arguments": {"labels": {"batch": "7"}}}
    clerk = script(
        either,
        "clerk",
        [create(labels={"batch": "7"}, input={"topic": "tea"}), create(labels={"batch": "8"})],
        [listing, *({"tool": LIST, "arguments": {"limit": limit}} for limit in (1, 0))],
        tools=[GRANT, {"name": LIST, "permissions": [{"read": "tasks"}]}],
    )
    parent = run(either, clerk)
    first, _, found, newest, wrong = results(either, parent)
    (only,) = json.loads(found["content"])["tasks"]
    assert only["name"] == json.loads(first["content"])["name"]
    assert only["labels"] == {
        "batch": "7",
        "orloj.dev/parent-task": parent,
        "orloj.dev/depth": "1",
        "orloj.dev/created-by": CREATE,
    }
    assert "tea" not in found["content"]
    assert len(json.loads(newest["content"])["tasks"]) == 1
    assert "limit" in wrong["denied"]


def test_a_list_shows_no_other_namespace(home: Home) -> None:
    home.record("Agent", "far", {"model": "m"}, namespace="far")
    home.submit(Key("far", "Agent", "far"))
    clerk = script(home, "clerk", [{"tool": LIST, "arguments": {}}], allowed_tools=[LIST])
    (task,) = home.submit(clerk)
    with home.runner(workers=1):
        home.wait([task], {"succeeded"})
    (result,) = results(home, task)
    assert [one["name"] for one in json.loads(result["content"])["tasks"]] == [task]
