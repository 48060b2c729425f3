"""A worker that says nothing for a whole lease is ended, unless nobody listened."""

import subprocess
from collections.abc import Iterator

import pytest

from runner.contract import clock
from runner.crew import INBOX_MAX, Worker
from runner.silence import START_US, Silence

LEASE_US = 1_000_000
STEP_US = LEASE_US // 4


class Time:
    """The boot clock, as far as the test has moved it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_us = clock.boot_us()
        monkeypatch.setattr(clock, "boot_us", lambda: self.now_us)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"]) as made:
        yield made
        made.kill()


def worker(time: Time, process: subprocess.Popen[bytes], *, ready: bool = True) -> Worker:
    made = Worker("w", process.pid, 1, None, 0, time.now_us)  # type: ignore[arg-type]
    made.ready = ready
    return made


def looks(silence: Silence, time: Time, one: Worker, times: int) -> list[Worker]:
    """Who was ended by the last of so many looks, one every quarter of a lease."""
    ended: list[Worker] = []
    for _ in range(times):
        assert not ended
        time.now_us += STEP_US
        ended = silence.end([one])
    return ended


def test_a_worker_is_ended_after_a_silent_lease_and_not_before(
    time: Time, process: subprocess.Popen[bytes]
) -> None:
    silence, one = Silence(LEASE_US), worker(time, process)
    assert looks(silence, time, one, 3) == []
    one.heard_us = time.now_us
    assert looks(silence, time, one, 4) == [one]
    assert process.wait(timeout=10) == -9


def test_whoever_slept_itself_ends_nobody_for_that(
    time: Time, process: subprocess.Popen[bytes]
) -> None:
    silence, one = Silence(LEASE_US), worker(time, process)
    time.now_us += 10 * LEASE_US
    assert silence.end([one]) == []
    assert looks(silence, time, one, 4) == [one], "it never spoke after that"


def test_who_is_not_listened_to_is_not_silent(
    time: Time, process: subprocess.Popen[bytes]
) -> None:
    silence, one = Silence(LEASE_US), worker(time, process)
    one.unwritten = INBOX_MAX
    assert looks(silence, time, one, 20) == []


def test_a_worker_that_starts_has_longer(time: Time, process: subprocess.Popen[bytes]) -> None:
    silence, one = Silence(LEASE_US), worker(time, process, ready=False)
    assert looks(silence, time, one, START_US // STEP_US - 1) == []
    assert looks(silence, time, one, 1) == [one]
