"""Where a line of a manifest comes from, read in the mirror; nothing is fetched.

blob ──> the text of the line
range of commits, path ──> the newest of them that changed the file ──> who wrote it
"""

from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git.source import CommitInfo, GitSource
from runner.contract.settings import DEFAULT_SOURCE, Settings

LINE_CHARACTERS_MAX: Final = 200
_FORM: Final = "--format=%H%x00%T%x00%an <%ae>%x00%cn <%ce>%x00%s%x00%ct"
_SECOND_US: Final = 1_000_000


def mirror_folder(settings: Settings, name: str) -> Path:
    """Where the mirror of a repository is kept."""
    return settings.home / "git" if name == DEFAULT_SOURCE else settings.home / "git.of" / name


def opened(settings: Settings, name: str) -> GitSource | None:
    """The mirror of a repository, for reading; None where this host has none."""
    source, folder = settings.followed.get(name), mirror_folder(settings, name)
    if source is None or not (folder / "mirror.git" / "HEAD").is_file():
        return None
    return GitSource(source.url, source.ref, source.path, folder, source.timeout_s)


def line(git: GitSource, blob: str | None, number: int) -> str | None:
    """The text of a line of a blob; None when the mirror cannot say."""
    if blob is None or not git_address.is_hash(blob):
        return None
    shown = git.ask("cat-file", "blob", "--end-of-options", blob)
    lines = shown.output.decode("utf-8", "replace").splitlines() if shown.ok else []
    return lines[number - 1][:LINE_CHARACTERS_MAX] if 0 < number <= len(lines) else None


def touched(git: GitSource, previous: str | None, commit: str, path: str) -> CommitInfo | None:
    """The newest commit after `previous`, up to `commit`, that changed a file.

    None when the mirror cannot say. Where a merge brought it, the commit on the branch that
    was merged is the one.
    """
    if not git_address.is_hash(commit) or not git_address.is_hash(previous or commit):
        return None
    since = [f"^{previous}"] if previous and previous != commit else []
    shown = git.ask(
        "rev-list", "-1", "--no-commit-header", _FORM, "--end-of-options", commit, *since,
        "--", path,
    )  # fmt: skip
    fields = shown.output.decode("utf-8", "replace").rstrip("\n").split("\0")
    if not shown.ok or len(fields) != 6:
        return None
    sha, tree, *texts, seconds = fields
    author, committer, subject = (git_address.plain(text) for text in texts)
    return CommitInfo(sha, tree, author, committer, subject, int(seconds) * _SECOND_US)
