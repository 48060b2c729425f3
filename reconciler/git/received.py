"""The repository that a push goes into, read while the push waits for our answer.

    git receive-pack: objects ──> quarantine (a folder in objects/) ──hook says yes──> objects/
                                       └── read here, over the objects that are there already

The pushed commit is in no mirror yet, so it is read where it is. The environment of git is
built from nothing here too: of what git tells a hook, only the folder of the quarantine is
believed, and only if it lies where git puts it. Nothing is fetched, written or checked out.
"""

from functools import cached_property
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.mirror import Mirror
from reconciler.git.source import GitSource
from runner.contract import errors
from runner.contract.source_settings import Source

_QUARANTINE: Final = ("tmp_objdir-incoming-", "incoming-")
"""How git names the folder, today and before 2.35."""


class ReceivedSource(GitSource):
    """A source whose commits are read from the repository that is being pushed to.

    `quarantine` is what git says in GIT_QUARANTINE_PATH; empty when a push brings no objects.
    Every call raises SourceError, as those of GitSource.
    """

    def __init__(self, source: Source, repository: Path, quarantine: str, folder: Path) -> None:
        super().__init__(
            *(source.url, source.ref, source.path), *(folder, source.timeout_s), more=source
        )
        self._repository = repository
        self._quarantine = quarantine

    def commit(self, pushed: str) -> str:
        """The commit that a pushed object is, or that a pushed tag stands for."""
        assert git_address.is_hash(pushed)
        form = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{pushed}^{{commit}}")
        found = self._mirror.ask(*form)
        commit = found.output.decode("ascii", "replace").strip()
        if not found.ok or not git_address.is_hash(commit):
            raise errors.SourceStalled(
                "RefInvalid", f"{pushed[:12]} is not a commit, and stands for none: push one"
            )
        return commit

    def fetch(self, commit: str) -> None:
        """Nothing to bring: what was pushed is here, or is nowhere."""
        assert git_address.is_hash(commit)

    @cached_property
    def _command(self) -> GitCommand:
        address = git_address.Address(url=str(self._repository), local=self._repository)
        return GitCommand(address, self._folder, self._timeout_s, more=_objects(*self._folders))

    @cached_property
    def _mirror(self) -> Mirror:
        return _Repository(self._command, self._repository, self._folder, self._timeout_s)

    @property
    def _folders(self) -> tuple[Path, Path | None]:
        """Where the repository's objects are, and those that wait."""
        objects = self._repository / "objects"
        if not self._quarantine:
            return objects, None
        folder = Path(self._quarantine).resolve()
        named = folder.name.startswith(_QUARANTINE)
        if not named or folder.parent != objects.resolve() or not folder.is_dir():
            raise errors.SourceStalled(
                "QuarantineUnknown",
                f"{git_address.plain(self._quarantine)!r} is no folder of pushed objects in"
                f" {objects}: let git call the hook",
            )
        return objects, folder


class _Repository(Mirror):
    """The repository in the place of the mirror, for those who only read."""

    def __init__(self, command: GitCommand, path: Path, folder: Path, timeout_s: float) -> None:
        super().__init__(command, str(path), folder, timeout_s)
        self._path = path

    def unreadable(self, outcome: Outcome) -> errors.SourceWaiting:
        """The error for a repository that could not say."""
        return errors.SourceWaiting(
            "RepositoryUnreadable",
            f"{self._path} cannot be read ({outcome.words}): push again, and look at it with"
            " git fsck if that does not help",
        )


def _objects(objects: Path, waiting: Path | None) -> tuple[str, ...]:
    """The variables that make git read what waits, over what is there."""
    if waiting is None:
        return ()
    text = str(objects)
    if not text.isprintable():
        raise errors.SourceStalled(
            "PathInvalid", "the path of the repository holds control characters: move it"
        )
    # Quoted, since a colon would end it.
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return (
        f"GIT_OBJECT_DIRECTORY={waiting}",
        f"GIT_ALTERNATE_OBJECT_DIRECTORIES={quoted}",
    )
