"""Roles, tool permissions and policies of the public dialect keep their meaning.

With one difference: where no rule speaks of a tool, a call is denied, unless the namespace
says `compat: permissive`. Over a hand-off permissions only get fewer.
"""

from typing import Any

import pytest
from manifest_sets import manifest_set, placed

from runner.governance import judge, policies
from runner.governance.verdict import Call, Decision, Verdict
from runner.manifest_set import Placed

TOOL = {"endpoint": "http://tools/", "capabilities": ["web.read"]}
PERMISSIVE = placed("Namespace", "default", {"compat": "permissive"})
ROLE = placed(
    "AgentRole",
    "analyst",
    {"permissions": ["tool:web_search:invoke", "capability:web.read"]},
)
RULE = {
    "tool_ref": "web_search",
    "required_permissions": ["tool:web_search:invoke", "capability:web.read"],
}


def agent(**spec: Any) -> Placed:
    return placed("Agent", "researcher", {"model_ref": "m", "tools": ["web_search"], **spec})


def decided(
    who: Placed, *rules: Placed, tool: dict[str, Any] = TOOL, task: str | None = None
) -> Verdict:
    declared = placed("Tool", "web_search", tool)
    manifests = manifest_set(who, declared, *rules)
    return judge.decide(manifests, manifests.agent("researcher"), Call("web_search", {}, task))


def test_no_rule_means_deny_unless_the_namespace_is_permissive() -> None:
    assert decided(agent()).decision is Decision.DENY
    verdict = decided(agent(), PERMISSIVE)
    assert (verdict.decision, verdict.rule) == (Decision.ALLOW, "default.yaml:1")
    assert "permissive" in verdict.reason


@pytest.mark.parametrize("compat", [(), (PERMISSIVE,)], ids=["strict", "permissive"])
@pytest.mark.parametrize(
    ("who", "rules", "expected"),
    [
        (agent(roles=["analyst"]), (ROLE,), Decision.ALLOW),
        (agent(roles=["analyst"]), (), Decision.DENY),
        (agent(roles=["analyst", "other"]), (ROLE,), Decision.DENY),
        (
            agent(roles=["analyst"]),
            (placed("AgentRole", "analyst", {"permissions": ["tool:web_search:invoke"]}),),
            Decision.DENY,
        ),
        (agent(), (placed("ToolPermission", "p", RULE),), Decision.DENY),
        (agent(roles=["analyst"]), (ROLE, placed("ToolPermission", "p", RULE)), Decision.ALLOW),
        (agent(), (placed("ToolPermission", "web_search", {}),), Decision.ALLOW),
        (
            agent(),
            (
                placed(
                    "ToolPermission",
                    "web_search",
                    {"apply_mode": "scoped", "target_agents": ["somebody-else"]},
                ),
            ),
            None,
        ),
        (agent(allowed_tools=["web_search"]), (), Decision.ALLOW),
    ],
    ids=[
        "a role grants it",
        "a role that nobody declared",
        "one of two roles that nobody declared",
        "a role without the capability",
        "a rule and no role",
        "a rule and a role",
        "a rule that needs nothing",
        "a rule for nobody",
        "allowed outright",
    ],
)
def test_a_rule_that_speaks_of_the_tool_decides(
    compat: tuple[Placed, ...],
    who: Placed,
    rules: tuple[Placed, ...],
    expected: Decision | None,
) -> None:
    no_rule = Decision.ALLOW if compat else Decision.DENY
    assert decided(who, *compat, *rules).decision is (expected or no_rule)


def test_any_of_the_permissions_is_enough_where_the_rule_says_so() -> None:
    role = placed("AgentRole", "analyst", {"permissions": ["capability:web.read"]})
    for mode, expected in (("any", Decision.ALLOW), ("all", Decision.DENY)):
        rule = placed("ToolPermission", "p", {**RULE, "match_mode": mode})
        assert decided(agent(roles=["analyst"]), role, rule).decision is expected


@pytest.mark.parametrize(
    ("rules", "classes", "expected"),
    [
        ([("write", "deny")], ["write"], Decision.DENY),
        ([("write", "deny")], ["read"], Decision.ALLOW),
        ([("write", "approval_required")], ["read", "write"], Decision.ASK),
        ([("*", "approval_required"), ("delete", "deny")], ["delete"], Decision.DENY),
        ([("*", "deny"), ("read", "allow")], ["read"], Decision.DENY),
    ],
    ids=["denied", "another class", "asked", "the strictest", "allow does not loosen"],
)
def test_the_most_restrictive_rule_on_a_class_counts(
    rules: list[tuple[str, str]], classes: list[str], expected: Decision
) -> None:
    spec = {
        "operation_rules": [
            {"operation_class": name, "verdict": verdict} for name, verdict in rules
        ]
    }
    rule = placed("ToolPermission", "web_search", spec)
    verdict = decided(agent(), rule, tool={**TOOL, "operation_classes": classes})
    assert verdict.decision is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RULE, Decision.ALLOW),
        ({"operation_rules": [{"verdict": "approval_required"}]}, Decision.ASK),
        ({"operation_rules": [{"verdict": "deny"}]}, Decision.DENY),
    ],
    ids=["a permission", "an approval", "a denial"],
)
def test_a_tool_that_is_allowed_outright_waives_permissions_and_nothing_else(
    rule: dict[str, Any], expected: Decision
) -> None:
    who = agent(allowed_tools=["web_search"])
    assert decided(who, placed("ToolPermission", "web_search", rule)).decision is expected


