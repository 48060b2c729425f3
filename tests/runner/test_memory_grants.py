"""What `memory.allow` lists an agent has, by that line; what it does not list, it has not."""

from itertools import pairwise
from typing import Any

import pytest
from manifest_sets import manifest_set, placed

from runner.contract.kinds import Key
from runner.governance import access, judge
from runner.governance.verdict import Call, Decision, Verdict
from runner.manifest_set import ManifestSet, Placed


def agent(name: str = "clerk", namespace: str = "default", **fields: Any) -> Placed:
    return placed("Agent", name, {"model": "m", **fields}, namespace)


NOTES = placed("Memory", "notes", {})
SHARED = placed("Memory", "notes", {"allowed_namespaces": ["team"]})


def verdict(manifests: ManifestSet, tool: str, name: str = "clerk", **given: Any) -> Verdict:
    return judge.decide(manifests, manifests.agent(name), Call(tool, given))


def test_what_allow_lists_is_allowed_and_the_rule_is_its_line() -> None:
    there = agent(memory={"ref": "notes", "allow": ["read", "write"]})
    lines = {"/spec/memory": 6, "/spec/memory/allow": 8, "/spec/memory/allow/1": 10}
    there = Placed(there.key, there.body, "agents/clerk.yaml", 1, lines)
    said = verdict(manifest_set(there, NOTES), "memory.write", key="a", value="b")
    assert (said.decision, said.rule) == (Decision.ALLOW, "agents/clerk.yaml:10")
    assert said.permission == "write:memory/notes"


@pytest.mark.parametrize("tool", ["memory.search", "memory.list", "memory.read"])
def test_every_way_to_look_needs_the_same_permission(tool: str) -> None:
    manifests = manifest_set(
        agent(memory={"ref": "notes", "allow": [tool.split(".")[1]]}), NOTES
    )
    said = verdict(manifests, tool)
    assert (said.decision, said.permission) == (Decision.ALLOW, "read:memory/notes")


def test_what_allow_does_not_list_is_denied() -> None:
    manifests = manifest_set(agent(memory={"ref": "notes", "allow": ["read"]}))
    said = verdict(manifests, "memory.write", key="a", value="b")
    assert said.decision is Decision.DENY
    assert "not granted the tool memory.write" in said.reason


def test_a_memory_without_allow_gives_nothing() -> None:
    manifests = manifest_set(agent(memory={"ref": "notes"}))
    assert verdict(manifests, "memory.read").decision is Decision.DENY
    assert not access.matrix(manifests, manifests.agent("clerk"), None)


def test_a_name_under_allowed_tools_does_not_make_a_tool() -> None:
    manifests = manifest_set(agent(memory={"ref": "notes"}, allowed_tools=["memory.write"]))
    assert verdict(manifests, "memory.write").decision is Decision.DENY


def test_a_person_is_asked_where_the_manifest_wants_it() -> None:
    manifests = manifest_set(
        agent(
            memory={"ref": "notes", "allow": ["write"]},
            governance={"requireApproval": [{"write": "memory/*"}]},
        ),
        NOTES,
    )
    assert verdict(manifests, "memory.write").decision is Decision.ASK


def test_a_policy_blocks_a_builtin_tool_like_any_other() -> None:
    policy = placed(
        "AgentPolicy", "p", {"apply_mode": "global", "blocked_tools": ["memory.read"]}
    )
    manifests = manifest_set(agent(memory={"ref": "notes", "allow": ["read"]}), policy)
    assert "blocks" in verdict(manifests, "memory.read").reason


def line_of(*agents: Placed, **more: Any) -> ManifestSet:
    names = [
        item.key.name
        if item.key.namespace == "default"
        else f"{item.key.namespace}/{item.key.name}"
        for item in agents
    ]
    edges = {one: {"next": other} for one, other in pairwise(names)}
    system = placed("AgentSystem", "line", {"agents": names, "graph": edges, **more})
    return manifest_set(system, *agents, SHARED, placed("Memory", "notes", {}, "team"))


def test_a_handoff_takes_away_what_the_agent_before_may_not() -> None:
    wide = agent("second", memory={"ref": "notes", "allow": ["read", "write"]})
    narrow = agent("first", memory={"ref": "notes", "allow": ["search"]})
    manifests = line_of(narrow, wide)
    assert verdict(manifests, "memory.read", "second").decision is Decision.ALLOW
    said = verdict(manifests, "memory.write", "second")
    assert said.decision is Decision.DENY
    assert "first, which hands its work on, is not granted write:memory/notes" in said.reason


def test_a_memory_of_the_same_name_elsewhere_is_another_one() -> None:
    use = {"ref": "notes", "allow": ["read"]}
    manifests = line_of(agent("first", memory=use), agent("second", "team", memory=use))
    said = verdict(manifests, "memory.read", "team/second")
    assert said.decision is Decision.DENY
    assert "not granted" in said.reason
    shared = {"ref": "default/notes", "allow": ["read"]}
    manifests = line_of(agent("first", memory=use), agent("second", "team", memory=shared))
    assert verdict(manifests, "memory.read", "team/second").decision is Decision.ALLOW


def test_a_memory_of_another_namespace_needs_its_consent() -> None:
    here = agent(namespace="team", memory={"ref": "default/notes", "allow": ["read"]})
    said = verdict(manifest_set(here, NOTES), "memory.read")
    assert said.decision is Decision.DENY
    assert "does not serve the namespace team; its allowedNamespaces" in said.reason
    assert verdict(manifest_set(here, SHARED), "memory.read").decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (None, "the Memory default/notes is not declared"),
        ({"provider": "pgvector"}, "has no endpoint"),
        ({"embedding_model": "e"}, "there is no ModelEndpoint default/e or default/default"),
    ],
)
def test_a_memory_that_cannot_be_used_is_a_denial(
    spec: dict[str, Any] | None, words: str
) -> None:
    others = [] if spec is None else [placed("Memory", "notes", spec)]
    here = agent(memory={"ref": "notes", "allow": ["read"]})
    said = verdict(manifest_set(here, *others), "memory.read")
    assert said.decision is Decision.DENY
    assert words in said.reason


def test_a_builtin_tool_is_known_to_everybody_who_asks_for_it() -> None:
    manifests = manifest_set(agent(memory={"ref": "notes", "allow": ["ingest"]}))
    tool = manifests.tool(manifests.agent("clerk"), "memory.ingest")
    assert tool is not None
    assert tool.key == Key("default", "Tool", "memory.ingest")
    assert tool.spec.idempotent
    assert tool.spec.input_schema["required"] == ["source", "content"]
    (answer,) = access.matrix(manifests, manifests.agent("clerk"), None)
    assert (answer.tool, answer.about) == ("memory.ingest", "write:memory/notes")
