"""A push to a repository on this machine is noticed by itself, and reading it is not.

No test waits for a time to pass: it waits for the wake-up, with a limit that only a failure
reaches. That something does *not* wake is shown by a marker that wakes after it.
"""

import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import Repository, git

from reconciler.git.source import GitSource
from reconciler.git.watch import RefWatch, watchable

LIMIT_S = 10.0


class Wakes:
    """Counts wake-ups, and waits for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._event = threading.Event()

    def wake(self) -> None:
        self.count += 1
        self._event.set()

    def wait(self) -> bool:
        seen = self._event.wait(LIMIT_S)
        self._event.clear()
        return seen


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
def watched(repository: Repository, wakes: Wakes) -> Iterator[RefWatch]:
    repository.manifest("one")
    watch = RefWatch(repository.origin, wakes.wake)
    assert watch.start()
    yield watch
    watch.stop()


@pytest.mark.usefixtures("watched")
def test_each_push_wakes_once(repository: Repository, wakes: Wakes) -> None:
    for number in range(5):
        repository.manifest(f"m{number}")
        assert wakes.wait()

    assert wakes.count == 5


@pytest.mark.usefixtures("watched")
def test_a_push_is_noticed_before_it_returns(repository: Repository, wakes: Wakes) -> None:
    hook = repository.origin / "hooks" / "post-update"
    gate = repository.origin / "gate"
    hook.parent.mkdir(exist_ok=True)
    # The push cannot return before the test opens the gate, which it does once it is awake.
    hook.write_text(f"#!/bin/sh\nread line < {gate}\n")
    hook.chmod(0o755)
    os.mkfifo(gate)
    pushing = threading.Thread(target=repository.manifest, args=("two",))
    pushing.start()

    woken = wakes.wait()
    still_pushing = pushing.is_alive()
    gate.write_text("go\n")
    pushing.join()

    assert woken
    assert still_pushing


@pytest.mark.usefixtures("watched")
def test_looking_at_the_repository_does_not_wake(
    repository: Repository, wakes: Wakes, tmp_path: Path
) -> None:
    source = GitSource(repository.url, "main", "", tmp_path / "source", 10.0)
    for _ in range(3):
        source.fetch(source.resolve())
        git("for-each-ref", folder=repository.origin)

    repository.manifest("marker")
    assert wakes.wait()
    assert wakes.count == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("update-ref", "refs/heads/team/new/branch", "HEAD"),
        ("update-ref", "-d", "refs/heads/main"),
        ("pack-refs", "--all", "--prune"),
        ("symbolic-ref", "HEAD", "refs/heads/other"),
        ("tag", "v1"),
    ],
    ids=["branch in a new folder", "branch deleted", "refs packed", "HEAD moved", "tag"],
)
@pytest.mark.usefixtures("watched")
def test_whatever_moves_a_ref_wakes(
    arguments: tuple[str, ...], repository: Repository, wakes: Wakes
) -> None:
    git(*arguments, folder=repository.origin)

    assert wakes.wait()


@pytest.mark.usefixtures("watched")
def test_a_ref_that_is_only_in_the_packed_file_wakes_when_it_is_deleted(
    repository: Repository, wakes: Wakes
) -> None:
    git("pack-refs", "--all", "--prune", folder=repository.origin)
    assert wakes.wait()
    git("update-ref", "-d", "refs/heads/main", folder=repository.origin)

    assert wakes.wait()


def test_a_repository_behind_a_symbolic_link_is_watched(
    repository: Repository, wakes: Wakes, tmp_path: Path
) -> None:
    repository.manifest("one")
    git("pack-refs", "--all", "--prune", folder=repository.origin)
    (tmp_path / "link.git").symlink_to(repository.origin)
    watch = RefWatch(tmp_path / "link.git", wakes.wake)
    assert watch.start()

    git("update-ref", "-d", "refs/heads/main", folder=repository.origin)

    assert wakes.wait()
    watch.stop()


def test_the_folder_of_a_working_tree_is_watched_too(
    repository: Repository, wakes: Wakes
) -> None:
    repository.manifest("one")
    watch = RefWatch(repository.work, wakes.wake)
    assert watch.start()

    repository.commit("Commit in place")

    assert wakes.wait()
    watch.stop()


def test_a_repository_that_comes_later_is_watched_by_the_next_start(
    tmp_path: Path, wakes: Wakes
) -> None:
    watch = RefWatch(tmp_path / "origin.git", wakes.wake)
    assert not watch.start()

    repository = Repository(tmp_path)
    assert watch.start()
    repository.manifest("one")

    assert wakes.wait()
    watch.stop()


def test_a_repository_that_is_replaced_is_watched_by_the_next_start(
    repository: Repository, watched: RefWatch, wakes: Wakes, tmp_path: Path
) -> None:
    shutil.copytree(repository.origin, tmp_path / "copy.git")
    repository.origin.rename(tmp_path / "away.git")
    (tmp_path / "copy.git").rename(repository.origin)
    assert watched.start()
    wakes.count = 0

    repository.manifest("two")

    assert wakes.wait()


def test_start_and_stop_may_be_called_twice_and_leave_no_thread(
    repository: Repository, wakes: Wakes
) -> None:
    before = set(threading.enumerate())
    watch = RefWatch(repository.origin, wakes.wake)
    assert watch.start()
    assert watch.start()
    watch.stop()
    watch.stop()

    assert set(threading.enumerate()) == before


def test_a_repository_that_is_deleted_and_made_again_is_watched_by_the_next_start(
    repository: Repository, watched: RefWatch, wakes: Wakes, tmp_path: Path
) -> None:
    shutil.rmtree(repository.origin)
    assert not watched.start()
    git("clone", "-q", "--bare", str(repository.work), str(repository.origin), folder=tmp_path)
    assert watched.start()
    wakes.count = 0

    repository.manifest("two")

    assert wakes.wait()


@pytest.mark.usefixtures("watched")
def test_branches_in_folders_made_inside_each_other_wake_each_time(
    repository: Repository, wakes: Wakes
) -> None:
    for number in range(20):
        git("update-ref", f"refs/heads/a{number}/b/c/d", "HEAD", folder=repository.origin)
        assert wakes.wait()


def test_a_host_without_a_watch_left_says_so_once_and_goes_on(
    repository: Repository, wakes: Wakes, caplog: pytest.LogCaptureFixture
) -> None:
    watch = RefWatch(repository.origin, wakes.wake)
    before = set(threading.enumerate())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # inotify needs a file descriptor, and every one below this limit is taken.
    opened = os.open("/dev/null", os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened, limits[1]))
    try:
        assert not watch.start()
        assert not watch.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(opened)

    said = [line[0] for record in caplog.records for line in record.lines]
    assert said == ["watch_unavailable"]
    assert set(threading.enumerate()) == before
    assert watch.start()
    watch.stop()


ONE_WATCH_ONLY = """
import sys, threading
from pathlib import Path
from reconciler.git.watch import RefWatch
Path("/proc/sys/user/max_inotify_watches").write_text("1")
print(RefWatch(Path(sys.argv[1]), print).start(), threading.active_count())
"""


def namespaces_allowed() -> bool:
    """Whether this host lets a test have limits of its own."""
    asked = subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False)
    return asked.returncode == 0


@pytest.mark.skipif(not namespaces_allowed(), reason="the host allows no user namespaces")
def test_a_watch_that_only_half_succeeds_leaves_no_thread(repository: Repository) -> None:
    answer = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", ONE_WATCH_ONLY, str(repository.origin)],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=LIMIT_S,
    )

    assert answer.stdout.split() == ["False", "1"]


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/srv/git/x.git", "/srv/git/x.git"),
        ("file:///srv/git/x%20y.git", "/srv/git/x y.git"),
        ("https://host/x.git", None),
        ("ssh://git@host/x.git", None),
        ("relative", None),
        ("", None),
    ],
)
def test_only_a_repository_on_this_machine_can_be_watched(url: str, folder: str | None) -> None:
    assert watchable(url) == (Path(folder) if folder else None)
