"""The repository, read through a bare mirror of our own that never has a working tree.

    resolve (ask the remote) -> fetch (into the mirror) -> pin -> tree | changes -> blobs

A ref is resolved once; everything after that names hashes. Nothing of a commit is ever
checked out, so no symlink, submodule, filter or hook of it can act. A missing ref, an
unreachable remote, a missing folder and an empty one are errors, never "nothing desired".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import tree as git_tree
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.mirror import Mirror
from reconciler.git.tree import Changes, Listing
from runner.contract import errors

BLOB_BYTES_MAX: Final = 256 * 1024
"""A manifest is about 600 bytes; a larger blob than this is never loaded."""
BLOBS_BYTES_MAX: Final = 256 * 1024 * 1024
"""What one call of `blobs` may hold in memory at most."""
FILES_MAX: Final = 100_000
"""Files under the folder, and differences between two commits, at most."""
_BEGINNING: Final = re.compile(r"[0-9a-f]{4,64}")
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """Who committed what. `time` is the committer's, in microseconds UTC; texts are plain."""

    sha: str
    tree: str
    author: str
    committer: str
    subject: str
    time: int


class GitSource:
    """One ref and folder of one repository, with a mirror of it in `folder`.

    Nothing is checked before the first call, so that a wrong setting is reported where an
    unreachable remote is: each call raises SourceStalled or SourceWaiting.
    """

    def __init__(self, url: str, ref: str, path: str, folder: Path, timeout_s: float) -> None:
        self._url = url
        self._ref = ref
        self._path = path
        self._timeout_s = timeout_s
        self._folder = folder.absolute()

    def resolve(self) -> str:
        """The commit that the ref names at the remote now."""
        name = self._ref_name
        outcome = self._command.remote(
            "ls-remote", "--quiet", "--end-of-options", self._address.url, name, f"{name}^{{}}"
        )
        if not outcome.ok:
            raise self._command.refusal(outcome)
        lines = outcome.output.decode("utf-8", "replace").splitlines()
        named = {full: sha for sha, _, full in (line.partition("\t") for line in lines)}
        # An annotated tag is an object of its own; `^{}` is the commit behind it.
        commit = named.get(f"{name}^{{}}") or named.get(name)
        if commit is None or not git_address.is_hash(commit):
            raise errors.SourceStalled(
                "RefNotFound",
                f"{self._ref_name} does not exist in {self._shown}: push it, or set source.ref "
                "to a branch that does",
            )
        return commit

    def fetch(self, commit: str) -> None:
        """Bring a commit and all it stands on into the mirror; at once if it is there."""
        assert git_address.is_hash(commit)
        # Git lets a branch name nothing but a commit; a tag may name anything.
        self._mirror.fetch(commit, certain=self._ref_name.startswith("refs/heads/"))

    def has(self, commit: str) -> bool:
        """Whether the mirror has a commit of this hash."""
        assert git_address.is_hash(commit)
        return self._mirror.ask("cat-file", "-e", f"{commit}^{{commit}}").ok

    def named(self, commit: str) -> str:
        """The whole hash of a commit, fetched; of its beginning, if the mirror has it."""
        if git_address.is_hash(commit):
            self.fetch(commit)
            return commit
        form = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
        found = self._mirror.ask(*form) if _BEGINNING.fullmatch(commit) else None
        if found is None or not found.ok:
            raise errors.SourceStalled(
                "CommitNotFound",
                f"{git_address.plain(commit)} is the beginning of no commit that the mirror of"
                f" {self._shown} has; give the whole hash, as git log prints it",
            )
        return found.output.decode("ascii").strip()

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` continues the history of `old`; False after a force-push.

        An `old` that the mirror does not have is no ancestor: a whole fetch of `new` would
        have brought it.
        """
        assert git_address.is_hash(old)
        assert git_address.is_hash(new)
        outcome = self._mirror.ask("merge-base", "--is-ancestor", "--end-of-options", old, new)
        if outcome.status not in (0, 1) and not self.has(new):
            raise self._mirror.unreadable(outcome)
        return outcome.ok

    def pin(self, commit: str) -> None:
        """Keep a commit readable for ever, whatever its branch is rewritten to."""
        assert git_address.is_hash(commit)
        self._mirror.pin(commit)

    def commit_info(self, commit: str) -> CommitInfo:
        """Who committed what and when."""
        assert git_address.is_hash(commit)
        form = "--format=%H%x00%T%x00%an <%ae>%x00%cn <%ce>%x00%s%x00%ct"
        output = self._mirror.read(
            "rev-list", "-1", "--no-commit-header", form, "--end-of-options", commit
        )
        fields = output.decode("utf-8", "replace").rstrip("\n").split("\0")
        sha, tree, *texts, seconds = fields
        author, committer, subject = (git_address.plain(text) for text in texts)
        return CommitInfo(sha, tree, author, committer, subject, int(seconds) * _SECOND_US)

    def commit_count(self, old: str, new: str) -> int:
        """How many commits `new` has that `old` has not."""
        assert git_address.is_hash(old)
        assert git_address.is_hash(new)
        return int(
            self._mirror.read("rev-list", "--count", "--end-of-options", f"{old}..{new}")
        )

    def tree(self, commit: str) -> Listing:
        """Every manifest of a commit under the folder, and what may not be there.

        SourceStalled if the folder does not exist or holds no manifest at all.
        """
        assert git_address.is_hash(commit)
        output = self._mirror.read(
            "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit, *self._only
        )
        if self._prefix and not output:
            raise errors.SourceStalled(
                "PathNotFound",
                f"the folder {self._path!r} does not exist in commit {commit[:12]} of "
                f"{self._shown}: nothing is deleted; set source.path, or restore the folder",
            )
        self._bounded(output.count(b"\0"))
        listing = git_tree.listing(output, self._prefix)
        if not listing.files and not listing.problems:
            raise errors.SourceStalled(
                "EmptyTree",
                f"commit {commit[:12]} of {self._shown} holds no manifest (*.yaml, *.yml): "
                "refusing to treat it as 'delete everything'",
            )
        return listing

    def changes(self, old: str, new: str) -> Changes:
        """The manifests that differ between two commits, and what may not be there.

        SourceStalled, as `tree`, if nothing would be left in `new`.
        """
        assert git_address.is_hash(old)
        assert git_address.is_hash(new)
        if old == new:
            return Changes(())
        flags = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff")
        output = self._mirror.read(
            "diff-tree", *flags, "--ignore-submodules=none", "--end-of-options", old, new, "--",
            *self._only,
        )  # fmt: skip
        self._bounded(output.count(b"\0") // 2)
        changes = git_tree.changes(output, self._prefix)
        # What was added or changed proves that something is left. Where all is deletion, the
        # whole tree is looked at, or a removed folder would pass as a wish to delete all.
        if changes.changes and all(change.new_blob is None for change in changes.changes):
            self.tree(new)
        return changes

    def blobs(self, shas: Iterable[str]) -> dict[str, bytes | None]:
        """The content of each blob; None for one larger than BLOB_BYTES_MAX, never loaded."""
        wanted = list(dict.fromkeys(shas))
        assert all(git_address.is_hash(sha) for sha in wanted)
        if not wanted:
            return {}
        reader = git_tree.BlobReader(BLOB_BYTES_MAX, BLOBS_BYTES_MAX)
        given = "".join(f"{sha}\n" for sha in wanted).encode("ascii")
        self._mirror.read("cat-file", "--batch", "--buffer", given=given, into=reader)
        if reader.overflown:
            raise self._too_large(f"{BLOBS_BYTES_MAX >> 20} MiB")
        if len(reader.found) != len(wanted):
            raise self._mirror.unreadable(Outcome(1, b"", "a blob is missing"))
        return reader.found

    def ask(self, *arguments: str, given: bytes = b"") -> Outcome:
        """What git answers about the mirror, which is only read or given objects."""
        return self._mirror.ask(*arguments, given=given)

    def push(self, commit: str, expected: str, url: str | None = None) -> Outcome:
        """Move the branch from the commit expected there to a new one; never by force.

        `url` is another repository on this machine to push to, such as a person's clone.
        """
        address = self._address if url is None else git_address.parse(url)
        flags = ["--porcelain", f"--force-with-lease={self._ref_name}:{expected}"]
        if address.local is not None:
            # A branch that is checked out moves with its files, if they are not changed.
            config = "git -c receive.denyCurrentBranch=updateInstead receive-pack"
            flags.append(f"--receive-pack={config}")
        command = self._command if url is None else self._another(address)
        return command.remote(
            "push", *flags, "--", address.url, f"{commit}:{self._ref_name}",
            mirror=self._folder / "mirror.git",
        )  # fmt: skip

    def _another(self, address: git_address.Address) -> GitCommand:
        return GitCommand(address, self._folder / "another", self._timeout_s)

    def maintain(self, files_max: int = 50) -> None:
        """Pack what single fetches and pins left behind; at once if there is little.

        Each fetch leaves a pack and each pin a file, and git slows down with their number.
        """
        self._mirror.maintain(files_max)

    def _bounded(self, entries: int) -> None:
        """Refuse more entries than a plan should hold, before they become objects."""
        if entries > FILES_MAX:
            raise self._too_large(f"{FILES_MAX} files")

    def _too_large(self, limit: str) -> errors.SourceStalled:
        return errors.SourceStalled(
            "TooLarge",
            f"{self._shown} holds more than {limit}: split it over several repositories, or "
            "narrow source.path",
        )

    # The settings, checked when they are first needed.

    @cached_property
    def _address(self) -> git_address.Address:
        return git_address.parse(self._url)

    @cached_property
    def _command(self) -> GitCommand:
        return GitCommand(self._address, self._folder, self._timeout_s)

    @cached_property
    def _mirror(self) -> Mirror:
        return Mirror(self._command, self._address.url, self._folder, self._timeout_s)

    @cached_property
    def _ref_name(self) -> str:
        name = git_address.full_ref(self._ref)
        if not self._command.local("check-ref-format", name, mirror=None).ok:
            raise git_address.ref_refused(self._ref)
        return name

    @cached_property
    def _prefix(self) -> str:
        path = git_address.folder_path(self._path)
        return f"{path}/" if path else ""

    @property
    def _only(self) -> tuple[str, ...]:
        """The folder as the last argument of git, which takes no empty one."""
        return (self._prefix,) if self._prefix else ()

    @property
    def _shown(self) -> str:
        return git_address.plain(self._address.url)
