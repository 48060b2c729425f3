"""Who had a hand in a line of a commit, by git blame in the mirror. It fetches nothing.

    line at a commit ──blame──> the commit that last changed it ──> author, committer,
                                                                    co-authors

Blame is asked twice, the second time without minding white space: who re-indents a line
does not hide who wrote it. What cannot be found out is an error, never an empty answer.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import credentials
from reconciler.git.command import GitCommand
from reconciler.git.mirror import Mirror, mirror_folder
from runner.contract import errors
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

LINE_MAX: Final = 10_000_000
_TRAILER: Final = re.compile(
    r"^co-authored-by:[^<\n]*<([^>\n]+)>", re.IGNORECASE | re.MULTILINE
)
_MESSAGE_BYTES_MAX: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Hand:
    """Somebody who had a hand in a line. `role` is author, committer or co-author."""

    role: str
    email: str
    commit: str


class Authorship:
    """Asks the mirrors that the daemon of this home keeps: whichever has the commit."""

    def __init__(self, settings: Settings) -> None:
        self._mirrors = [
            _mirror(source, folder)
            for name, source in settings.followed.items()
            if (folder := mirror_folder(settings.home, name))
            .joinpath("mirror.git", "HEAD")
            .is_file()
        ]
        if not self._mirrors:
            raise errors.Refused(
                "this home has no mirror of the repository, so who wrote the rule cannot be"
                " found out: run this where the daemon runs (four eyes)"
            )

    def of_line(self, commit: str, at: str) -> list[Hand]:
        """Who had a hand in `path:line` of a commit; Refused when that cannot be told."""
        path, _, number = at.rpartition(":")
        if not git_address.is_hash(commit) or not number.isascii() or not number.isdigit():
            raise _unknown(at, "it has no commit or no line")
        if not path or not 0 < int(number) <= LINE_MAX:
            raise _unknown(at, "it has no line")
        commits = {self._blamed(commit, path, int(number), at, *more) for more in ((), ("-w",))}
        return [hand for found in sorted(commits) for hand in self._hands(found, at)]

    def text(self, commit: str, at: str) -> str | None:
        """The line itself; None when it cannot be read."""
        path, _, number = at.rpartition(":")
        if not git_address.is_hash(commit) or not number.isdigit():
            return None
        spec = f"{commit}:{path}"
        shown = self._with(commit).ask("cat-file", "blob", "--end-of-options", spec)
        lines = shown.output.decode("utf-8", "replace").splitlines() if shown.ok else []
        line = int(number)
        return lines[line - 1] if 0 < line <= len(lines) else None

    def _with(self, commit: str) -> Mirror:
        """The mirror that has a commit; the first where none has, and says so when asked."""
        if len(self._mirrors) == 1:
            return self._mirrors[0]
        has = ("cat-file", "-e", f"{commit}^{{commit}}")
        return next((one for one in self._mirrors if one.ask(*has).ok), self._mirrors[0])

    def _blamed(self, commit: str, path: str, line: int, at: str, *more: str) -> str:
        """The commit that last changed a line."""
        found = self._with(commit).ask(
            "blame", "--porcelain", "-s", *more, "-L", f"{line},{line}", commit, "--",
            path,
        )  # fmt: skip
        sha = found.output[:64].decode("ascii", "replace").split(" ", 1)[0]
        if not found.ok or not git_address.is_hash(sha):
            raise _unknown(at, f"commit {commit[:12]} cannot be read in the mirror")
        return sha

    def _hands(self, commit: str, at: str) -> list[Hand]:
        shown = self._with(commit).ask(
            "rev-list", "-1", "--no-commit-header", "--format=%ae%x00%ce%x00%B",
            "--end-of-options", commit,
        )  # fmt: skip
        fields = shown.output[:_MESSAGE_BYTES_MAX].decode("utf-8", "replace").split("\0", 2)
        if not shown.ok or len(fields) != 3 or len(shown.output) > _MESSAGE_BYTES_MAX:
            raise _unknown(at, f"commit {commit[:12]} cannot be read in the mirror")
        author, committer, message = fields
        return [
            Hand("author", author, commit),
            Hand("committer", committer, commit),
            *(Hand("co-author", email, commit) for email in _TRAILER.findall(message)),
        ]


def _mirror(source: Source, folder: Path) -> Mirror:
    address = git_address.parse(source.url)
    # With the credentials, though only the mirror is read: without them the command would
    # clear away the daemon's token.
    command = GitCommand(
        address, folder.absolute(), source.timeout_s, credentials=credentials.of(source)
    )
    return Mirror(command, address.url, folder.absolute(), source.timeout_s)


def _unknown(at: str, why: str) -> errors.Refused:
    return errors.Refused(
        f"who wrote {at} cannot be found out, since {why}: nothing is approved unseen (four"
        " eyes). Run this where the daemon runs, or cancel the task and queue it again"
    )
