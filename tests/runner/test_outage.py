"""A database that is away is tried again, later and later, and it is said once."""

import logging
from collections.abc import Iterator

import pytest

from runner.contract.telemetry import configure
from runner.outage import AGAIN_MAX_S, AGAIN_MIN_S, Outage


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Our log lines, on a standard error that is captured."""
    logger = logging.getLogger("orloj")
    configure()
    yield capsys
    logger.handlers.clear()
    logger.propagate = True


def test_pauses_grow_up_to_a_limit_and_begin_anew_afterwards() -> None:
    outage = Outage()
    for number in range(100):
        full_s = min(AGAIN_MAX_S, AGAIN_MIN_S * 2**number)
        assert full_s / 2 <= outage.failed("full") <= full_s
    outage.over()
    assert outage.failed("full") <= AGAIN_MIN_S


def test_each_outage_is_said_once_and_its_end_too(
    said: pytest.CaptureFixture[str],
) -> None:
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
    log = said.readouterr().err
    assert log.count("database_waiting") == log.count("database_back") == 2
    assert log.count("slow") == 2
    assert "full" not in log
