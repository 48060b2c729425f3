"""A wait before another try is bounded, its ceiling grows, and what was asked for is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import retry
from runner.retry import Policy

JITTERS = ("none", "full", "equal", "decorrelated")
DRAWS = st.floats(0.0, 1.0, exclude_max=True)
POLICIES = st.builds(
    Policy,
    attempts_max=st.integers(1, 100),
    backoff_s=st.floats(0.0, retry.WAIT_MAX_S),
    backoff_max_s=st.floats(0.0, retry.WAIT_MAX_S),
    jitter=st.sampled_from(JITTERS),
)
ALMOST_ONE = 1.0 - 2.0**-53


@pytest.mark.parametrize(
    ("attempt", "expected_s"),
    [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (100, 10.0)],
    ids=["first", "second", "third", "capped", "hundredth"],
)
def test_without_jitter_a_wait_doubles_up_to_its_maximum(
    attempt: int, expected_s: float
) -> None:
    policy = Policy(attempts_max=100, backoff_s=2.0, backoff_max_s=10.0, jitter="none")
    assert retry.wait_s(attempt, policy, 0.5) == expected_s


@pytest.mark.parametrize(
    ("jitter", "lowest_s", "highest_s"),
    [("full", 0.0, 8.0), ("equal", 4.0, 8.0), ("decorrelated", 2.0, 10.0)],
    ids=["full", "equal", "decorrelated"],
)
def test_a_jitter_draws_from_its_own_range(
    jitter: str, lowest_s: float, highest_s: float
) -> None:
    policy = Policy(attempts_max=9, backoff_s=2.0, backoff_max_s=10.0, jitter=jitter)
    assert retry.wait_s(3, policy, 0.0) == lowest_s
    assert retry.wait_s(3, policy, ALMOST_ONE) == pytest.approx(highest_s)


@given(POLICIES, st.integers(1, 1000), DRAWS)
def test_no_wait_is_negative_or_above_the_maximum(
    policy: Policy, attempt: int, draw: float
) -> None:
    assert 0.0 <= retry.wait_s(attempt, policy, draw) <= policy.backoff_max_s


@given(POLICIES, st.integers(1, 1000))
def test_the_ceiling_never_falls(policy: Policy, attempt: int) -> None:
    ceiling = retry.wait_s(attempt, policy, ALMOST_ONE)
    assert retry.wait_s(attempt + 1, policy, ALMOST_ONE) >= ceiling


@given(POLICIES, st.integers(1, 100), DRAWS, st.floats(0.0, 1e12))
def test_what_the_other_side_asked_for_is_waited_up_to_an_hour(
    policy: Policy, attempt: int, draw: float, asked_s: float
) -> None:
    at_us = retry.next_try(attempt, policy, 1_000, draw, asked_s)
    if attempt >= policy.attempts_max:
        assert at_us is None
    else:
        assert at_us is not None
        assert at_us >= 1_000 + int(min(asked_s, 3_600.0) * 1_000_000)


@pytest.mark.parametrize(
    "duration", ["9999999999999h", "9" * 400 + "h"], ids=["millennia", "infinity"]
)
@pytest.mark.parametrize("jitter", JITTERS)
def test_a_time_that_a_manifest_makes_absurd_can_still_be_stored(
    duration: str, jitter: str
) -> None:
    written = {"maxAttempts": 3, "backoff": duration, "maxBackoff": duration, "jitter": jitter}
    for draw in (0.0, ALMOST_ONE):
        at_us = retry.next_try(2, retry.policy(written), 2**50, draw)
        assert at_us is not None
        assert at_us < 2**62


def test_no_policy_is_one_attempt() -> None:
    assert retry.next_try(1, retry.policy({}), 0, 0.0) is None
