"""What is followed: one commit, the newest version in a range, or a ref; and what it names.

    commit set ──> that one, and the remote is not asked
    semver set ──> all tags in one question ──> the newest in the range
    else       ──> the ref by its whole name

What does not exist is an error that names the setting, never "nothing there".
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from reconciler.git import address as git_address
from reconciler.git import semver as git_semver
from reconciler.git.address import Address
from reconciler.git.command import GitCommand, Outcome
from runner.contract import errors

TAGS_BYTES_MAX: Final = 32 * 1024 * 1024
"""What a remote may say of its tags: some 300 000 of them."""
_TAGS: Final = "refs/tags/"
_PEELED: Final = "^{}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings say: the first of `commit`, `semver` and `ref` that is set."""

    ref: str
    semver: str = ""
    commit: str = ""

    @property
    def setting(self) -> str:
        """The setting that decides."""
        return "commit" if self.commit else "semver" if self.semver else "ref"

    def shown(self, name: str = "") -> str:
        """What is followed, in words; `name` is the tag that a range led to."""
        if self.commit:
            return f"commit {self.commit[:12]}"
        if self.semver:
            return f"{name} of {self.semver}" if name else self.semver
        return self.ref


@dataclass(frozen=True, slots=True)
class Found:
    """The commit that is followed now, and the tag that a range led to."""

    commit: str
    name: str = ""


class Pointer:
    """Finds what is followed at the remote. SourceError says which setting leads nowhere."""

    def __init__(self, command: GitCommand, address: Address, wanted: Wanted) -> None:
        self._command = command
        self._address = address
        self._wanted = wanted

    def find(self) -> Found:
        """The commit that is to be followed now."""
        if self._wanted.commit:
            return Found(self._pinned)
        if self._wanted.semver:
            return self._newest()
        return Found(self._named())

    @property
    def certain(self) -> bool:
        """Whether it can only be a commit: git lets a branch name nothing else."""
        return self._wanted.setting == "ref" and self.ref_name.startswith("refs/heads/")

    def refusal(self, commit: str, error: errors.SourceError) -> errors.SourceError:
        """The error for a commit that the remote does not give, in terms of its setting."""
        setting, short = self._wanted.setting, commit[:12]
        if setting == "commit" and error.reason in ("CommitGone", "RefInvalid"):
            return errors.SourceStalled(
                "CommitNotFound",
                f"source.commit {short} is not to be had from {self._shown}: there is no such"
                " commit, or the server gives none that no branch or tag leads to. Push it, or"
                " name another",
            )
        if setting == "semver" and error.reason == "RefInvalid":
            return errors.SourceStalled(
                "RefInvalid",
                f"the newest tag in source.semver {self._wanted.semver!r} names {short}, which"
                " is not a commit: tag a commit",
            )
        return error

    @cached_property
    def _pinned(self) -> str:
        commit = self._wanted.commit
        if not git_address.is_hash(commit):
            raise errors.SourceStalled(
                "CommitInvalid",
                f"source.commit {git_address.plain(commit)[:80]!r} is not a whole hash: write"
                " all 40 (or 64) digits, as git rev-parse prints them",
            )
        return commit

    @cached_property
    def _range(self) -> git_semver.Range:
        try:
            return git_semver.Range(self._wanted.semver)
        except ValueError as error:
            raise errors.SourceStalled(
                "SemverInvalid", f"source.semver: {git_address.plain(str(error))}"
            ) from None

    def _newest(self) -> Found:
        wanted, listed = self._range, self._tags()
        versions = git_semver.tags(listed)
        for tag in versions:
            if wanted.holds(tag.version):
                return Found(listed[tag.name], tag.name)
        newest = f", the newest is {versions[0].name}" if versions else ""
        raise errors.SourceStalled(
            "RefNotFound",
            f"no tag of {self._shown} is in source.semver {self._wanted.semver!r}"
            f" ({len(listed)} tags, {len(versions)} of them versions such as v1.2.3{newest}):"
            " push a tag, or widen the range",
        )

    def _tags(self) -> dict[str, str]:
        """The commit behind each tag, by the tag's name."""
        # A pattern and not `--tags`, so that the answer is the same from every version of git.
        answer = _Bounded()
        outcome = self._command.remote(
            "ls-remote", "--quiet", "--end-of-options", self._address.url, f"{_TAGS}*",
            into=answer,
        )  # fmt: skip
        if not outcome.ok:
            raise self._command.refusal(outcome)
        if answer.overflown:
            raise errors.SourceStalled(
                "TooLarge", f"{self._shown} has too many tags: name a branch in source.ref"
            )
        named = _lines(bytes(answer.content))
        names = [name for name in named if name.startswith(_TAGS) and _PEELED not in name]
        return {
            # An annotated tag is an object of its own; `^{}` is the commit behind it.
            name.removeprefix(_TAGS): named.get(name + _PEELED) or named[name]
            for name in names
        }

    def _named(self) -> str:
        name = self.ref_name
        outcome = self._command.remote(
            "ls-remote", "--quiet", "--end-of-options", self._address.url, name,
            name + _PEELED,
        )  # fmt: skip
        if not outcome.ok:
            raise self._command.refusal(outcome)
        return self._one(outcome, name)

    def _one(self, outcome: Outcome, name: str) -> str:
        named = _lines(outcome.output)
        commit = named.get(name + _PEELED) or named.get(name)
        if commit is None:
            raise errors.SourceStalled(
                "RefNotFound",
                f"{name} does not exist in {self._shown}: push it, or set source.ref to a"
                " branch that does",
            )
        return commit

    @cached_property
    def ref_name(self) -> str:
        """The whole name of the ref; SourceStalled when it cannot be one."""
        name = git_address.full_ref(self._wanted.ref)
        if not self._command.local("check-ref-format", name, mirror=None).ok:
            raise git_address.ref_refused(self._wanted.ref)
        return name

    @property
    def _shown(self) -> str:
        return git_address.plain(self._address.url)


class _Bounded:
    """Takes what comes, and keeps no more than a limit."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.overflown = False

    def write(self, chunk: bytes) -> int:
        self.overflown |= len(self.content) + len(chunk) > TAGS_BYTES_MAX
        if not self.overflown:
            self.content += chunk
        return len(chunk)


def _lines(output: bytes) -> dict[str, str]:
    """The hash behind each name that `ls-remote` printed."""
    lines = output.decode("utf-8", "replace").splitlines()
    named = {name: sha for sha, _, name in (line.partition("\t") for line in lines)}
    return {name: sha for name, sha in named.items() if git_address.is_hash(sha)}
