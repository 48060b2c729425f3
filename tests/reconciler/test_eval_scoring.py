"""The same answer gets the same score, whatever it says; what cannot be scored never passes."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.evaluation import comparison, pattern, record, scoring, significance
from reconciler.evaluation.comparison import Change
from reconciler.evaluation.record import Result, ResultState, RunState
from runner.contract.kinds import EvalRun
from runner.contract.kinds.eval_dataset import Expected

JSON = (
    '{"category": "billing", "score": 0.95, "items": [{"name": "a"}], "tags": ["x"],'
    ' "ok": true}'
)


def exact(answer: str, **expected: Any) -> scoring.Score:
    return scoring.exact(Expected.model_validate(expected), answer, pattern.matches)


@pytest.mark.parametrize(
    ("answer", "expected", "passed"),
    [
        ("yes", {"output": "yes"}, True),
        (" yes\n", {"output": "yes"}, True),
        ("yes", {"output": "Yes"}, False),
        ("about BILLING", {"output_contains": "billing"}, True),
        ("about shipping", {"output_contains": "billing"}, False),
        ("Straße", {"output_contains": "STRASSE"}, True),
        ("all well", {"output_not_contains": "error"}, True),
        ("an Error", {"output_not_contains": "error"}, False),
        ("order #12", {"output_matches": r"order\s+#\d+"}, True),
        ("order", {"output_matches": r"order\s+#\d+"}, False),
        ("billing, error", {"output_contains": "billing", "output_not_contains": "e"}, False),
        (JSON, {"output_json_path": "$.category", "equals": "billing"}, True),
        (
            f"```json\n{JSON}\n```",
            {"output_json_path": "$.category", "equals": "billing"},
            True,
        ),
        (JSON, {"output_json_path": "$.category", "not_equals": "billing"}, False),
        (JSON, {"output_json_path": "$.items[0].name", "equals": "a"}, True),
        (JSON, {"output_json_path": "$.items[1].name", "not_equals": "a"}, False),
        (JSON, {"output_json_path": "$.items[1]"}, False),
        (JSON, {"output_json_path": "$.tags", "contains": "x"}, True),
        (JSON, {"output_json_path": "$.ok", "equals": "true"}, True),
        (JSON, {"output_json_path": "$.score", "greater_than": "0.9", "less_than": "1"}, True),
        (JSON, {"output_json_path": "$.score", "equals": "0.95"}, True),
        (JSON, {"output_json_path": "$.category", "greater_than": "0"}, False),
        ("not JSON", {"output_json_path": "$.category", "equals": "billing"}, False),
        ("[" * 100_000, {"output_json_path": "$.a"}, False),
        ('{"a": NaN}', {"output_json_path": "$.a", "less_than": "1"}, False),
        ('{"a": 1e999999}', {"output_json_path": "$.a", "greater_than": "1"}, True),
    ],
)
def test_all_that_is_expected_must_hold(
    answer: str, expected: dict[str, Any], passed: bool
) -> None:
    found = exact(answer, **expected)
    assert (found.passed, found.score) == (passed, 1_000 if passed else 0)
    assert found.reason


def test_a_pattern_without_end_is_ended_and_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pattern, "SEARCH_S", 1.0)
    found = exact("a" * 40 + "!", output_matches="(a+)+$")
    assert found.passed is False
    assert "took too long" in found.reason


@pytest.mark.parametrize(
    ("reply", "passed", "score"),
    [
        ('{"score": 0.85, "pass": true, "reasoning": "good"}', True, 850),
        ('```json\n{"score": 1, "pass": false, "reasoning": "no"}\n```', False, 1_000),
        ('{"score": 1, "pass": true}', True, 1_000),
        ("I think it is about 0.8", None, None),
        ('{"score": 2, "pass": true}', None, None),
        ('{"score": true, "pass": true}', None, None),
        ('{"score": NaN, "pass": true}', None, None),
        ('{"score": 0.5, "pass": "yes"}', None, None),
        ('[{"score": 1, "pass": true}]', None, None),
        ("", None, None),
        ("[" * 100_000, None, None),
    ],
)
def test_a_judge_that_does_not_answer_as_asked_gives_no_score(
    reply: str, passed: bool | None, score: int | None
) -> None:
    found = scoring.judged(reply)
    assert (found.passed, found.score) == (passed, score)


@given(st.text())
def test_no_reply_of_a_judge_breaks_the_scoring(reply: str) -> None:
    found = scoring.judged(reply)
    assert (found.passed is None) == (found.score is None)


@pytest.mark.parametrize(
    ("passed", "of", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (9, 10, 0.5958, 0.9821)],
)
def test_an_interval_is_that_of_wilson(passed: int, of: int, low: float, high: float) -> None:
    assert significance.wilson(passed, of) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_rate(pair: tuple[int, int]) -> None:
    low, high = significance.wilson(*pair)
    assert 0 <= low <= pair[0] / pair[1] <= high <= 1


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1), (0, 5, 0.0625), (1, 9, 0.021484), (4, 4, 1)]
)
def test_a_p_value_is_that_of_the_exact_sign_test(better: int, worse: int, p: float) -> None:
    assert significance.sign_test(better, worse) == pytest.approx(p, abs=1e-5)
    assert significance.sign_test(worse, better) == pytest.approx(p, abs=1e-5)
    assert math.isfinite(significance.sign_test(5_000, 5_000))


def answers(**passed: list[bool | None]) -> list[Result]:
    return [
        Result(
            sample=name,
            repetition=at,
            state=ResultState.ERRORED if good is None else ResultState.SCORED,
            passed=good,
        )
        for name, given in passed.items()
        for at, good in enumerate(given, 1)
    ]


def test_samples_are_compared_by_the_share_that_passed() -> None:
    before = answers(a=[True, True], b=[True, False], c=[True], d=[True], gone=[True])
    after = answers(a=[True, False], b=[True], c=[True, True, True], d=[None], new=[False])
    found = comparison.compare(before, after)
    assert {one.sample: one.change for one in found.samples} == {
        "a": Change.WORSE,
        "b": Change.BETTER,
        "c": Change.SAME,
        "d": Change.WORSE,
        "gone": Change.GONE,
        "new": Change.NEW,
    }
    # a lost a half, d all, b won a half, of four samples that both have.
    assert found.drop == pytest.approx(0.25)
    assert comparison.compare(after, before).drop == 0


def test_a_run_passes_by_all_that_was_asked_and_not_by_what_answered() -> None:
    found = record.summary(answers(a=[True, True], b=[None], c=[False]))
    assert (found.of, found.passed, found.errored, found.rate) == (4, 2, 1, 0.5)
    for threshold, state in ((0.5, RunState.PASSED), (0.51, RunState.FAILED)):
        run = EvalRun(dataset="d", agent="a", pass_threshold=threshold)
        assert record.outcome(run, found) is state
