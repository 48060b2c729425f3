"""An agent that takes its Memory for another than it is works with none."""

from typing import Any

import pytest
from manifest_sets import manifest_set, placed
from pydantic import ValidationError

from reconciler import manifest
from reconciler.check import check
from runner.contract.errors import Refused
from runner.contract.kinds import Agent
from runner.governance import memories

FILE = """
apiVersion: orloj.dev/v1
kind: Memory
metadata: {{name: notes}}
spec: {{type: kv, provider: sqlite}}
---
apiVersion: orloj.dev/v1
kind: Agent
metadata: {{name: clerk}}
spec:
  model: m
  memory: {memory}
"""
KV = {"type": "kv", "provider": "sqlite"}


@pytest.mark.parametrize(
    ("says", "wrong"),
    [
        ({}, None),
        (KV, None),
        ({"type": "vector"}, "memory.type says vector, and the Memory is kv"),
        ({"provider": "memory"}, "memory.provider says in-memory, and the Memory is sqlite"),
    ],
    ids=["nothing", "the same", "another type", "another provider"],
)
def test_what_an_agent_says_of_its_memory_must_be_so(
    says: dict[str, Any], wrong: str | None
) -> None:
    use = {"ref": "notes", "allow": ["read"], **says}
    text = FILE.format(memory=str(use).replace("'", ""))
    resources = manifest.parse(text.encode(), "a.yaml", lambda _: ("", "")).resources
    found = check(resources, lambda _: True, [])
    assert [(one.line, one.message) for one in found] == ([(12, wrong)] if wrong else [])

    manifests = manifest_set(
        placed("Agent", "clerk", {"model": "m", "memory": use}), placed("Memory", "notes", KV)
    )
    if wrong is None:
        assert memories.of(manifests, manifests.agent("clerk")).spec.type == "kv"
        return
    with pytest.raises(Refused, match=wrong):
        memories.of(manifests, manifests.agent("clerk"))


def test_a_memory_of_a_task_alone_has_one_provider() -> None:
    with pytest.raises(ValidationError, match="needs `ref`"):
        Agent.model_validate(
            {"model": "m", "memory": {"allow": ["read"], "provider": "sqlite"}}
        )
