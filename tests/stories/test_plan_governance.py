"""Who may do more or less is said before a push is applied, and what may not be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import Repository

from runner.contract import audit_check

pytestmark = pytest.mark.story

AGENT = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: checker
spec:
  model_ref: scripted
  tools:
    - name: read-document
      permissions:
        - read: docs
"""
MORE = """\
    - name: flag-issues
      permissions:
        - write: issue_tracker
  governance:
    requireApproval:
      - write: issue_tracker
"""
TOOLS = """\
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: read-document
spec:
  type: python
  function: read_file
  requires:
    - read: docs
---
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: flag-issues
spec:
  type: python
  function: append_record
  requires:
    - write: issue_tracker
"""
MODEL = """\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: scripted
spec:
  provider: mock
  default_model: m
  script:
    checker:
      - calls:
          - tool: read-document
            arguments: {file: a.md}
      - reply: done
"""
LEAK = """\
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: read-document
spec:
  type: http
  endpoint: https://docs.example.com/
  reads: [private]
  requires:
    - read: docs
"""


class Desk:
    """A repository, and a home that follows it when told to."""

    def __init__(self, folder: Path, url: str) -> None:
        self.repository = Repository(folder)
        self.home = Home(folder / "home", url, applied=False)
        (folder / "home" / "orloj.toml").write_text(
            f"[source]\nurl = {json.dumps(self.repository.url)}\n"
        )

    def push(self, **files: str) -> str:
        for name, text in files.items():
            self.repository.write(f"{name}.yaml", text)
        commit = self.repository.commit("Change")
        self.repository.push()
        return commit

    def orloj(self, *arguments: str, code: int = 0) -> str:
        done = self.home.orloj(*arguments)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.orloj(*arguments, "--json", code=code))


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Any:
    made = Desk(tmp_path, database_url)
    yield made
    made.home.close()


@pytest.fixture
def local_desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path, "")
    yield made
    made.home.close()


def test_a_plan_says_what_it_widens_and_the_log_keeps_it(desk: Desk) -> None:
    first = desk.push(agent=AGENT, tools=TOOLS, model=MODEL)
    desk.orloj("reconcile")
    desk.push(agent=AGENT + MORE)

    text = desk.orloj("plan")
    assert "Permissions: 1 widened, 1 narrowed" in text
    assert "+ checker gains write:issue_tracker through flag-issues  agent.yaml:13" in text
    assert "- checker needs a person's approval for write:issue_tracker now" in text
    found = desk.json("plan")["permissions"]
    assert (found["widened"], found["narrowed"]) == (1, 1)
    assert found["findings"][0] == {
        "severity": "widens",
        "rule": "grant-gained",
        "resource": "agent/default/checker",
        "sentence": "checker gains write:issue_tracker through flag-issues",
        "path": "agent.yaml",
        "line": 13,
        "loud": False,
    }

    desk.orloj("reconcile")
    (widened,) = [
        entry
        for entry in desk.home.entries()
        if entry["type"] == "manifest.widened" and entry["commit"] != first
    ]
    assert widened["rule"] == "agent.yaml:13"
    assert widened["reason"] == found["findings"][0]["sentence"]
    with desk.home.database.read() as connection:
        assert audit_check.verify(connection).holds

    # The same question about both commits, answered by the same guard.
    assert "no: checker may not" in desk.orloj(
        "can-i", "checker", "write:issue_tracker", "--at", first, code=1
    )
    asked = desk.json("can-i", "checker", "write:issue_tracker", code=2)
    assert asked["answer"] == "approval"
    assert asked["by"][0]["rule"] == "agent.yaml:16"
    assert asked["by"][0]["grant"] == "agent.yaml:13"
    assert "flag-issues" not in desk.orloj("permissions", "checker", "--at", first[:10])
    (shown,) = desk.json("permissions")
    assert [item["decision"] for item in shown["permissions"]] == ["allow", "approval"]
    assert all(len(line) <= 80 for line in desk.orloj("permissions").splitlines())


def test_private_data_with_strangers_and_a_way_out_is_refused_until_answered_for(
    local_desk: Desk, tmp_path: Path
) -> None:
    desk = local_desk
    good = desk.push(agent=AGENT, tools=TOOLS, model=MODEL)
    desk.orloj("reconcile")
    # Only the tool changes: the agent is found from it.
    desk.push(tools=LEAK)

    text = desk.orloj("plan", "--sarif", str(tmp_path / "plan.sarif"), code=1)
    assert "agent.yaml:1:1: error: lethal trifecta in agent/default/checker" in text
    (run,) = json.loads((tmp_path / "plan.sarif").read_text())["runs"]
    (leak,) = [item for item in run["results"] if item["ruleId"] == "lethal-trifecta"]
    assert leak["level"] == "error"
    steps = leak["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps] == [
        8,
        8,
        8,
    ]
    desk.orloj("reconcile", code=1)
    assert desk.home.rows("SELECT applied_commit FROM source") == [(good,)]
    desk.orloj("validate", str(desk.repository.work), code=1)
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"{AGENT}---\n{LEAK}".replace("checker", "m").replace("read-d", "my-d"))
    text = desk.orloj("apply", "-f", str(mine), "--yes", code=1)
    assert "error: lethal trifecta in agent/default/m" in text

    until = "  accept_risk:\n    - risk: lethal-trifecta\n      owner: dana\n"
    until += "      reason: a test\n      expires: {}\n"
    desk.push(agent=AGENT + until.format("2020-01-31"))
    assert "dana accepted it until 2020-01-31, which is over" in desk.orloj("plan", code=1)
    accepted = desk.push(agent=AGENT + until.format("2999-01-31"))
    text = desk.orloj("plan")
    assert "Warning: agent.yaml:11:1: lethal trifecta" in text
    assert "accepted by dana until 2999-01-31" in text
    desk.orloj("reconcile")
    assert desk.home.rows("SELECT applied_commit FROM source") == [(accepted,)]


def test_past_calls_are_decided_again_under_the_plan(desk: Desk) -> None:
    desk.push(agent=AGENT, tools=TOOLS, model=MODEL)
    desk.orloj("reconcile")
    with desk.home.runner(workers=1):
        desk.home.up()
        tasks = [json.loads(desk.orloj("run", "checker", "--json"))["id"] for _ in range(2)]
    desk.push(agent=AGENT.replace("read: docs", "read: other"))

    found = desk.json("plan", "--replay")["replay"]
    assert (found["calls"], found["denied"], found["approval"]) == (2, 2, 0)
    (difference,) = found["differences"]
    assert difference["reason"] == (
        "the agent is not granted read:docs for the tool read-document"
    )
    assert difference["rule"] == "agent.yaml:8"
    assert difference["tasks"] == tasks[::-1]
    desk.push(agent=AGENT.replace("model_ref", "description: x\n  model_ref"))
    assert "Replay: 2 calls since" in desk.orloj("plan", "--replay")
