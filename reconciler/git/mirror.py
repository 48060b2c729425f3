"""The bare mirror: how a commit comes into it, stays in it, and what happens if it breaks.

    absent ──replace──> whole ──fetch──> whole
    whole ──a read fails──> suspect ──examined, sound──> whole
                            suspect ──examined, broken──> replaced by a new one

`refs/orloj/fetched` is the last commit that came with all it stands on: git moves it only
after it has walked there. `refs/orloj/applied/<commit>` are the pins. A mirror is never
deleted before its successor is whole, since the remote may be down at that very moment;
the last broken one is kept as `mirror.broken`.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.git import command as git_command
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.tree import BlobReader
from runner.contract import clock, errors
from runner.contract.settings import DEFAULT_SOURCE

_FETCHED: Final = "refs/orloj/fetched"
_APPLIED: Final = "refs/orloj/applied"
_LEFTOVERS: Final = ("objects/pack/tmp_*", "refs/orloj/*.lock", "*.lock")
_LEFTOVERS_WIDE: Final = ("objects/??/tmp_obj_*", "refs/orloj/applied/*.lock")
_SLACK_S: Final = 60
_SECOND_US: Final = 1_000_000


def mirror_folder(home: Path, name: str) -> Path:
    """Where the mirror of a repository is kept."""
    return home / "git" if name == DEFAULT_SOURCE else home / "mirrors" / name


class Mirror:
    """The mirror of one repository, in `folder` beside its lock."""

    def __init__(self, command: GitCommand, url: str, folder: Path, timeout_s: float) -> None:
        self._command = command
        self._url = url
        self._folder = folder
        self._path = folder / "mirror.git"
        self._grace_us = int((timeout_s + _SLACK_S) * _SECOND_US)
        self._suspect = False
        self._newest: str | None = None

    def ask(
        self, *arguments: str, given: bytes = b"", into: BlobReader | None = None
    ) -> Outcome:
        """What git answers about the mirror, whatever it is."""
        return self._command.local(*arguments, mirror=self._path, given=given, into=into)

    def read(
        self, *arguments: str, given: bytes = b"", into: BlobReader | None = None
    ) -> bytes:
        """What git prints about the mirror; SourceWaiting if it cannot say."""
        outcome = self.ask(*arguments, given=given, into=into)
        if not outcome.ok:
            raise self.unreadable(outcome)
        return outcome.output

    def unreadable(self, outcome: Outcome) -> errors.SourceWaiting:
        """The error for a mirror that could not say; the next fetch examines it."""
        self._suspect = True
        self._newest = None
        return errors.SourceWaiting(
            "MirrorUnreadable",
            f"the mirror {self._path} cannot be read ({outcome.words}): the next look examines "
            "it, and makes it anew if it is broken",
        )

    def fetch(self, commit: str, *, certain: bool = False) -> None:
        """Bring a commit with all it stands on; at once if it is there.

        `certain` says that the hash can only be a commit's.
        """
        if not self._suspect and self._has(commit):
            return
        # One at a time, over threads and processes: the second finds the work done.
        with self._alone() as waited:
            self._sweep(wide=self._suspect)
            broken = self._suspect and not self._sound()
            if broken or not (self._path / "HEAD").is_file():
                self._replace(commit)
            elif not (waited or self._suspect) or not self._holds(commit):
                self._bring(commit, certain=certain)
            self._suspect = False
            self._newest = commit

    def pin(self, commit: str) -> None:
        """Keep a commit and all it stands on for ever."""
        self.read("update-ref", "--end-of-options", f"{_APPLIED}/{commit}", commit)

    def pins_after(self, commit: str) -> list[str]:
        """The pinned commits that continue the history of this one, and itself if pinned."""
        form = ("for-each-ref", "--format=%(objectname)", f"--contains={commit}", _APPLIED)
        return self.read(*form).decode("ascii").split()

    def maintain(self, files_max: int) -> None:
        """Pack loose refs and small packs, if there are more than `files_max` of either."""
        packs = len(list(self._path.glob("objects/pack/*.pack")))
        pins = len(list(self._path.glob(f"{_APPLIED}/*")))
        if max(packs, pins) <= files_max:
            return
        with self._alone():
            self._sweep(wide=True)
            for arguments in (
                ("pack-refs", "--all"),
                ("repack", "-d", "-l", "-q", "--geometric=2"),
            ):
                outcome = self._command.remote(*arguments, mirror=self._path)
                if not outcome.ok:
                    raise self.unreadable(outcome)

    def _has(self, commit: str) -> bool:
        """Whether a fetch would bring nothing.

        After one fetch another hash is most likely a new commit, and asking git whether it is
        there already would cost a process at every push.
        """
        return self._newest in (None, commit) and self._holds(commit)

    def _holds(self, commit: str) -> bool:
        """Whether the commit came whole. That its object exists would not prove it."""
        names = f"{_FETCHED}^{{commit}}\n{_APPLIED}/{commit}^{{commit}}\n"
        answer = self.ask(
            "cat-file", "--batch-check=%(objectname)", given=names.encode("ascii")
        )
        return commit.encode("ascii") in answer.output.splitlines()

    def _bring(self, commit: str, *, certain: bool) -> None:
        """Fetch into the mirror that is there, and replace it if it is what fails."""
        outcome = self._fetch(self._path, self._url, f"+{commit}:{_FETCHED}")
        if (outcome.ok and certain) or self._holds(commit):
            return
        if outcome.ok:
            raise _no_commit(commit)
        refusal = self._command.refusal(outcome)
        known = refusal.reason != "RemoteUnreachable" or outcome.timed_out
        if known or self._sound():
            raise refusal
        self._replace(commit)

    def _replace(self, commit: str) -> None:
        """Make a new mirror, and put it in the place of the old one when it is whole."""
        new, broken = self._folder / "mirror.new", self._folder / "mirror.broken"
        _remove(new)
        form = "sha256" if len(commit) == 64 else "sha1"
        made = self._command.local(
            "init", "--quiet", "--bare", "--template=", f"--object-format={form}", str(new),
            mirror=None,
        )  # fmt: skip
        if not made.ok:
            raise self.unreadable(made)
        outcome = self._fetch(new, self._url, f"+{commit}:{_FETCHED}")
        if not outcome.ok:
            raise self._command.refusal(outcome)
        if self._path.exists():
            # Commits that were applied before a rewrite live only here. What cannot be saved
            # is still in the broken mirror, for a person to dig in.
            self._fetch(new, str(self._path), f"+{_APPLIED}/*:{_APPLIED}/*")
            _remove(broken)
            self._path.rename(broken)
        new.rename(self._path)
        if not self._holds(commit):
            raise _no_commit(commit)

    def _fetch(self, mirror: Path, url: str, refspec: str) -> Outcome:
        flags = (
            "--quiet", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head",
            "--no-recurse-submodules", "--no-write-commit-graph",
        )  # fmt: skip
        return self._command.remote("fetch", *flags, "--", url, refspec, mirror=mirror)

    def _sound(self) -> bool:
        """Whether every object is there and is what its name says."""
        flags = ("--no-dangling", "--no-progress", "--no-reflogs")
        return self._command.remote("fsck", *flags, mirror=self._path).ok

    def _sweep(self, *, wide: bool) -> None:
        """Remove what git left behind when it was killed: half packs, and locks for ever.

        Nothing younger than the longest a command may run is touched.
        """
        oldest_us = clock.now_us() - self._grace_us
        for pattern in (*_LEFTOVERS, *(_LEFTOVERS_WIDE if wide else ())):
            for file in self._path.glob(pattern):
                with contextlib.suppress(FileNotFoundError):
                    if file.stat().st_mtime_ns // 1_000 < oldest_us:
                        file.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the mirror's lock; True if somebody else held it before.

        The wait has an end, since all that holders run is timed. SourceWaiting if the disk
        does not do what it should.
        """
        with git_command.disk(self._folder), (self._folder / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                waited = False
            except BlockingIOError:
                fcntl.flock(file, fcntl.LOCK_EX)
                waited = True
            yield waited


def _no_commit(commit: str) -> errors.SourceStalled:
    return errors.SourceStalled(
        "RefInvalid", f"source.ref names {commit[:12]}, which is not a commit: name a branch"
    )


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
