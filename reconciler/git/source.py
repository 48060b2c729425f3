"""The repository, read through a bare mirror of our own that never has a working tree.

    resolve (ask the remote) -> fetch (into the mirror) -> pin -> tree | changes -> blobs

A ref is resolved once; everything after that names hashes. Nothing of a commit is ever
checked out, so no symlink, submodule, filter or hook of it can act. A missing ref, an
unreachable remote, a missing folder and an empty one are errors, never "nothing desired".
"""

import re
from collections.abc import Iterable
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import history as git_history
from reconciler.git import tree as git_tree
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.commit_object import CommitObject
from reconciler.git.history import History
from reconciler.git.opened import Opened
from reconciler.git.pointer import Found
from reconciler.git.tree import Changes, Listing
from runner.contract import errors

BLOB_BYTES_MAX: Final = 256 * 1024
"""A manifest is about 600 bytes; a larger blob than this is never loaded."""
BLOBS_BYTES_MAX: Final = 256 * 1024 * 1024
"""What one call of `blobs` may hold in memory at most."""
FILES_MAX: Final = 100_000
"""Files under the folder, and differences between two commits, at most."""
RENAMED_PERCENT_MIN: Final = 75
"""Small manifests are two thirds alike for being manifests: git's own 50 is a guess."""
_BEGINNING: Final = re.compile(r"[0-9a-f]{4,64}")


class GitSource(Opened):
    """One ref and folder of one repository, with a mirror of it in `folder`.

    `more` holds what else the settings say: another pointer than a ref, credentials, ignored
    paths. Nothing is checked before the first call, so that a wrong setting is reported where
    an unreachable remote is: each call raises SourceStalled or SourceWaiting.
    """

    def find(self) -> Found:
        """The commit that is followed at the remote now, and the tag that a range led to."""
        return self._pointer.find()

    def resolve(self) -> str:
        """The commit that is followed at the remote now."""
        return self.find().commit

    def fetch(self, commit: str) -> None:
        """Bring a commit and all it stands on into the mirror; at once if it is there."""
        assert git_address.is_hash(commit)
        try:
            self._mirror.fetch(commit, certain=self._pointer.certain)
        except errors.SourceError as error:
            raise self._pointer.refusal(commit, error) from error

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

    def pins_after(self, commit: str) -> list[str]:
        """The commits kept by `pin` that continue the history of this one."""
        assert git_address.is_hash(commit)
        return [pin for pin in self._mirror.pins_after(commit) if pin != commit]

    def commit_info(self, commit: str) -> CommitObject:
        """Who committed what and when."""
        return self.history(commit, commit).newest

    def history(self, old: str | None, new: str, *, whole: bool = False) -> History:
        """What `new` brings that `old` has not; without one itself, or its `whole` history."""
        assert old is None or git_address.is_hash(old)
        assert git_address.is_hash(new)
        return git_history.read(self._mirror, old, new, whole=whole)

    def file(self, commit: str, path: str) -> bytes | None:
        """The content of a file in a commit; None if there is none, or it is too large."""
        assert git_address.is_hash(commit)
        reader = git_tree.BlobReader(BLOB_BYTES_MAX, BLOB_BYTES_MAX)
        named = f"{commit}:{git_address.folder_path(path)}\n".encode()
        self._mirror.read("cat-file", "--batch", "--buffer", given=named, into=reader)
        return next(iter(reader.found.values()), None)

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
        listing = git_tree.listing(output, self._prefix, self._ignore.hides)
        if not listing.files and not listing.problems:
            if listing.ignored:
                raise self._all_ignored(commit, len(listing.ignored))
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
        changes = git_tree.changes(output, self._prefix, self._ignore.hides)
        # What was added or changed proves that something is left. Where all is deletion, the
        # whole tree is looked at, or a removed folder would pass as a wish to delete all.
        if changes.changes and all(change.new_blob is None for change in changes.changes):
            self.tree(new)
        return changes

    def renames(self, old: str, new: str) -> dict[str, tuple[str, int]]:
        """The manifests that have another path in `new`, with the former and the likeness.

        Nothing when the mirror does not have `old`, which a rewritten history leaves behind.
        """
        assert git_address.is_hash(old)
        assert git_address.is_hash(new)
        flags = ("-r", "-z", f"-M{RENAMED_PERCENT_MIN}%", "--diff-filter=R", "--name-status")
        outcome = self._mirror.ask(
            "diff-tree", *flags, "--no-ext-diff", "--end-of-options", old, new, "--",
            *self._only,
        )  # fmt: skip
        return git_tree.renames(outcome.output, self._prefix) if outcome.ok else {}

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
        flags = ["--porcelain", f"--force-with-lease={self._pointer.ref_name}:{expected}"]
        if address.local is not None:
            # A branch that is checked out moves with its files, if they are not changed.
            config = "git -c receive.denyCurrentBranch=updateInstead receive-pack"
            flags.append(f"--receive-pack={config}")
        command = self._command if url is None else self._another(address)
        return command.remote(
            "push", *flags, "--", address.url, f"{commit}:{self._pointer.ref_name}",
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

    def _all_ignored(self, commit: str, count: int) -> errors.SourceStalled:
        return errors.SourceStalled(
            "EmptyTree",
            f"source.ignore hides all manifests ({count}) of commit {commit[:12]} of"
            f" {self._shown}: refusing to treat it as 'delete everything'",
        )

    def _too_large(self, limit: str) -> errors.SourceStalled:
        return errors.SourceStalled(
            "TooLarge",
            f"{self._shown} holds more than {limit}: split it over several repositories, or "
            "narrow source.path",
        )
