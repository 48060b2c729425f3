"""A call is allowed only when the agent's manifest grants all that the tool requires.

Whatever is missing is a denial, and a verdict names the manifest line that made it.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import kinds
from runner.contract.kinds import Key, Metadata
from runner.governance import judge
from runner.governance.verdict import Call, Decision, Verdict
from runner.manifest_set import ManifestSet, Placed, PlacedAgent, PlacedTool

AGENT_LINES = {
    "": 1,
    "/spec": 4,
    "/spec/tools": 6,
    "/spec/tools/0": 7,
    "/spec/tools/0/permissions/0": 9,
    "/spec/tools/0/permissions/1": 10,
    "/spec/tools/1": 11,
    "/spec/governance": 13,
    "/spec/governance/requireApproval/0": 15,
}
TOOL_LINES = {"": 3, "/spec": 6, "/spec/type": 7, "/spec/requires": 8}
HTTP = {"type": "http", "endpoint": "http://127.0.0.1/"}


def agent(grants: list[Any], approval: list[dict[str, str]] | None = None) -> PlacedAgent:
    spec = {"model": "m", "tools": grants, "governance": {"requireApproval": approval or []}}
    body = kinds.canonical(Metadata(name="clerk"), kinds.Agent.model_validate(spec))
    key = Key("default", "Agent", "clerk")
    return PlacedAgent(key, body, "agents/clerk.yaml", 1, AGENT_LINES)


def tool(spec: dict[str, Any]) -> PlacedTool:
    body = kinds.canonical(Metadata(name="search"), kinds.Tool.model_validate(spec))
    return PlacedTool(
        Key("default", "Tool", "search"), body, "tools/search.yaml", 3, TOOL_LINES
    )


def decided(who: PlacedAgent, name: str, what: PlacedTool | None, **arguments: Any) -> Verdict:
    """The verdict on a call by an agent that works alone."""
    resources: list[Placed] = [who, *([what] if what else [])]
    manifests = ManifestSet(who.key, {placed.key: placed for placed in resources})
    return judge.decide(manifests, who, Call(name, arguments))


READ, WRITE = {"read": "files"}, {"write": "files"}
GRANT = {"name": "search", "permissions": [READ, WRITE]}
NEEDS = {**HTTP, "requires": [READ]}


@pytest.mark.parametrize(
    ("who", "what", "rule", "permission"),
    [
        (agent([]), tool(NEEDS), "agents/clerk.yaml:6", None),
        (agent([{"name": "other"}]), tool(NEEDS), "agents/clerk.yaml:6", None),
        (agent([GRANT]), None, "agents/clerk.yaml:7", None),
        (agent([GRANT]), tool(HTTP), "tools/search.yaml:3", None),
        (agent(["search"]), tool(NEEDS), "agents/clerk.yaml:7", "read:files"),
        (
            agent([{"name": "search", "permissions": [WRITE]}]),
            tool({**HTTP, "requires": [WRITE, READ]}),
            "agents/clerk.yaml:7",
            "write:files read:files",
        ),
        (
            agent([{"name": "search", "permissions": [{"read": "other"}]}]),
            tool(NEEDS),
            "agents/clerk.yaml:7",
            "read:files",
        ),
        (
            agent(["other", {"name": "search", "permissions": [WRITE]}]),
            tool(NEEDS),
            "agents/clerk.yaml:11",
            "read:files",
        ),
        (
            agent([GRANT]),
            tool({"type": "wasm", "requires": [READ]}),
            "tools/search.yaml:7",
            "read:files",
        ),
    ],
    ids=[
        "no tool granted",
        "another tool granted",
        "tool not declared",
        "tool requires nothing",
        "no permission granted",
        "one of two permissions granted",
        "same verb, other resource",
        "the second grant is the rule",
        "a type that cannot be run",
    ],
)
def test_a_denial_names_the_line_that_made_it(
    who: PlacedAgent, what: PlacedTool | None, rule: str, permission: str | None
) -> None:
    verdict = decided(who, "search", what)
    assert verdict.decision is Decision.DENY
    assert (verdict.rule, verdict.permission) == (rule, permission)


def test_a_call_that_needs_a_person_names_the_line_that_wants_one() -> None:
    verdict = decided(agent([GRANT], approval=[READ]), "search", tool(NEEDS))
    assert (verdict.decision, verdict.rule) == (Decision.ASK, "agents/clerk.yaml:15")
    assert verdict.grant == "agents/clerk.yaml:9"


@pytest.mark.parametrize(
    ("requires", "rule"),
    [([READ], "agents/clerk.yaml:9"), ([WRITE], "agents/clerk.yaml:10")],
    ids=["first", "second"],
)
def test_what_is_allowed_names_the_grant(requires: list[Any], rule: str) -> None:
    verdict = decided(agent([GRANT]), "search", tool({**HTTP, "requires": requires}))
    assert verdict.decision is Decision.ALLOW
    assert verdict.rule == rule


PERMISSIONS = st.lists(
    st.builds(
        lambda verb, resource: {verb: resource},
        st.sampled_from(["read", "write", "run"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=3,
)
GRANTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["search", "other"]), "permissions": PERMISSIONS}
    ),
    max_size=3,
)


@given(GRANTS, PERMISSIONS, PERMISSIONS, st.sampled_from(["http", "external", "wasm", "cli"]))
def test_a_permission_not_granted_is_never_allowed(
    grants: list[Any], requires: list[Any], approval: list[Any], type: str
) -> None:
    declared = tool({**HTTP, "type": type, "requires": requires})
    verdict = decided(agent(grants, approval), "search", declared)
    granted = [
        item for grant in grants if grant["name"] == "search" for item in grant["permissions"]
    ]
    if verdict.decision is Decision.ALLOW:
        assert requires
        assert all(item in granted and item not in approval for item in requires)
        assert type in judge.RUNNABLE_TYPES


@given(GRANTS, st.text(max_size=20))
def test_a_name_the_model_makes_up_is_denied(grants: list[Any], name: str) -> None:
    known = {grant["name"] for grant in grants}
    if name not in known:
        assert decided(agent(grants), name, None).decision is Decision.DENY


UNREADABLE = '{"spec": {"type": "http", "endpoint": "x", "requires": [], "of_tomorrow": 1}}'


def test_a_rule_that_cannot_be_read_denies() -> None:
    key = Key("default", "Tool", "search")
    unreadable = PlacedTool(key, UNREADABLE, "tools/search.yaml", 3, TOOL_LINES)
    verdict = decided(agent([GRANT]), "search", unreadable)
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "agents/clerk.yaml:1")
    assert "cannot be read by this version" in verdict.reason
    nobody = PlacedAgent(Key("default", "Agent", "clerk"), UNREADABLE, "a.yaml", 2, {})
    assert decided(nobody, "search", tool(NEEDS)).decision is Decision.DENY


@pytest.mark.parametrize(
    "name",
    [
        "Search",
        "search ",
        "se\u0430rch",
        "search\u200b",
        "default/search",
        "./search",
        "search\x00",
    ],
    ids=["case", "space", "cyrillic", "invisible", "namespace", "dot", "zero"],
)
def test_a_name_that_is_nearly_the_granted_one_is_another(name: str) -> None:
    assert decided(agent([GRANT]), name, tool(NEEDS)).decision is Decision.DENY
