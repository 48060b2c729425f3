"""One push, while its ref has not moved: its plan, and the answer.

    lines "old new ref" ──> the update of the followed ref ──> commit ──> preview ──> verdict
                                └── none: the push is none of our business

All that a push must not come past raises: who called turns it into a refusal.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from reconciler import override
from reconciler.git import address as git_address
from reconciler.git.received import ReceivedSource
from reconciler.push import installation, judgement
from reconciler.push.options import Options
from reconciler.push.verdict import Ending, Verdict
from reconciler.reconcile import Reconciler, source_unset
from reconciler.resource import person_owner
from runner.contract import clock, errors
from runner.contract.database import Database
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

LINE_BYTES_MAX: Final = 8_192
_GONE: Final = frozenset("0")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


@dataclass(frozen=True, slots=True)
class Update:
    """What a push wants of a ref: the object it names now, and the one it should name."""

    old: str
    new: str
    ref: str

    @property
    def creates(self) -> bool:
        """Whether the ref is new."""
        return set(self.old) == _GONE

    @property
    def deletes(self) -> bool:
        """Whether the ref is to go away."""
        return set(self.new) == _GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One push: what git told the hook, and who pushes."""

    repository: Path
    quarantine: str
    update: Update | None
    options: Options
    pusher: str


def updates(stream: BinaryIO, ref: str) -> Update | None:
    """The update of one ref among the lines that git gives a hook; Refused if one is odd.

    However many refs a push has, one line at a time is held.
    """
    found = None
    while line := stream.readline(LINE_BYTES_MAX):
        old, _, rest = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
        new, _, name = rest.partition(" ")
        if not (git_address.is_hash(old) and git_address.is_hash(new) and name):
            raise errors.Refused("git told the hook of a ref in a form that is not known")
        if name == ref:
            found = Update(old, new, name)
    return found


def pusher(told: Mapping[str, str], login: str, variable: str = "") -> str:
    """Who pushes: as the Git host says in `variable`, the web server, or else the login.

    Refused where a host that should name them does not, or names what is no name.
    """
    if variable and not told.get(variable):
        raise errors.Refused(
            f"the Git host does not say in {variable} who pushes; install the hook again"
            " without --pusher-from, or push as the host intends"
        )
    # Only a web server may say it: whoever logs in by ssh is known by the account.
    web = told.get("REMOTE_USER", "") if "GATEWAY_INTERFACE" in told else ""
    name = told[variable] if variable else web or login
    if not _NAME.fullmatch(name):
        raise errors.Refused(
            "the name of who pushes is empty, too long or holds odd characters: it has to be"
            " letters, digits and . _ @ + -"
        )
    return name


def source(settings: Settings, name: str, repository: Path) -> Source:
    """The source that a hook of this repository is for; SettingsInvalid, Refused."""
    found = settings.followed.get(name)
    if found is None:
        raise errors.SettingsInvalid(source_unset(settings, name))
    if installation.names(found.url, repository) is False:
        raise errors.Refused(
            f"{name} follows {git_address.plain(found.url)}, and this is {repository}: set its"
            " url, or take the hook out"
        )
    return found


def receive(settings: Settings, database: Database, name: str, push: Push) -> Verdict:
    """The answer to a push; what is let pass is recorded once it may go on. OrlojError."""
    update, options = push.update, push.options
    assert update is not None
    if options.mistakes:
        return _refused(*options.mistakes)
    if update.deletes:
        return _refused(
            f"{update.ref} is what Orloj follows: deleting it is never taken for a wish to"
            " delete what it declares. To stop following it, set source.url to nothing"
        )
    source = settings.followed[name]
    git = ReceivedSource(source, push.repository, push.quarantine, folder(settings, name))
    try:
        found = _verdict(Reconciler(settings, database, name, git=git), git, push)
    except errors.SourceStalled as error:
        return _refused(str(error))
    given = judgement.overrides(found, options, person_owner(push.pusher))
    if given:
        with database.write() as connection:
            override.give(connection, name, found.commit, given, clock.now_us())
    return found


def followed(source: Source) -> str:
    """The whole name of the ref that is followed; empty where no branch and no tag is."""
    return "" if source.commit or source.semver else git_address.full_ref(source.ref)


def folder(settings: Settings, name: str) -> Path:
    """Where git finds what it needs while a push to this source is looked at."""
    return settings.home / "hook" / name


def _verdict(reconciler: Reconciler, git: ReceivedSource, push: Push) -> Verdict:
    assert push.update is not None
    commit = git.commit(push.update.new)
    if push.update.ref.startswith("refs/heads/") and commit != push.update.new:
        return _refused(f"{push.update.ref} is a branch, and names a commit, not a tag")
    actor = person_owner(push.pusher)
    seen = reconciler.preview(commit, overrides=push.options.overrides(actor))
    return judgement.judge(seen, push.options)


def elsewhere(source: Source, options: Options) -> Verdict:
    """The answer to a push that does not move the ref that is followed."""
    if not options.ours:
        return Verdict(ending=Ending.UNTOUCHED)
    ref = followed(source).removeprefix("refs/heads/")
    ask = f"; to see what yours would do: git push -o plan-only … HEAD:{ref}" if ref else ""
    return _refused(
        f"what you said with -o is about {ref or 'the ref'} that Orloj follows, and this push"
        f" does not move it{ask}"
    )


def _refused(*sentences: str) -> Verdict:
    return Verdict(ending=Ending.REFUSED, sentences=sentences)
