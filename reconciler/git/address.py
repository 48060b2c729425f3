"""Where the repository is, and which ref and folder of it we follow, as checked text. Pure.

Everything here was written by a person into the settings, and is treated as hostile all
the same: git runs commands named by a URL (`ext::`), by an option in the place of a URL or
of a ref (`--upload-pack=`), and writes files for others (`--output=`). So a URL, a ref or a
folder is either of the plain form below or refused; no list of bad ones is kept.

A password never stays in the URL, where every user of the host could read it in the list
of processes: it leaves here as a header for a file that only we can read.
"""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from runner.contract import errors

_REF: Final = re.compile(r"refs/(heads|tags)/(?!-)[A-Za-z0-9._/@+-]{1,200}")
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_USER: Final = re.compile(r"(?!-)[A-Za-z0-9._~%+-]{1,256}")
_USERINFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]*@")
_LENGTH_MAX: Final = 1_024
_WORDS_MAX: Final = 300
_FORMS: Final = "write an absolute path, or a URL that begins with https://, ssh:// or file:///"


@dataclass(frozen=True, slots=True)
class Address:
    """A repository's URL without its password, which is in `authorization` if there is one.

    `base` is the part of an https URL that the header belongs to; `local` is the folder of
    a repository on this machine.
    """

    url: str
    local: Path | None = None
    base: str | None = None
    authorization: str | None = field(default=None, repr=False)


def parse(url: str) -> Address:
    """The address that a URL names; SourceStalled if it is of no form that we allow."""
    if not url or len(url) > _LENGTH_MAX or not url.isprintable():
        raise errors.SourceStalled(
            "UrlInvalid", f"source.url is empty, too long or holds control characters: {_FORMS}"
        )
    if url.startswith("/") and url.strip("/"):
        return Address(url=url, local=Path(url))
    parts = _split(url)
    if parts.scheme == "file":
        return Address(url=url, local=Path(unquote(parts.path)))
    host = _host(parts)
    if parts.scheme == "ssh":
        user = f"{parts.username}@" if parts.username else ""
        return Address(url=f"ssh://{user}{host}{parts.path}")
    base = f"https://{host}/"
    return Address(
        url=f"https://{host}{parts.path}", base=base, authorization=_authorization(parts)
    )


def full_ref(ref: str) -> str:
    """The whole name of a branch or tag; SourceStalled if it cannot be one.

    `main` means `refs/heads/main`. git's own `check-ref-format` has the last word, since
    the pattern lets `..` and `.lock` pass, as git lets a leading dash pass.
    """
    name = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    if not _REF.fullmatch(name):
        raise ref_refused(ref)
    return name


def ref_refused(ref: str) -> errors.SourceStalled:
    """The error for a name that is no branch and no tag."""
    return errors.SourceStalled(
        "RefInvalid",
        f"source.ref {plain(ref)!r} is not a branch or tag name: write for example main, "
        "refs/heads/main or refs/tags/v1",
    )


def folder_path(path: str) -> str:
    """The folder inside the repository, without slashes around it; empty means all of it."""
    trimmed = path.strip("/")
    broken = any(part in ("", ".", "..") for part in trimmed.split("/")) and trimmed
    if broken or len(path) > _LENGTH_MAX or (path and not path.isprintable()):
        raise errors.SourceStalled(
            "PathInvalid",
            f"source.path {plain(path)!r} is not a folder inside the repository: write for "
            "example agents or teams/finance, or leave it empty",
        )
    return trimmed


def is_hash(text: str) -> bool:
    """Whether the text is the whole name of an object."""
    return _HASH.fullmatch(text) is not None


def local_path(url: str) -> Path | None:
    """The folder of a repository on this machine; None if it is elsewhere or malformed."""
    try:
        return parse(url).local
    except errors.SourceStalled:
        return None


def plain(words: str) -> str:
    """Words of git or of a server as one line that is safe to print and holds no password."""
    line = "".join(character if character.isprintable() else " " for character in words)
    return _USERINFO.sub(r"\1", " ".join(line.split()))[:_WORDS_MAX]


def _split(url: str) -> SplitResult:
    """The parts of a URL, whose scheme is written in lower case as git wants it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _url_refused(url) from None
    allowed = url.startswith(("https://", "ssh://", "file:///"))
    if not allowed or parts.query or parts.fragment or " " in url or port == 0:
        raise _url_refused(url)
    if not parts.path.strip("/") or parts.path.startswith(("//", "/-")):
        raise _url_refused(url)
    return parts


def _host(parts: SplitResult) -> str:
    """Host and port; a user or host that could pass for an option of ssh is refused."""
    host = parts.netloc.rpartition("@")[2]
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    if not _HOST.fullmatch(name):
        raise _url_refused(parts.geturl())
    if parts.scheme == "ssh" and parts.password:
        raise errors.SourceStalled(
            "UrlInvalid",
            "source.url holds a password for ssh, which takes none: give the service a key",
        )
    if parts.scheme == "ssh" and parts.username and not _USER.fullmatch(parts.username):
        raise _url_refused(parts.geturl())
    return host


def _authorization(parts: SplitResult) -> str | None:
    """The header that says what the URL said before its host."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Authorization: Basic " + base64.b64encode(pair.encode()).decode()


def _url_refused(url: str) -> errors.SourceStalled:
    shown = plain(url)
    # Nothing before the last @ is shown: a URL of no known form may hide a password anywhere.
    shown = shown.rpartition("@")[2] if "@" in shown else shown
    return errors.SourceStalled("UrlInvalid", f"source.url {shown!r} is refused: {_FORMS}")