@pytest.mark.parametrize(
    ("targets", "applies"),
    [
        ({"apply_mode": "global"}, True),
        ({"target_agents": ["Researcher"]}, True),
        ({"target_tasks": ["nightly"]}, True),
        ({"target_tasks": ["other"]}, False),
        ({"target_systems": ["researcher"]}, False),
    ],
    ids=["global", "the agent, in other letters", "the task", "another", "no system"],
)
def test_a_policy_blocks_what_is_granted_for_whom_it_targets(
    targets: dict[str, Any], applies: bool
) -> None:
    policy = placed("AgentPolicy", "no-web", {"blocked_tools": ["WEB_SEARCH"], **targets})
    who = agent(allowed_tools=["web_search"])
    verdict = decided(who, policy, task="nightly")
    assert verdict.decision is (Decision.DENY if applies else Decision.ALLOW)


def test_a_model_that_a_policy_does_not_name_is_not_asked() -> None:
    policy = placed("AgentPolicy", "p", {"apply_mode": "global", "allowed_models": ["gpt-4o"]})
    manifests = manifest_set(agent(), policy)
    researcher = manifests.agent("researcher")
    for model, expected in (("gpt-4o", Decision.ALLOW), ("gpt-4", Decision.DENY)):
        verdict = policies.decide_model(manifests, researcher, model, None)
        assert verdict.decision is expected


READ = {"read": "tickets"}
GRANTED = {"name": "search", "permissions": [READ]}
SEARCH = placed("Tool", "search", {"endpoint": "http://tools/", "requires": [READ]})


def handed_on(*more: Placed, first: dict[str, Any], **system: Any) -> Verdict:
    """The verdict on the second of two agents, which is granted the tool."""
    manifests = manifest_set(
        placed("AgentSystem", "line", {"agents": ["first", "second"], **system}),
        placed("Agent", "first", {"model_ref": "m", **first}),
        placed("Agent", "second", {"model_ref": "m", "tools": [GRANTED]}),
        SEARCH,
        *more,
    )
    return judge.decide(manifests, manifests.agent("second"), Call("search", {}))


GAIN = [{"agent": "second", "permissions": [READ]}]


@pytest.mark.parametrize(
    ("first", "system", "more", "expected"),
    [
        ({"tools": [GRANTED]}, {}, (), Decision.ALLOW),
        ({}, {}, (), Decision.DENY),
        ({"tools": [{"name": "search", "permissions": [{"write": "tickets"}]}]}, {}, (), None),
        ({}, {"gains": GAIN}, (), Decision.ALLOW),
        ({}, {"gains": [{**GAIN[0], "agent": "first"}]}, (), Decision.DENY),
        ({}, {}, (PERMISSIVE,), Decision.ALLOW),
        (
            {"tools": [GRANTED], "governance": {"requireApproval": [READ]}},
            {},
            (),
            Decision.ASK,
        ),
        (
            {"tools": [GRANTED]},
            {},
            (
                placed(
                    "AgentPolicy",
                    "p",
                    {"target_agents": ["first"], "blocked_tools": ["search"]},
                ),
            ),
            Decision.DENY,
        ),
    ],
    ids=[
        "both are granted it",
        "only the second is",
        "the first for something else",
        "a declared gain",
        "a gain of another agent",
        "the public dialect",
        "the first must ask",
        "the first is blocked",
    ],
)
def test_over_a_hand_off_only_what_all_may_is_left(
    first: dict[str, Any],
    system: dict[str, Any],
    more: tuple[Placed, ...],
    expected: Decision | None,
) -> None:
    verdict = handed_on(*more, first=first, **system)
    assert verdict.decision is (expected or Decision.DENY)


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"action": "export"}, False),
        ({"action": "read"}, True),
    ],
    ids=["an action that is not granted", "one that is"],
)
def test_an_action_by_itself_is_a_permission_that_calls_need(
    spec: dict[str, Any], allowed: bool
) -> None:
    role = placed("AgentRole", "analyst", {"permissions": ["tool:web_search:read"]})
    rule = placed("ToolPermission", "web_search", spec)
    verdict = decided(agent(roles=["analyst"]), role, rule)
    assert verdict.decision is (Decision.ALLOW if allowed else Decision.DENY)
