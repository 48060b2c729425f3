"""Notices a push to a repository on this machine while the push is still going on.

    absent ──start──> absent (the poll goes on) ──start──> watching ──folder gone──> absent

An event says "look again" and nothing else, so one too many costs a look and a lost one
costs a poll. Git replaces a ref by renaming a lock over it: that is the one event of a push
that is let through. Reading refs makes none; if it did, each look would cause the next.
"""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from reconciler.git import address as git_address
from runner.contract import telemetry

_ROOT_FILES: Final = frozenset({"packed-refs", "HEAD"})
_EVENTS: Final[tuple[type[FileSystemEvent], ...]] = (
    FileMovedEvent,
    FileDeletedEvent,
    # The first branch of a new folder may be there before the folder is watched.
    FileCreatedEvent,
    DirCreatedEvent,
)


def watchable(url: str) -> Path | None:
    """The folder of the repository that a URL names; None if it is on another machine."""
    return git_address.local_path(url)


class RefWatch:
    """Calls `wake`, from a thread of its own, when a ref of the repository may have moved."""

    def __init__(self, repository: Path, wake: Callable[[], None]) -> None:
        self._repository = repository
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._watched: tuple[int, int] | None = None
        self._reported = False

    def start(self) -> bool:
        """Whether the repository is being watched now.

        Called again, for instance with each poll, it does nothing while all is well, and
        watches the repository that has come, or has come in the place of another.
        """
        folder = _git_folder(self._repository)
        identity = _identity(folder / "refs") if folder else None
        if identity == self._watched and self._alive():
            return True
        self.stop()
        if folder is None or identity is None:
            return False
        try:
            self._observer = _observe(folder, self._wake)
        except OSError as error:
            self._report(error)
            return False
        self._watched = identity
        return True

    def stop(self) -> None:
        """Stop watching; may be called twice."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._observer = None
        self._watched = None

    def _alive(self) -> bool:
        """Whether every part still runs: one stops when its folder is deleted."""
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        return all(emitter.is_alive() for emitter in observer.emitters)

    def _report(self, error: OSError) -> None:
        """Say once that only the poll is left: usually the host ran out of inotify watches."""
        if not self._reported:
            telemetry.log(
                "watch_unavailable",
                "The repository cannot be watched, so pushes are noticed by the poll only; "
                "raise fs.inotify.max_user_watches or max_user_instances.",
                level=logging.WARNING,
                error=error.strerror or "unknown",
            )
        self._reported = True


class _Refs(FileSystemEventHandler):
    """Lets through what can move a ref, and wakes."""

    def __init__(self, root: Path, wake: Callable[[], None]) -> None:
        self._root = root
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake unless it is only a lock that came or went, or another file of the root."""
        path = Path(_text(event.dest_path or event.src_path))
        if path.suffix == ".lock":
            return
        if path.parent == self._root and path.name not in _ROOT_FILES:
            return
        self._wake()


def _observe(folder: Path, wake: Callable[[], None]) -> BaseObserver:
    """A running observer of the refs; OSError if the host has no watch left."""
    # watchdog 7.1 warns about its own race when folders are made inside each other, and where
    # warnings are errors the thread that reads the events would die of it.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")
    observer = Observer()
    handler = _Refs(folder, wake)
    try:
        observer.schedule(handler, str(folder), event_filter=list(_EVENTS))
        for name in ("refs", "reftable"):
            if (folder / name).is_dir():
                path = str((folder / name).resolve())
                observer.schedule(handler, path, recursive=True, event_filter=list(_EVENTS))
        observer.start()
    except OSError:
        # The observer has threads before it is started, and would leave them behind.
        observer.on_thread_stop()
        raise
    return observer


def _git_folder(repository: Path) -> Path | None:
    """The folder with the refs, found where git looks for it; None if there is none."""
    for folder in (
        repository / ".git",
        repository,
        repository.with_name(f"{repository.name}.git"),
    ):
        if (folder / "HEAD").is_file() and (folder / "refs").is_dir():
            # inotify would watch a symbolic link itself, which never changes.
            return folder.resolve()
    return None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode("utf-8", "replace")
