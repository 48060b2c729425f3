"""Checkpoints at a Git remote: where they stand, and all that were ever published there.

    refs/audit/<log>/<year>    each commit has the files `checkpoint` and `keys/…`

Everything is fetched into a bare mirror and read there; nothing of it is trusted here. A
remote that has nothing of a log answers with nothing, one that cannot be asked is an error.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import command as git_command
from reconciler.git import credentials as git_credentials
from reconciler.git import tree as git_tree
from reconciler.git.command import GitCommand, Outcome
from reconciler.git.credentials import Credentials
from reconciler.proof import note
from reconciler.proof.note import Note
from runner.contract import errors
from runner.contract.settings import DEFAULT_SOURCE, Settings

FILE: Final = "checkpoint"
NOTE_BYTES_MAX: Final = 65_536
NOTES_BYTES_MAX: Final = 256 * 1024 * 1024
_LOG: Final = re.compile(r"[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100}){0,3}")
_YEAR: Final = re.compile(r"refs/audit/(.+)/[0-9]{4}")


@dataclass(frozen=True, slots=True)
class Place:
    """A remote, and what opens it. `setting` is the one that names it."""

    url: str
    timeout_s: float
    credentials: Credentials = git_command.NONE
    setting: str = "audit.remote"

    @property
    def shown(self) -> str:
        """The address without any password; of one that is refused, its setting."""
        try:
            return git_address.plain(git_address.parse(self.url).url)
        except errors.SourceStalled:
            return self.setting


@dataclass(frozen=True, slots=True)
class Published:
    """What one commit published: the text of a note, which nobody has checked yet.

    `committed_at` is what its writer said, in microseconds.
    """

    ref: str
    commit: str
    committed_at: int
    text: str

    @property
    def note(self) -> Note:
        """The note; ValueError where the text is none."""
        return note.parse(self.text)


def place(settings: Settings, url: str = "") -> Place | None:
    """Where checkpoints are published, or another address; None where no place is set.

    The credentials of `[source]` open the source alone: they are never shown to another.
    """
    first, audit = settings.followed.get(DEFAULT_SOURCE), settings.audit
    wanted = url or audit.remote or (first.url if first else "")
    if not wanted:
        return None
    timeout_s = settings.source.timeout_s
    own = Credentials(
        username=audit.username,
        token_file=audit.token_file,
        ca_file=audit.ca_file,
        ssh_key_file=audit.ssh_key_file,
        known_hosts_file=audit.known_hosts_file,
    )
    if wanted == audit.remote or (own.any and first and wanted == first.url):
        return Place(wanted, timeout_s, own)
    if first and wanted == first.url:
        return Place(wanted, timeout_s, git_credentials.of(first), "source.url")
    return Place(wanted, timeout_s)


def log_ref(log: str, year: str) -> str:
    """The ref of a log for a year, or for `*`; AuditBroken when no log of ours is called so."""
    if not _LOG.fullmatch(log):
        raise errors.AuditBroken(f"{log[:100]!r} cannot be the name of an audit log")
    return f"refs/audit/{log}/{year}"


class Remote:
    """A remote with checkpoints; `folder` holds the mirror, and what git needs besides."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.mirror = folder / "mirror.git"
        with self._named():
            self.command = GitCommand(
                git_address.parse(place.url),
                folder,
                place.timeout_s,
                credentials=place.credentials,
            )

    def refs(self, log: str) -> dict[str, str]:
        """The refs of a log and the commits they are at, newest year first; SourceError."""
        found = self._listed(log_ref(log, "*"))
        years = [ref for ref in found if _YEAR.fullmatch(ref)]
        return {ref: found[ref] for ref in sorted(years, reverse=True)}

    def logs(self) -> list[str]:
        """The names of the logs that have something there; SourceError."""
        matches = map(_YEAR.fullmatch, self._listed("refs/audit/*"))
        return sorted({match[1] for match in matches if match})

    def bring(self, log: str, refs: dict[str, str]) -> None:
        """Fetch what these refs are at, under `refs/seen`; SourceError."""
        missing = [commit for commit in refs.values() if not self.has(commit)]
        if not missing:
            return
        self.prepare(missing[0])
        refspec = f"+{log_ref(log, '*')}:{log_ref(log, '*').replace('audit', 'seen', 1)}"
        flags = (
            "--quiet", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head",
            "--no-recurse-submodules", "--no-write-commit-graph",
        )  # fmt: skip
        with self._named():
            url = git_address.parse(self.place.url).url
            done = self.command.remote("fetch", *flags, "--", url, refspec, mirror=self.mirror)
            if not done.ok:
                raise self.command.refusal(done)

    def published(self, log: str) -> list[Published]:
        """Every checkpoint of a log that stands there, newest first; SourceError."""
        refs = self.refs(log)
        self.bring(log, refs)
        return [one for ref, commit in refs.items() for one in self.at(ref, commit)]

    def at(self, ref: str, commit: str, newest: int | None = None) -> list[Published]:
        """What a commit in the mirror and those before it say, newest first; SourceError."""
        limit = () if newest is None else (f"--max-count={newest}",)
        form = ("rev-list", "--timestamp", "--topo-order", "--first-parent", *limit)
        lines = self.read(*form, "--end-of-options", commit).decode("ascii").splitlines()
        times = {sha: int(at) * 1_000_000 for at, sha in (line.split() for line in lines)}
        names = "".join(f"{sha}:{FILE}\n" for sha in times).encode("ascii")
        listed = self.read("cat-file", "--batch-check=%(objectname)", given=names)
        blobs = [line.partition(b" ")[0].decode() for line in listed.splitlines()]
        reader = git_tree.BlobReader(NOTE_BYTES_MAX, NOTES_BYTES_MAX)
        given = "".join(f"{sha}\n" for sha in dict.fromkeys(blobs)).encode("utf-8", "replace")
        self.command.local(
            "cat-file", "--batch", "--buffer", mirror=self.mirror, given=given, into=reader
        )
        return [
            Published(ref, sha, at, (reader.found.get(blob) or b"").decode("utf-8", "replace"))
            for (sha, at), blob in zip(times.items(), blobs, strict=True)
        ]

    def has(self, commit: str) -> bool:
        """Whether the mirror has a commit."""
        found = (self.mirror / "HEAD").exists() and self.command.local(
            "cat-file", "-e", f"{commit}^{{commit}}", mirror=self.mirror
        )
        return bool(found and found.ok)

    def prepare(self, commit: str = "") -> None:
        """Make the mirror if there is none, in the format that the remote's hashes have."""
        if (self.mirror / "HEAD").exists():
            return
        form = "sha256" if len(commit) == 64 else "sha1"
        flags = ("--quiet", "--bare", "--template=", f"--object-format={form}")
        self._done(self.command.local("init", *flags, str(self.mirror), mirror=None))

    def read(self, *arguments: str, given: bytes = b"") -> bytes:
        """What git prints about the mirror; SourceWaiting if it cannot say."""
        return self._done(self.command.local(*arguments, mirror=self.mirror, given=given))

    def _done(self, outcome: Outcome) -> bytes:
        if not outcome.ok:
            raise errors.SourceWaiting(
                "MirrorUnreadable",
                f"the mirror {self.mirror} cannot be used ({outcome.words}): delete it, and it"
                " is made anew",
            )
        return outcome.output

    def _listed(self, pattern: str) -> dict[str, str]:
        with self._named():
            url = git_address.parse(self.place.url).url
            done = self.command.remote("ls-remote", "--quiet", "--refs", "--", url, pattern)
            if not done.ok:
                raise self.command.refusal(done)
        lines = [line.split("\t") for line in done.output.decode("utf-8").splitlines()]
        found = {ref: commit for commit, ref in lines}
        return {ref: commit for ref, commit in found.items() if git_address.is_hash(commit)}

    def _named(self) -> AbstractContextManager[None]:
        return _named(self.place.setting)


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """Errors speak of `source.…`: here they name the setting that the address came from."""
    try:
        yield
    except errors.SourceError as error:
        if setting == "source.url":
            raise
        words = str(error).replace("source.url", setting).replace("source.", "audit.")
        raise type(error)(error.reason, words) from None
