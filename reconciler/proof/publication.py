"""Put a checkpoint on a Git remote: one commit on top of what stands there, never by force.

    look (ls-remote, fetch) ──> compared with our log ──> commit in our mirror ──push──> remote

The push names the commit that it expects there, so that whatever moved the ref in between
is seen and not overwritten. What a remote took is kept in the mirror under `refs/audit`: a
memory of our own, outside the database, of what was published.
"""

import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import command as git_command
from reconciler.git import complaint as git_complaint
from reconciler.git.command import Outcome
from reconciler.proof import remote
from reconciler.proof.keys import KnownKey
from reconciler.proof.remote import FILE, Place, Published, Remote
from runner.contract import clock, errors

TIDY_EVERY: Final = 100
"""Publications after which the mirror's loose files are packed."""
_NEXT: Final = "refs/orloj/next"
_MOVED: Final = ("stale info", "fetch first", "non-fast-forward", "failed to lock")
_SAID_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands at the remote: the commit of each ref, and the newest checkpoint."""

    refs: Mapping[str, str]
    newest: Published | None


def folder(home: Path, place: Place) -> Path:
    """Where the mirror of a remote's checkpoints is; each remote has one of its own."""
    return home / "audit" / hashlib.sha256(place.shown.encode()).hexdigest()[:12]


def files(text: str, keys: list[KnownKey]) -> dict[str, str]:
    """What a commit holds: the checkpoint, each key, and the notes that handed over."""
    found = {FILE: text}
    for one in keys:
        found[f"keys/{one.number}.vkey"] = f"{one.key}\n"
        found[f"keys/{one.number}.note"] = str(one.note)
    return found


class Publication:
    """Publishes the checkpoints of one log at one remote."""

    def __init__(self, place: Place, home: Path, log: str) -> None:
        self._log = log
        self._folder = folder(home, place)
        self._remote = Remote(place, self._folder)
        self._pushed = 0
        self.where = place.shown

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one process of this home publishes at a time."""
        with git_command.disk(self._folder), (self._folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def remembered(self) -> Published | None:
        """The newest checkpoint that the remote took, from our own mirror; SourceError."""
        if not (self._remote.mirror / "HEAD").exists():
            return None
        form = ("for-each-ref", "--format=%(refname) %(objectname)", "--sort=-refname")
        pattern = remote.log_ref(self._log, "*")
        for line in self._remote.read(*form, pattern).decode("ascii").splitlines():
            ref, commit = line.split()
            return self._remote.at(ref, commit, newest=1)[0]
        return None

    def look(self) -> Seen:
        """What stands at the remote now; SourceError."""
        refs = self._remote.refs(self._log)
        self._remote.bring(self._log, refs)
        for ref, commit in refs.items():
            return Seen(refs, self._remote.at(ref, commit, newest=1)[0])
        return Seen(refs, None)

    def push(self, seen: Seen, content: Mapping[str, str], subject: str) -> Seen | None:
        """Publish on top of what was seen; what stands there then.

        None when the remote moved meanwhile: look again. SourceError when it does not take it.
        """
        now_s = clock.now_us() // 1_000_000
        # A clock that was put back must not begin an old year's ref again.
        this_year = remote.log_ref(self._log, clock.iso(now_s * 1_000_000)[:4])
        ref = max([this_year, *seen.refs])
        parent = seen.refs.get(ref)
        self._remote.prepare(next(iter(seen.refs.values()), ""))
        commit = self._written(content, subject, parent, now_s)
        outcome = self._remote.command.remote(
            "push", "--porcelain", f"--force-with-lease={ref}:{parent or ''}",
            "--", git_address.parse(self._remote.place.url).url, f"{commit}:{ref}",
            mirror=self._remote.mirror,
        )  # fmt: skip
        if not outcome.ok:
            if any(sign in _said(outcome) for sign in _MOVED):
                return None
            raise self._refusal(outcome)
        self._remote.read("update-ref", "--end-of-options", ref, commit)
        self._tidy()
        newest = Published(ref, commit, now_s * 1_000_000, content[FILE])
        return Seen({ref: commit} | {**seen.refs, ref: commit}, newest)

    def _written(
        self, content: Mapping[str, str], subject: str, parent: str | None, now_s: int
    ) -> str:
        """A commit of these files and no others, in the mirror."""
        stream = [
            f"commit {_NEXT}\ncommitter Orloj <orloj@localhost> {now_s} +0000\n",
            _data(f"{subject}\n"),
            f"from {parent}\n" if parent else "",
            "deleteall\n",
            *(f"M 100644 inline {path}\n{_data(text)}" for path, text in content.items()),
            "\n",
        ]
        if not parent:  # Else it would stand on what another try left there.
            self._remote.read("update-ref", "-d", _NEXT)
        given = "".join(stream).encode()
        self._remote.read("fast-import", "--quiet", "--force", given=given)
        return self._remote.read("rev-parse", "--verify", _NEXT).decode("ascii").strip()

    def _tidy(self) -> None:
        """Pack what single commits left behind, now and then."""
        self._pushed += 1
        if self._pushed % TIDY_EVERY == 0:
            for form in (("repack", "-d", "-l", "-q", "--geometric=2"), ("prune-packed", "-q")):
                self._remote.command.remote(*form, mirror=self._remote.mirror)

    def _refusal(self, outcome: Outcome) -> errors.SourceError:
        found = git_complaint.complaint(_said(outcome))
        if outcome.timed_out:
            why = f"no answer within {self._remote.place.timeout_s:g} s"
        else:
            said = [
                line.strip().replace("\t", " ")
                for line in _said(outcome).splitlines()
                if line.startswith(("remote: ", "!"))
            ]
            why = "; ".join(map(git_address.plain, said[:_SAID_MAX])) or found.words
        return errors.SourceWaiting(
            found.reason,
            f"{self.where} did not take the checkpoint ({why}). It needs the right to write"
            f" refs/audit/*: give this host a key that may, set audit.remote to a repository"
            " that takes it, or audit.publish = false",
        )


def _said(outcome: Outcome) -> str:
    return outcome.said + outcome.output.decode("utf-8", "replace")


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"
