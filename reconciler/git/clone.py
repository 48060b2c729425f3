"""Somebody's own clone, asked for names and for where two histories parted. Reads only.

Nothing is fetched and no working tree is looked at: what is not committed is not there.
"""

from pathlib import Path

from reconciler.git import address as git_address
from reconciler.git.command import GitCommand
from runner.contract import errors

ANCESTORS_MAX = 20


class Clone:
    """A repository on this machine; `folder` is for what the git wrapper keeps."""

    def __init__(self, path: Path, folder: Path, timeout_s: float) -> None:
        self.path = path.resolve()
        inner = self.path / ".git"
        self._git_dir = inner if inner.exists() else self.path
        self._command = GitCommand(git_address.parse(str(self.path)), folder, timeout_s)
        if self._read("rev-parse", "--git-dir") is None:
            raise errors.SourceStalled(
                "UrlInvalid", f"{path} is no Git repository: name one with --repository"
            )

    def commit(self, name: str) -> str:
        """The commit that a name means in this clone; SourceStalled."""
        form = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        found = self._read(*form)
        if found is None:
            raise errors.SourceStalled(
                "RefNotFound",
                f"{git_address.plain(name)} names no commit in {self.path}: fetch it first, as"
                " in git fetch origin main, and name origin/main",
            )
        return found

    def parted(self, one: str, other: str) -> str:
        """The newest commit that both have; SourceStalled where there is none."""
        found = self._read("merge-base", "--end-of-options", one, other)
        if found is None:
            shallow = self._read("rev-parse", "--is-shallow-repository") == "true"
            why = "it is a shallow clone: fetch all of it (fetch-depth: 0)" if shallow else (
                "they share no history"
            )  # fmt: skip
            raise errors.SourceStalled(
                "RefNotFound",
                f"{one[:8]} and {other[:8]} have no commit in common in {self.path}: {why}",
            )
        return found.splitlines()[0]

    def count(self, old: str, new: str) -> int:
        """How many commits `new` has that `old` has not."""
        found = self._read("rev-list", "--count", "--end-of-options", f"{old}..{new}")
        return int(found or 0)

    def first_parents(self, commit: str) -> list[str]:
        """A commit and those before it along its own branch, newest first."""
        limit = f"--max-count={ANCESTORS_MAX}"
        found = self._read("rev-list", "--first-parent", limit, "--end-of-options", commit)
        return (found or "").split()

    def _read(self, *arguments: str) -> str | None:
        outcome = self._command.local(*arguments, mirror=self._git_dir)
        return outcome.output.decode("utf-8", "replace").strip() if outcome.ok else None
