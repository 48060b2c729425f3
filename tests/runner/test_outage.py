"""A database that is away is tried again, later and later, and it is said once."""

import logging
from typing import Any

import pytest

from runner.outage import AGAIN_MAX_S, AGAIN_MIN_S, Outage


def test_pauses_grow_up_to_a_limit_and_begin_anew_afterwards() -> None:
    outage = Outage()
    for number in range(100):
        full_s = min(AGAIN_MAX_S, AGAIN_MIN_S * 2**number)
        assert full_s / 2 <= outage.failed("full") <= full_s
    outage.over()
    assert outage.failed("full") <= AGAIN_MIN_S


def test_each_outage_is_said_once_and_its_end_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "orloj")
    outage = Outage()
    for _ in range(2):
        outage.over()
        outage.began("slow")
        for _ in range(3):
            assert outage.lasts
            outage.failed("full")
        outage.over()
        outage.over()
        assert not outage.lasts
    said: list[Any] = [line for record in caplog.records for line in record.lines]
    assert [line[0] for line in said] == ["database_waiting", "database_back"] * 2
    assert [line[2].get("reason") for line in said] == ["slow", None] * 2
