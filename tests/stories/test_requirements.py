"""A task runs only where its requirements are met, and one that waits for that is seen."""

import json
from typing import Any

import pytest
from home import Home

from runner.contract.kinds import Key

pytestmark = pytest.mark.story

TASK = """\
apiVersion: orloj.dev/v1
kind: Task
metadata: {name: sums}
spec: {agent: clerk, requirements: {region: eu, gpu: true}}
"""


def orloj(home: Home, *arguments: str) -> str:
    done = home.orloj(*arguments)
    done.check_returncode()
    return done.stdout


def stuck(home: Home) -> Any:
    return json.loads(orloj(home, "status", "--json"))["stuck"]


def test_a_task_waits_for_a_worker_that_meets_it_and_holds_nobody_back(home: Home) -> None:
    script = {"clerk": [{"reply": "done"}]}
    home.record(
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": script},
    )
    clerk: Key = home.record("Agent", "clerk", {"model": "m"})
    manifest = home.folder / "task.yaml"
    manifest.write_text(TASK, encoding="utf-8")
    with home.runner(workers=1, region="us", gpu="true"):
        orloj(home, "apply", "--yes", "-f", str(manifest))
        ((demanding,),) = home.rows("SELECT id FROM task")
        home.wait(home.submit(clerk, 3, requirements={"gpu": True}), {"succeeded"})
        assert home.state(demanding) == "pending"
        # What other hosts offer that share a database, this one does not know.
        unmet = ["1 task waits for a worker with another region, GPU or model"]
        assert stuck(home) == ([] if home.database.shared else unmet)
    with home.runner(workers=1, region="eu", gpu="true"):
        home.wait([demanding], {"succeeded"})
        assert stuck(home) == []
