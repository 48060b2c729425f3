"""Where a line of a manifest comes from, read in the mirror; nothing is fetched.

blob ──> the text of the line
range of commits, path ──> the newest of them that changed the file ──> who wrote it
"""

from typing import Final

from reconciler.git import address as git_address
from reconciler.git.commit_object import CommitObject
from reconciler.git.mirror import mirror_folder
from reconciler.git.source import GitSource
from runner.contract.settings import Settings

LINE_CHARACTERS_MAX: Final = 200


def opened(settings: Settings, name: str) -> GitSource | None:
    """The mirror of a repository, for reading; None where this host has none."""
    source, folder = settings.followed.get(name), mirror_folder(settings.home, name)
    if source is None or not (folder / "mirror.git" / "HEAD").is_file():
        return None
    return GitSource(
        *(source.url, source.ref, source.path), *(folder, source.timeout_s), more=source
    )


def line(git: GitSource, blob: str | None, number: int) -> str | None:
    """The text of a line of a blob; None when the mirror cannot say."""
    if blob is None or not git_address.is_hash(blob):
        return None
    shown = git.ask("cat-file", "blob", "--end-of-options", blob)
    lines = shown.output.decode("utf-8", "replace").splitlines() if shown.ok else []
    return lines[number - 1][:LINE_CHARACTERS_MAX] if 0 < number <= len(lines) else None


def touched(
    git: GitSource, previous: str | None, commit: str, path: str
) -> CommitObject | None:
    """The newest commit after `previous`, up to `commit`, that changed a file.

    None when the mirror cannot say. Where a merge brought it, the commit on the branch that
    was merged is the one.
    """
    if not git_address.is_hash(commit) or not git_address.is_hash(previous or commit):
        return None
    since = [f"^{previous}"] if previous and previous != commit else []
    shown = git.ask("rev-list", "-1", "--end-of-options", commit, *since, "--", path)
    sha = shown.output.decode("ascii", "replace").strip()
    return git.commit_info(sha) if shown.ok and git_address.is_hash(sha) else None
