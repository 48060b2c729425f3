"""An evaluation asks through the ordinary queue, calls nothing by accident, and scores what was
answered; the same questions tell two runs and two commits apart.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import Repository

pytestmark = pytest.mark.story


def write_world(home: Home, *, reply: str = "This is about billing") -> None:
    """An agent that looks something up, sends a mail, and answers."""
    touch = shutil.which("touch")
    assert touch is not None
    home.environment["ORLOJ_TOOLS_COMMANDS"] = touch
    home.record(
        "ModelEndpoint",
        "scripted",
        {
            "provider": "mock",
            "default_model": "m",
            "script": {
                "clerk": [
                    {"calls": [{"tool": "lookup", "arguments": {"id": "7"}}]},
                    {"calls": [{"tool": "mail", "arguments": {"to": "ada"}}]},
                    {"reply": reply + " {input.prompt} {result.1} {result.2}"},
                ],
                "orloj-eval-judge": [
                    {"reply": '{"score": 0.75, "pass": true, "reasoning": "it is polite"}'}
                ],
            },
        },
    )
    for name in ("lookup", "mail"):
        verb = "read" if name == "lookup" else "write"
        marker = home.folder / name
        home.record(
            "Tool",
            name,
            {
                "type": "command",
                "command": [touch, str(marker)],
                "requires": [{verb: "crm"}],
                "idempotent": True,
                "runtime": {"isolation_mode": "none"},
                **({"operation_classes": ["read"]} if name == "lookup" else {}),
            },
        )
    home.record(
        "Agent",
        "clerk",
        {
            "model_ref": "scripted",
            "tools": [
                {"name": "lookup", "permissions": [{"read": "crm"}]},
                {"name": "mail", "permissions": [{"write": "crm"}]},
            ],
        },
    )


def write_run(home: Home, samples: list[dict[str, Any]], **more: Any) -> None:
    home.record("EvalDataset", "golden", {"samples": samples})
    spec = {"dataset": "golden", "agent": "clerk", "concurrency": 2, "suspended": True}
    home.record("EvalRun", "exam", spec | more)


def sample(name: str, *, stubs: list[dict[str, Any]] | None = None, **more: Any) -> Any:
    expected = {"output_contains": "billing"}
    return {
        "name": name,
        "input": {"prompt": name},
        "expected": expected,
        "tool_results": stubs or [],
    } | more


def shown(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_an_evaluation_calls_what_reads_stubs_the_rest_and_scores(home: Home) -> None:
    write_world(home)
    stub = [{"tool": "mail", "arguments": {"to": "ada"}, "content": "sent, says the stub"}]
    write_run(
        home,
        [
            sample("stubbed", stubs=stub, expected={"output_contains": "SENT, says the stub"}),
            sample("denied", expected={"output_contains": "an evaluation does not call mail"}),
            sample("wrong", expected={"output_contains": "shipping"}),
            sample(
                "judged",
                scoring={"strategy": "llm_judge", "model_ref": "scripted", "rubric": "Polite?"},
            ),
        ],
        repetitions=2,
        pass_threshold=0.75,
    )
    with home.runner(workers=2):
        home.up()
        done = home.orloj("eval", "run", "exam", "--json")
    found = shown(done)
    assert (done.returncode, found["state"]) == (0, "passed"), (done.stderr, found)
    passed = {(one["sample"], one["repetition"]): one["pass"] for one in found["results"]}
    assert passed == {
        (name, at): name != "wrong"
        for name in ("stubbed", "denied", "wrong", "judged")
        for at in (1, 2)
    }
    assert (home.folder / "lookup").exists()
    assert not (home.folder / "mail").exists()
    judged = [one for one in found["results"] if one["sample"] == "judged"]
    assert {(one["score"], one["reason"], one["scorer"]) for one in judged} == {
        (0.75, "it is polite", "judge")
    }
    assert found["summary"]["judge_tokens"] == 40
    assert found["summary"]["tokens"] == 8 * 60
    stubbed = next(one["task"] for one in found["results"] if one["sample"] == "stubbed")
    executed = [e for e in home.entries(stubbed) if e["type"] == "action.executed"]
    assert [e.get("isolation") for e in executed if e.get("tool") == "mail"] == ["stub"]
    types = [e["type"] for e in home.entries()]
    assert types.count("eval.started") == types.count("eval.finished") == 1
    assert types.count("task.queued") == 10


def test_a_person_grades_what_waits_and_two_runs_are_compared(home: Home) -> None:
    write_world(home)
    samples = [sample("one"), sample("two")]
    write_run(home, samples, scoring={"strategy": "manual"})
    with home.runner(workers=2):
        home.up()
        first = home.orloj("eval", "run", "exam")
        assert first.returncode == 1
        assert "orloj eval grade 1 SAMPLE --pass" in first.stderr
        for name in ("one", "two"):
            done = home.orloj("eval", "grade", "1", name, "--pass", "--reason", "I read it")
            assert done.returncode == 0, done.stderr
        assert home.orloj("eval", "grade", "1", "one", "--fail").returncode == 1
        write_run(home, [*samples, sample("three")])
        write_world(home, reply="Nothing of the kind")
        second = home.orloj("eval", "run", "exam", "--json")
    assert (second.returncode, shown(second)["state"]) == (2, "failed")
    compared = home.orloj("eval", "compare", "1", "2", "--json")
    assert compared.returncode == 2
    found = shown(compared)
    assert (found["worse"], found["new"], found["better"], found["drop"]) == (2, 1, 0, 1.0)
    assert found["p_value"] == 0.5
    assert home.orloj("eval", "compare", "1", "2", "--max-drop", "1").returncode == 0
    assert [one["run"] for one in shown(home.orloj("eval", "list", "--json"))] == [2, 1]
    assert "I read it" in home.orloj("eval", "show", "1").stdout


MANIFESTS = """\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata: {name: scripted}
spec: {provider: mock, default_model: m, script: {clerk: [{reply: "%s {input.prompt}"}]}}
---
apiVersion: orloj.dev/v1
kind: Agent
metadata: {name: clerk}
spec: {model_ref: scripted}
---
apiVersion: orloj.dev/v1
kind: EvalDataset
metadata: {name: golden}
spec:
  samples:
    - {name: a, input: {prompt: one}, expected: {output_contains: billing}}
    - {name: b, input: {prompt: billing}, expected: {output_contains: billing}}
