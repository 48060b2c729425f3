"""Whatever the guard cannot read, write or reach, no call gets to the tool: `orloj drill`.

The drill itself can fail: a check that is taken out of a copy of the program is found by it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from home import COMMIT, Home

from runner import drill
from runner.contract.errors import Refused
from runner.contract.kinds import Key
from runner.manifest_set import ManifestSet, Placed

pytestmark = pytest.mark.story

ROOT = Path(__file__).parents[2]
FAULT_NAMES = [fault.name for fault in drill.FAULTS]


def clerk(home: Home) -> Key:
    """An agent that may read tickets of one team, with a tool nobody serves."""
    needs = {"read": "tickets/{args.team}"}
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    home.record("Tool", "tickets", {"endpoint": "http://127.0.0.1:1/", "requires": [needs]})
    grant = {"name": "tickets", "permissions": [{"read": "tickets/red"}]}
    return home.record("Agent", "clerk", {"model": "m", "tools": [grant]})


@pytest.mark.parametrize("database_url", [""], ids=["sqlite"])
def test_no_fault_lets_a_call_through_and_the_live_log_says_so(home: Home) -> None:
    done = home.orloj("drill", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["fault"] for one in found["faults"]] == ["none", *FAULT_NAMES]
    assert [one["called"] for one in found["faults"]] == [True] + [False] * len(FAULT_NAMES)
    assert all(one["met"] for one in found["faults"])
    (entry,) = home.entries()
    assert (entry["type"], entry["outcome"]) == ("drill.done", "held")


def test_the_manifests_of_an_agent_are_copied_and_nothing_of_it_runs(home: Home) -> None:
    clerk(home)
    before = home.rows("SELECT namespace, kind, name, body FROM resource ORDER BY name")
    done = home.orloj("drill", "clerk", "--only", "policy-unreadable", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (found["agent"], found["tool"]) == ("clerk", "tickets")
    assert [one["decision"] for one in found["faults"]] == ["allow", "deny"]
    assert home.rows("SELECT count(*) FROM task") == [(0,)]
    assert home.rows("SELECT namespace, kind, name, body FROM resource ORDER BY name") == before
    (entry,) = home.entries()
    assert (entry["agent"], entry["tool"], entry["commit"]) == ("clerk", "tickets", COMMIT)
    assert json.loads(home.orloj("audit", "verify", "--json").stdout)["holds"]


def declared(kind: str, name: str, spec: dict[str, Any]) -> Placed:
    return Placed(Key("default", kind, name), json.dumps({"spec": spec}), "a.yaml", 1, {})


def manifests(agent: dict[str, Any], tool: dict[str, Any]) -> ManifestSet:
    placed = [declared("Agent", "clerk", {"model": "m", **agent}), declared("Tool", "t", tool)]
    return ManifestSet(placed[0].key, {one.key: one for one in placed})


def test_arguments_are_found_that_make_what_is_granted() -> None:
    grants = [{"write": "team/red/*"}, {"read": "db/main"}]
    needs = [{"read": "db/{args.name}"}, {"write": "team/{args.path}"}]
    found = drill.of_agent(
        manifests(
            {"tools": [{"name": "t", "permissions": grants}]},
            {"endpoint": "http://127.0.0.1:1/", "requires": needs},
        ),
        "http://127.0.0.1:2",
    )
    assert found.call.arguments == {"name": "main", "path": "red/canary"}


def test_nothing_of_an_agent_that_reaches_the_world_comes_along() -> None:
    auth = {"secretRef": "key"}
    found = drill.of_agent(
        manifests(
            {
                "tools": [{"name": "t", "permissions": [{"read": "a"}]}],
                "governance": {"maxTokensPerMinute": 1},
            },
            {
                "type": "command",
                "command": ["/bin/rm"],
                "requires": [{"read": "a"}],
                "auth": auth,
            },
        ),
        "http://127.0.0.1:2",
    )
    bodies = " ".join(placed.body for placed in found.resources)
    assert "http://127.0.0.1:2/tool" in bodies
    assert not any(word in bodies for word in ("/bin/rm", "secretRef", "maxTokensPerMinute"))


def test_an_agent_that_may_do_nothing_is_refused() -> None:
    tool = {"endpoint": "http://127.0.0.1:1/", "requires": [{"read": "a"}]}
    with pytest.raises(Refused, match="no call was found"):
        drill.of_agent(manifests({"tools": ["t"]}, tool), "http://127.0.0.1:2")


# What is wrong with a copy, and the fault of the drill that must find it.
TAKEN_OUT = {
    "a call does not wait for its decision": (
        "runner/guard.py",
        """        answer = await self._ask(
            "tool",
            place,
            **facts,
            request={"call": call.id, "arguments": call.arguments},
            **self._carrier.misfit(agent, call),
        )
""",
        """        request = {"call": call.id, "arguments": call.arguments}
        self.tell("tool", visit=place.visit, **facts, request=request)
        answer = {"decision": "allow"}
""",
        ["log-full"],
    ),
    "an answer goes out before it is durable": (
        "runner/turn.py",
        "self.lines.setdefault(worker, []).append(line(message))",
        "worker.wire.write(line(message))",
        ["log-full"],
    ),
    "a policy that cannot be read is passed over": (
        "runner/governance/judge.py",
        'return deny(str(error), agent.at(""))',
        'return Verdict(Decision.ALLOW, str(error), agent.at(""))',
        ["policy-unreadable"],
    ),
    "who gets no answer goes on": (
        "runner/link.py",
        "answer = dict(await future)",
        "done, _ = await asyncio.wait({future}, timeout=0.2)\n"
        '            answer = dict(await future) if done else {"decision": "allow"}',
        ["approvals-locked", "clock-unreadable", "dispatcher-silent"],
    ),
}

UNHURRIED = (
    "runner/dispatcher.py",
    "await asyncio.sleep(0)  # Lets every message that is there join this turn.",
    "await asyncio.sleep(0.1)",
)
"""How a model's result and the call that follows come to be one turn, as they may: written
apart, the full disk strikes the result, and there is no answer to be early."""

TRIES_MAX = 3
"""A call that is let through on a busy machine may come when the drill looks no more."""


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_a_check_that_is_taken_out_is_found(tmp_path: Path, name: str) -> None:
    module, before, after, found_by = TAKEN_OUT[name]
    for package in ("runner", "reconciler"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=without)
    for path, old, new in ((module, before, after), UNHURRIED):
        text = (tmp_path / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"the text of {name} is not found in {path}"
        (tmp_path / path).write_text(text.replace(old, new), encoding="utf-8")
    command = [sys.executable, "-m", "reconciler", "--home", str(tmp_path / "home"), "drill"]
    for fault in found_by:
        command += ["--only", fault]
    for _ in range(TRIES_MAX):
        done = subprocess.run(
            [*command, "--json"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        if done.returncode == 1:
            break
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = {one["fault"]: one for one in json.loads(done.stdout)["faults"]}
    assert outcomes["none"]["held"], "the copy does not work at all"
    assert [fault for fault in found_by if outcomes[fault]["called"]] == found_by
