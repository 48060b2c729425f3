"""Every field of the public dialect's evaluations is read or refused with a reason; and what an
evaluation may call is decided by the set its task is pinned to.
"""

from typing import Any

import pytest
from manifest_sets import manifest_set, placed

from reconciler import check, manifest
from runner.contract.kinds import EvalDataset, EvalRun
from runner.evaluation import Handling
from runner.governance import evaluations
from runner.governance.verdict import Call, Decision, Verdict
from runner.manifest_set import from_text

PUBLIC = """\
apiVersion: orloj.dev/v1
kind: EvalRun
metadata: {name: triage, namespace: default}
spec:
  %s: golden
  system: triage-system
  scoring: {strategy: llm_judge, model_ref: judge, rubric: "Accurate?"}
  concurrency: 5
  timeout: 120s
  agent_overrides: %s
  labels: {model: small}
"""


@pytest.mark.parametrize(
    ("dataset", "overrides"),
    [
        ("dataset", '[{agent: clerk, system_prompt: "Route.", model_ref: small}]'),
        ("dataset_ref", '{clerk: {prompt: "Route.", model_ref: small}}'),
    ],
)
def test_both_spellings_of_the_public_dialect_mean_the_same(
    dataset: str, overrides: str
) -> None:
    parsed = manifest.parse(
        (PUBLIC % (dataset, overrides)).encode(), "a.yaml", lambda text: text
    )
    assert parsed.problems == ()
    (found,) = parsed.resources
    assert '"agent_overrides":[{"agent":"clerk","model_ref":"small"' in found.body
    assert '"dataset":"golden"' in found.body


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"samples": []}, "at least 1"),
        ({"samples": [{"name": "a", "input": {}}]}, "at least 1"),
        (
            {
                "samples": [
                    {"name": "a", "input": {"q": "1"}},
                    {"name": "A", "input": {"q": "1"}},
                ]
            },
            "two samples are called 'A'",
        ),
        ({"expected": {"equals": "x"}}, "output_json_path, which is not given"),
        ({"expected": {"output_matches": "("}}, "the pattern cannot be read"),
        ({"expected": {"output_json_path": "category"}}, r"a JSON path looks like \$"),
        ({"expected": {"output_json_path": "$.a", "less_than": "much"}}, "a bound is a number"),
        (
            {"scoring": {"strategy": "custom", "tool_ref": "t"}},
            "custom scoring by a tool is not",
        ),
        ({"scoring": {"strategy": "llm_judge"}}, "llm_judge needs model_ref"),
        ({"scoring": {"strategy": "manual", "rubric": "x"}}, "manual asks no model"),
        ({"tool_results": [{"tool": "t"}]}, "exactly one of content and error"),
    ],
)
def test_a_dataset_that_means_nothing_is_refused(spec: dict[str, Any], says: str) -> None:
    if "samples" not in spec:
        spec = {"samples": [{"name": "a", "input": {"q": "1"}} | spec]}
    with pytest.raises(ValueError, match=says):
        EvalDataset.model_validate(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"agent": "b"}, "exactly one of system and agent"),
        ({"timeout": "0s"}, "more than nothing"),
        ({"tools": "stubs", "real_tools": ["a"]}, "leave out real_tools"),
        ({"pass_threshold": 2}, "less than or equal to 1"),
        ({"agent_overrides": [{"agent": "a"}, {"agent": "a"}]}, "names an agent twice"),
    ],
)
def test_a_run_that_means_nothing_is_refused(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EvalRun.model_validate({"dataset": "d", "system": "s"} | spec)


UNSCORED = """\
apiVersion: orloj.dev/v1
kind: EvalDataset
metadata: {name: golden}
spec: {samples: [{name: a, input: {q: "1"}}]}
---
apiVersion: orloj.dev/v1
kind: EvalRun
metadata: {name: exam}
spec:
  agent: clerk
  dataset: golden
  scoring: {strategy: %s}
"""


@pytest.mark.parametrize(
    ("strategy", "count"),
    [("exact_match", 1), ("manual", 0)],
    ids=["by nothing", "by a person"],
)
def test_a_run_that_nothing_could_score_is_refused_at_its_line(
    strategy: str, count: int
) -> None:
    parsed = manifest.parse((UNSCORED % strategy).encode(), "a.yaml", lambda text: text)
    found = check.check(parsed.resources, lambda key: True, ())
    assert len(found) == count
    for problem in found:
        assert (problem.path, problem.line) == ("a.yaml", 11)
        assert "sample a expects nothing" in problem.message


def ruled(call: Call, run: dict[str, Any], tool: dict[str, Any]) -> Verdict:
    stubs = [{"tool": "mail", "arguments": {"to": "ada"}, "content": "sent"}]
    sample = {"name": "a", "input": {"q": "1"}, "tool_results": stubs}
    found = manifest_set(
        placed("Agent", "clerk", {"model": "m", "tools": ["mail"]}),
        placed("Tool", "mail", {"type": "http", "endpoint": "https://a.example"} | tool),
        placed("EvalDataset", "golden", {"samples": [sample]}),
        placed("EvalRun", "exam", {"dataset": "golden", "agent": "clerk"} | run),
    )
    found = from_text(found.to_text())
    granted = Verdict(Decision.ALLOW, "granted", "clerk.yaml:1")
    return evaluations.decide(found, found.agent("clerk"), call, granted)


ADA, EVE = Call("mail", {"to": "ada", "text": "hi"}), Call("mail", {"to": "eve"})


@pytest.mark.parametrize(
    ("call", "run", "tool", "decision"),
    [
        (EVE, {}, {}, Decision.DENY),
        (EVE, {}, {"idempotent": True}, Decision.DENY),
        (EVE, {}, {"operation_classes": ["read", "write"]}, Decision.DENY),
        (EVE, {}, {"operation_classes": ["read"]}, Decision.ALLOW),
        (EVE, {"tools": "stubs"}, {"operation_classes": ["read"]}, Decision.DENY),
        (EVE, {"real_tools": ["mail"]}, {}, Decision.ALLOW),
        (ADA, {"tools": "stubs"}, {}, Decision.ALLOW),
        (Call("nobody", {}), {}, {}, Decision.DENY),
    ],
)
def test_what_is_neither_stubbed_nor_harmless_is_denied(
    call: Call, run: dict[str, Any], tool: dict[str, Any], decision: Decision
) -> None:
    assert ruled(call, run, tool).decision is decision


def test_a_stub_is_told_from_a_call_that_was_made() -> None:
    assert "the tool is not called" in ruled(ADA, {}, {}).reason
    assert Handling.STUB.value == "stub"


def test_a_denial_stays_one_whatever_the_stubs_say() -> None:
    found = manifest_set(
        placed("Agent", "clerk", {"model": "m"}),
        placed("EvalRun", "exam", {"dataset": "golden", "agent": "clerk"}),
    )
    denied = Verdict(Decision.DENY, "no", "clerk.yaml:1")
    assert evaluations.decide(found, found.agent("clerk"), ADA, denied) is denied
    allowed = Verdict(Decision.ALLOW, "yes", "clerk.yaml:1")
    verdict = evaluations.decide(found, found.agent("clerk"), ADA, allowed)
    assert verdict.decision is Decision.DENY