---
apiVersion: orloj.dev/v1
kind: EvalRun
metadata: {name: exam}
spec: {dataset: golden, agent: clerk%s}
"""


class Followed:
    """A home that follows a repository, with its daemon and its runner."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder)
        self.home = Home(folder / "home", applied=False)
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
        }

    def push(self, reply: str, more: str = "", extra: str = "") -> str:
        self.repository.write("all.yaml", MANIFESTS % (reply, more) + extra)
        commit = self.repository.commit(reply)
        self.repository.push()
        return commit

    def start(self, command: str) -> subprocess.Popen[bytes]:
        with (self.home.folder / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "reconciler", "--home", str(self.home.folder), command],
                env=self.environment,
                stderr=log,
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "--home", str(self.home.folder), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
        )


def test_two_commits_are_compared_without_applying_either(tmp_path: Path) -> None:
    world = Followed(tmp_path)
    old = world.push("about billing:", ", suspended: true")
    new = world.push("hello", ", suspended: true")
    with world.home.runner(workers=1):
        world.home.up()
        asked = ("eval", "compare", "--commits", old, new, "--run", "exam", "--json")
        done = world.run(*asked)
    found = shown(done)
    assert done.returncode == 2, done.stderr
    assert (found["worse"], found["same"], found["drop"]) == (1, 1, 0.5)
    assert [found[side]["commit"] for side in ("before", "after")] == [old, new]
    assert world.home.rows("SELECT count(*) FROM resource")[0][0] == 0
    # Nobody let these commits: whatever they grant, no tool is called.
    specs = [json.loads(row[0]) for row in world.home.rows("SELECT spec FROM eval_run")]
    assert [spec["tools"] for spec in specs] == ["stubs", "stubs"]
    world.home.close()


def test_what_is_applied_runs_by_itself_and_a_failing_one_undoes_its_canary(
    tmp_path: Path,
) -> None:
    world = Followed(tmp_path)
    good = world.push("about billing:")
    daemon = world.start("daemon")
    try:
        with world.home.runner(workers=1):
            runs = "SELECT state, actor FROM eval_run ORDER BY id"
            world.home.until(
                lambda: [tuple(r) for r in world.home.rows(runs)] == [("passed", "git:default")]
            )
            marked = ", suspended: true"
            text = MANIFESTS % ("hello", marked)
            text = text.replace(
                "metadata: {name: exam}",
                'metadata: {name: exam, annotations: {orloj.dev/canary: "true"}}',
            )
            world.repository.write("all.yaml", text)
            world.repository.commit("Worse")
            world.repository.push()
            world.run("reconcile")
            query = "SELECT applied_commit, reason, message FROM source"
            world.home.until(
                lambda: world.home.rows(query)[0][:2] == (good, "CanaryFailed"),
                explain=lambda: world.home.rows(query),
            )
            assert "evalrun/default/exam" in world.home.rows(query)[0][2]
            assert world.home.rows(runs)[1][0] == "failed"
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)
        world.home.close()
