"""A database that goes away ends no daemon: what it could not read it looks at later."""

import contextlib
from pathlib import Path

import home

from reconciler.daemon import Daemon
from runner import decisions, evaluation_set
from runner.contract import settings


def test_a_knock_that_cannot_be_read_asks_for_every_repository(tmp_path: Path) -> None:
    found = settings.load(tmp_path, {"ORLOJ_SOURCE_URL": str(tmp_path / "nowhere")})
    opened = home.opened(tmp_path)
    daemon = Daemon(found, opened, decisions.cancel, evaluation_set.pinned)
    with opened.write() as connection:
        connection.exec_driver_sql("UPDATE state SET serial = 1")
    for file in tmp_path.glob("*.db*"):
        with file.open("r+b") as spoilt:
            spoilt.write(b"\0" * file.stat().st_size)
    assert daemon._asked() == set()
    for end in (daemon._woken, daemon._waker):
        end.close()
    with contextlib.suppress(Exception):
        opened.close()
