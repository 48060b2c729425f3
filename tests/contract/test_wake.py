"""A knock wakes whoever listens; one that nobody hears, or too many of them, harms nobody."""

import select
from pathlib import Path

import pytest

from runner.contract import wake


def readable(receiver) -> bool:
    return bool(select.select([receiver], [], [], 0)[0])


def test_a_knock_makes_the_listener_readable_until_it_is_drained(tmp_path: Path) -> None:
    with wake.listen(tmp_path, wake.RUNNER) as receiver:
        assert not readable(receiver)
        assert wake.knock(tmp_path, wake.RUNNER)
        assert readable(receiver)
        wake.drain(receiver)
        assert not readable(receiver)


def test_a_knock_that_nobody_hears_says_so(tmp_path: Path) -> None:
    assert not wake.knock(tmp_path, wake.RUNNER)
    wake.listen(tmp_path, wake.RUNNER).close()
    assert not wake.knock(tmp_path, wake.RUNNER)


def test_a_home_with_a_long_path_is_woken_too(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "run"
    with wake.listen(folder, wake.DAEMON) as receiver:
        assert wake.knock(folder, wake.DAEMON)
        assert readable(receiver)
    assert (folder / wake.DAEMON).is_socket()


def test_more_knocks_than_the_queue_holds_do_not_block(tmp_path: Path) -> None:
    with wake.listen(tmp_path, wake.DAEMON) as receiver:
        assert all(wake.knock(tmp_path, wake.DAEMON) for _ in range(2_000))
        wake.drain(receiver)
        assert not readable(receiver)


def test_a_listener_takes_over_from_one_that_died(tmp_path: Path) -> None:
    with wake.listen(tmp_path, wake.RUNNER), wake.listen(tmp_path, wake.RUNNER) as second:
        wake.knock(tmp_path, wake.RUNNER)
        assert readable(second)


@pytest.mark.parametrize("name", [wake.RUNNER, wake.DAEMON], ids=["runner", "daemon"])
def test_only_the_owner_enters_the_folder(tmp_path: Path, name: str) -> None:
    wake.listen(tmp_path / "run", name).close()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
