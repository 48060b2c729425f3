"""Which push is ours to look at: that of the ref which a source of this home follows.

Most pushes are not, and wait for this alone: it imports no database, no parser and no plan.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.git import address as git_address
from runner.contract import errors
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


def source(settings: Settings, name: str, repository: Path) -> Source:
    """The source that a hook of this repository is for; SettingsInvalid, Refused."""
    found = settings.followed.get(name)
    if found is None:
        raise errors.SettingsInvalid(
            f"there is no repository {name} in {settings.home}/orloj.toml"
        )
    if names(found.url, repository) is False:
        raise errors.Refused(
            f"{name} follows {git_address.plain(found.url)}, and this is {repository}: set its"
            " url, or take the hook out"
        )
    return found


def followed(source: Source) -> str:
    """The whole name of the ref that is followed; empty where no branch and no tag is."""
    return "" if source.commit or source.semver else git_address.full_ref(source.ref)


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


def names(url: str, repository: Path) -> bool | None:
    """Whether a source's URL names this repository; None if it is on another machine."""
    local = git_address.local_path(url)
    if local is None:
        return None
    found = {local, local / ".git", local.with_name(f"{local.name}.git")}
    return repository.resolve() in {path.resolve() for path in found}
