"""A plan says what a change means for who may do what, from what is declared on either side.

Nothing is said of what did not change, and what one direction widens the other narrows.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.governance import comparison
from reconciler.governance.finding import Finding, Severity
from reconciler.governance.world import Declared, World
from reconciler.problem import Severity as ProblemSeverity
from runner.contract import kinds
from runner.contract.kinds import Key, Metadata
from runner.governance import judge, reach
from runner.governance.verdict import Call, Decision
from runner.manifest_set import Placed

TODAY = date(2026, 11, 24)
Specs = Mapping[tuple[str, str], dict[str, Any]]


def world(specs: Specs) -> World:
    found = {}
    for (kind, name), spec in specs.items():
        key = Key("default", kind, name)
        body = kinds.canonical(Metadata(name=name), kinds.KINDS[kind].model_validate(spec))
        found[key] = Declared(key, body, f"{kind.lower()}s/{name}.yaml", 1, {"": 1})
    return World(found)


def compared(before: Specs, after: Specs) -> tuple[Finding, ...]:
    old, new = world(before), world(after)
    keys = {*old.declared, *new.declared}
    changed = {
        key
        for key in keys
        if getattr(old.declared.get(key), "body", None)
        != getattr(new.declared.get(key), "body", None)
    }
    return comparison.compare(old, new, changed)


def agent(*grants: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    tools: dict[str, list[dict[str, str]]] = {}
    for tool, verb, resource in grants:
        tools.setdefault(tool, []).append({verb: resource})
    listed = [{"name": name, "permissions": found} for name, found in tools.items()]
    return {"model": "m", "tools": listed, **more}


A = ("Agent", "checker")
T = ("Tool", "flag-issues")
ENDPOINT = {"provider": "ollama", "default_model": "m"}
READ = ("flag-issues", "read", "docs")
WRITE = ("flag-issues", "write", "issue_tracker")
TOOL: dict[str, Any] = {"type": "python", "function": "f", "requires": [{"read": "docs"}]}
HTTP = {"requires": [{"read": "docs"}], "type": "http", "endpoint": "https://issues.example/"}
OAUTH = {
    "secretRef": "key",
    "profile": "oauth2_client_credentials",
    "tokenURL": "https://a.example",
}
SYSTEM: dict[str, Any] = {"agents": ["intake", "checker"]}
APPROVER: dict[str, Any] = {"emails": ["a@x"], "user": "ada"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample ada"
POLICY: dict[str, Any] = {"blocked_tools": ["shell"], "apply_mode": "global"}
RULE: dict[str, Any] = {"tool_ref": "flag-issues", "required_permissions": ["tool:x:invoke"]}
DATA: dict[str, Any] = {"type": "sqlite", "path": "a.db", "tables": ["a"], "writable": ["a"]}


def governed(**fields: Any) -> dict[str, Any]:
    return agent(READ, governance=fields)


CASES: dict[str, tuple[Specs, Specs, str, str]] = {
    "grant": (
        {A: agent(READ)},
        {A: agent(READ, WRITE)},
        "grant-gained",
        "checker gains write:issue_tracker through flag-issues",
    ),
    "new agent": ({}, {A: agent(WRITE)}, "agent-added", "checker is new, with write:issue"),
    "role of agent": (
        {A: agent(READ), ("AgentRole", "r"): {"permissions": ["write:x"]}},
        {A: agent(READ, roles=["r"]), ("AgentRole", "r"): {"permissions": ["write:x"]}},
        "role-added",
        "checker has the role r now: write:x for any of its tools",
    ),
    "role for all": (
        {A: agent(roles=["r"]), ("AgentRole", "r"): {"permissions": ["read:x"]}},
        {A: agent(roles=["r"]), ("AgentRole", "r"): {"permissions": ["read:x", "write:x"]}},
        "role-widened",
        "the role r gains write:x, for checker",
    ),
    "allowed outright": (
        {A: agent(READ)},
        {A: agent(READ, allowed_tools=["shell"])},
        "tool-allowed-outright",
        "checker may call shell outright",
    ),
    "approval": (
        {A: governed(requireApproval=[{"read": "docs"}])},
        {A: governed()},
        "approval-removed",
        "checker no longer needs a person's approval for read:docs",
    ),
    "tokens": (
        {A: governed(maxTokensPerMinute=8000)},
        {A: governed(maxTokensPerMinute=20000)},
        "limit-raised",
        "maxTokensPerMinute raised from 8000 to 20000",
    ),
    "cost": (
        {A: governed(maxCostPerDay="5")},
        {A: governed()},
        "limit-removed",
        "loses its limit maxCostPerDay (it was 5)",
    ),
    "steps": (
        {A: agent(READ, limits={"max_steps": 3})},
        {A: agent(READ, limits={"max_steps": 12})},
        "limit-raised",
        "limits.max_steps raised from 3 to 12",
    ),
    "timeout": (
        {A: agent(READ, limits={"timeout": "90s"})},
        {A: agent(READ, limits={"timeout": "2m"})},
        "limit-raised",
        "limits.timeout raised from 90s to 2m",
    ),
    "requires": (
        {A: agent(READ), T: {**TOOL, "requires": [{"read": "docs"}, {"write": "x"}]}},
        {A: agent(READ), T: TOOL},
        "requires-weaker",
        "a call of flag-issues no longer needs write:x (by checker)",
    ),
    "isolation": (
        {T: {**TOOL, "runtime": {"isolation": "sandboxed"}}},
        {T: {**TOOL, "runtime": {"isolation": "none"}}},
        "isolation-lost",
        "runs without a sandbox",
    ),
    "hosts": (
        {T: HTTP},
        {T: {**HTTP, "network": {"hosts": ["evil.example"]}}},
        "network-added",
        "flag-issues may connect to the host evil.example",
    ),
    "private network": (
        {T: TOOL},
        {T: {**TOOL, "network": {"private": ["10.0.0.0/8"]}}},
        "network-added",
        "the private network 10.0.0.0/8",
    ),
    "calls": (
        {T: {**TOOL, "limits": {"max_calls_per_minute": 5}}},
        {T: TOOL},
        "limit-removed",
        "limits.max_calls_per_minute",
    ),
    "secret": (
        {T: HTTP},
        {T: {**HTTP, "auth": {"secretRef": "other/key"}}},
        "secret-given",
        "flag-issues is given the Secret other/key",
    ),
    "fallback of an agent": (
        {A: agent()},
        {A: agent(fallback_model_refs=["spare"])},
        "fallback-added",
        "what checker tells its model may also go to spare",
    ),
    "fallback of an endpoint": (
        {("ModelEndpoint", "m"): ENDPOINT},
        {("ModelEndpoint", "m"): {**ENDPOINT, "fallback_model_refs": ["spare"]}},
        "fallback-added",
        "what agents tell the model endpoint m may also go to spare",
    ),
    "policy": (
        {("AgentPolicy", "p"): POLICY},
        {},
        "policy-deleted",
        "the policy p is deleted: it blocks shell",
    ),
    "child tasks go deeper": (
        {("AgentPolicy", "p"): {"apply_mode": "global", "max_child_depth": 2}},
        {("AgentPolicy", "p"): {"apply_mode": "global", "max_child_depth": 9}},
        "limit-raised",
        "p has its limit max_child_depth raised from 2 to 9",
    ),
    "policy scope": (
        {("AgentPolicy", "p"): POLICY},
        {("AgentPolicy", "p"): {**POLICY, "apply_mode": "scoped", "target_agents": ["b"]}},
        "rule-rescoped",
        "the policy p applies to b now",
    ),
    "tool permission": (
        {T: TOOL, ("ToolPermission", "q"): RULE},
        {T: TOOL},
        "rule-deleted",
        "for flag-issues it needed tool:x:invoke",
    ),
    "permissive": (
        {},
        {("Namespace", "default"): {"compat": "permissive"}},
        "compat-permissive",
        "what no rule speaks of is ALLOWED",
    ),
    "four eyes": (
        {},
        {("Namespace", "default"): {"approvals": {"four_eyes": False}}},
        "four-eyes-off",
        "people may approve what they wrote themselves",
    ),
    "approver": ({}, {("Approver", "ada"): APPROVER}, "approver-added", "ada may approve"),
    "approver key": (
        {("Approver", "ada"): APPROVER},
        {("Approver", "ada"): {**APPROVER, "keys": [KEY]}},
        "approver-key-added",
        "ada may sign with ssh-ed25519",
    ),
    "tables": (
        {("DataSource", "d"): DATA},
        {("DataSource", "d"): {**DATA, "tables": []}},
        "data-widened",
        "every table of d may be touched",
    ),
    "writable": (
        {("DataSource", "d"): {**DATA, "tables": ["a", "b"]}},
        {("DataSource", "d"): {**DATA, "tables": ["a", "b"], "writable": ["a", "b"]}},
        "data-widened",
        "the table b of d may be written",
    ),
    "gain": (
        {A: agent(WRITE), ("Agent", "intake"): agent(), ("AgentSystem", "s"): SYSTEM},
        {
            A: agent(WRITE),
            ("Agent", "intake"): agent(),
            ("AgentSystem", "s"): {
                **SYSTEM,
                "gains": [{"agent": "checker", "permissions": [{"write": "issue_tracker"}]}],
            },
        },
        "gain-declared",
        "in system s intake can cause write:issue_tracker via checker",
    ),
}


@pytest.mark.parametrize(("before", "after", "rule", "words"), CASES.values(), ids=CASES)
def test_a_widening_is_said_in_words(
    before: Specs, after: Specs, rule: str, words: str
) -> None:
    found = [item for item in compared(before, after) if item.severity is Severity.WIDENS]

    assert [item.rule for item in found] == [rule]
    assert words in found[0].sentence


@pytest.mark.parametrize(
    ("before", "after", "rule", "words"),
    [
        (
            {**HTTP, "auth": OAUTH},
            {**HTTP, "auth": {**OAUTH, "tokenURL": "https://b.example/t"}},
            "secret-sent",
            "flag-issues sends its Secret to b.example for a token",
        ),
        (
            {**HTTP, "type": "grpc", "endpoint": "a.example:1"},
            {**HTTP, "type": "grpc", "endpoint": "grpc://b.example:1"},
            "endpoint-moved",
            "flag-issues is called at b.example",
        ),
    ],
    ids=["token endpoint", "grpc endpoint"],
)
def test_a_place_that_is_sent_a_secret_widens_when_it_moves(
    before: dict[str, Any], after: dict[str, Any], rule: str, words: str
) -> None:
    found = [
        (one.severity, one.rule, one.sentence) for one in compared({T: before}, {T: after})
    ]
    assert (Severity.WIDENS, rule, words) in found


@pytest.mark.parametrize(("before", "after", "rule", "words"), CASES.values(), ids=CASES)
def test_the_way_back_narrows(before: Specs, after: Specs, rule: str, words: str) -> None:
    found = {item.severity for item in compared(after, before)}

    assert Severity.NARROWS in found
    assert Severity.WIDENS not in found


def test_a_new_policy_that_allows_more_child_tasks_than_the_default_widens() -> None:
    found = compared(
        {},
        {
            ("AgentPolicy", "p"): {
                "apply_mode": "global",
                "max_child_tasks": 50,
                "max_child_depth": 4,
            }
        },
    )
    said = {(finding.severity, finding.sentence) for finding in found}
    assert (Severity.WIDENS, "p has its limit max_child_tasks raised from 20 to 50") in said
    assert (Severity.NARROWS, "p has its limit max_child_depth lowered from 5 to 4") in said


def test_what_turns_a_protection_off_for_all_is_loud_and_first() -> None:
    loud, *others = compared(
        {A: agent(READ)},
        {A: agent(READ, WRITE), ("Namespace", "default"): {"compat": "permissive"}},
    )

    assert loud.loud
    assert [item.loud for item in others] == [False]


@pytest.mark.parametrize(
    ("rule", "severity"), [("allow", Severity.WIDENS), ("deny", Severity.NARROWS)]
)
def test_a_rule_for_a_tool_that_declares_nothing_is_what_lets_calls_in(
    rule: str, severity: Severity
) -> None:
    bare = {**TOOL, "requires": [] if rule == "allow" else TOOL["requires"]}
    (found,) = compared({T: bare}, {T: bare, ("ToolPermission", "q"): RULE})
    assert found.severity is severity


GRANTS = st.sets(
    st.tuples(
        st.sampled_from(["t", "u"]),
        st.sampled_from(["read", "write"]),
        st.sampled_from(["a", "b", "a*", "*"]),
    ),
    max_size=4,
)
ROLES = st.sets(st.sampled_from(["read:a", "write:*", "write:b"]), min_size=1, max_size=2)


@st.composite
def worlds(draw: st.DrawFn) -> dict[tuple[str, str], dict[str, Any]]:
    roles = ["r"] if draw(st.booleans()) else []
    return {
        A: agent(*sorted(draw(GRANTS)), roles=roles),
        ("AgentRole", "r"): {"permissions": sorted(draw(ROLES))},
        **{
            ("Tool", name): {**TOOL, "requires": [{verb: "a"}]}
            for name, verb in (("t", "read"), ("u", "write"))
        },
    }


@given(worlds())
def test_a_plan_from_a_world_to_itself_finds_nothing(specs: Specs) -> None:
    assert compared(specs, specs) == ()


def sentences(found: tuple[Finding, ...], rule: str) -> set[str]:
    return {item.sentence.split(" ", 2)[2] for item in found if item.rule == rule}


@given(worlds(), worlds())
def test_a_grant_gained_one_way_is_lost_the_other(one: Specs, other: Specs) -> None:
    there, back = compared(one, other), compared(other, one)

    assert sentences(there, "grant-gained") == sentences(back, "grant-lost")
    assert sentences(there, "grant-lost") == sentences(back, "grant-gained")


def decided(specs: Specs, tool: str) -> Decision:
    declared = {
        key: Placed(key, item.body, item.path, item.line, dict(item.lines))
        for key, item in world(specs).declared.items()
    }
    manifests = reach.gather(Key("default", *A), *reach.among(declared))
    return judge.decide(manifests, manifests.agent("checker"), Call(tool, {})).decision


@settings(max_examples=300)
@given(worlds(), worlds(), st.sampled_from(["t", "u"]))
def test_what_the_guard_would_allow_and_did_not_is_always_found(
    before: Specs, after: Specs, tool: str
) -> None:
    ways = decided(before, tool), decided(after, tool)
    severities = {item.severity for item in compared(before, after)}

    if ways == (Decision.DENY, Decision.ALLOW):
        assert Severity.WIDENS in severities
    if ways == (Decision.ALLOW, Decision.DENY):
        assert Severity.NARROWS in severities


# Private data, untrusted text and a way out.

MAIL: dict[str, Any] = {"type": "python", "function": "f", "ingests": "untrusted"}
CRM: dict[str, Any] = {"type": "python", "function": "f", "reads": ["private"]}
POST: dict[str, Any] = {"type": "http", "endpoint": "https://api.example.com/"}
KEEP = {"ingests": "trusted"}
RISK = {
    "risk": "lethal-trifecta",
    "owner": "dana",
    "reason": "our own tracker",
    "expires": "2026-11-24",
}
TOOLS: Specs = {
    ("Tool", "mail"): MAIL,
    ("Tool", "crm"): CRM,
    ("Tool", "post"): {**POST, **KEEP},
}


def uses(*tools: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "tools": list(tools), **more}


ALL: Specs = {**TOOLS, A: uses("mail", "crm", "post")}


def in_line(*agents: dict[str, Any], **more: Any) -> Specs:
    names = [f"a{number}" for number in range(len(agents))]
    return {
        **TOOLS,
        **{("Agent", name): spec for name, spec in zip(names, agents, strict=True)},
        ("AgentSystem", "s"): {"agents": names, **more},
    }


def risks(specs: Specs, today: date = TODAY) -> list[tuple[ProblemSeverity, str]]:
    found = world(specs)
    return [
        (problem.severity, problem.message)
        for problem in comparison.risks(found, found.declared, today)
        if problem.rule == "lethal-trifecta"
    ]


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (ALL, "agent/default/checker: checker takes in"),
        (in_line(uses("mail"), uses("crm"), uses("post")), "along a0 → a1 → a2: a0 takes in"),
        (in_line(uses("mail", "crm"), uses(), uses("post")), "along a0 → a1 → a2: a0"),
        (in_line(uses("crm"), uses("mail", "post")), "along a0 → a1: a0 reads private data"),
    ],
    ids=["alone", "a line of three", "over one that does nothing", "two"],
)
def test_the_three_together_are_an_error_with_the_way_they_take(
    specs: Specs, words: str
) -> None:
    ((severity, message),) = risks(specs)

    assert severity is ProblemSeverity.ERROR
    assert words in message


@pytest.mark.parametrize(
    "specs",
    [
        {**TOOLS, A: uses("mail", "crm")},
        in_line(uses("post"), uses("mail", "crm")),
        {**ALL, ("Tool", "crm"): {**CRM, "reads": ["public"]}},
        {**ALL, ("Tool", "post"): {**POST, "egress": "internal"}},
        {**ALL, ("Tool", "post"): {**POST, "endpoint": "http://10.0.0.7/"}},
    ],
    ids=["no way out", "out before in", "nothing private", "internal", "private address"],
)  # fmt: skip
def test_two_of_the_three_are_no_problem(specs: Specs) -> None:
    assert risks(specs) == []


def test_a_tool_that_a_hand_off_withholds_carries_nothing() -> None:
    needs = {**POST, **KEEP, "requires": [{"write": "world"}]}
    last = agent(("post", "write", "world"))
    withheld = {**in_line(uses("mail", "crm"), last), ("Tool", "post"): needs}
    gains = [{"agent": "a1", "permissions": [{"write": "world"}]}]
    gained = {**in_line(uses("mail", "crm"), last, gains=gains), ("Tool", "post"): needs}

    assert risks(withheld) == []
    assert len(risks(gained)) == 1


def test_a_source_labelled_private_counts_for_whoever_may_read_it() -> None:
    specs: Specs = {
        ("DataSource", "crm"): {"type": "sqlite", "path": "a", "labels": ["private"]},
        ("Tool", "query"): {"type": "sql", "requires": [{"read": "{args.source}"}]},
        ("Tool", "post"): POST,  # Says nothing: a public host tells and is told.
    }
    reads = agent(("query", "read", "crm"))
    reads["tools"].append("post")
    other = agent(("query", "read", "weather"))
    other["tools"].append("post")

    assert len(risks({**specs, A: reads})) == 1
    assert risks({**specs, A: other}) == []


def test_who_answers_for_it_is_named_until_the_day_is_over() -> None:
    specs: Specs = {**TOOLS, A: uses("mail", "crm", "post", accept_risk=[RISK])}

    ((severity, message),) = risks(specs)
    assert severity is ProblemSeverity.WARNING
    assert "accepted by dana until 2026-11-24" in message

    ((severity, message),) = risks(specs, date(2026, 11, 25))
    assert severity is ProblemSeverity.ERROR
    assert "dana accepted it until 2026-11-24, which is over" in message


def test_a_system_answers_for_its_path() -> None:
    ((severity, _),) = risks(in_line(uses("mail"), uses("crm", "post"), accept_risk=[RISK]))
    assert severity is ProblemSeverity.WARNING


def test_a_tool_that_can_never_be_used_in_a_system_is_a_warning() -> None:
    found = world(
        {
            A: agent(WRITE),
            ("Agent", "intake"): agent(READ),
            T: {**TOOL, "requires": [{"write": "issue_tracker"}]},
            ("AgentSystem", "s"): SYSTEM,
        }
    )
    (problem,) = comparison.risks(found, found.declared, TODAY)

    assert problem.severity is ProblemSeverity.WARNING
    assert problem.message == (
        "checker cannot use write:issue_tracker in system s: intake is not granted it"
    )
    assert "gains" in (problem.hint or "")
