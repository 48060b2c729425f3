"""A commit read from its own bytes: who, what it follows, its trailers and its signature. Pure.

    bytes ──hash──> are they this commit's?
      └──> tree, parents, author, committer │ signature │ the rest ─> what the signature is over

Git's own reading is generous: it takes the first of two headers, stops at a null byte and
reads what a graft says. Whoever judges a signature must read what was signed and nothing
else, so a commit that could be read in two ways has a `fault`, and is good for no signature.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.git import address as git_address

TRAILER_LENGTH_MAX: Final = 200
TRAILERS_MAX: Final = 100
SEAL: Final = "orloj-seal"
_ORDER: Final = re.compile(r"tree (parent )*author committer ")
_PERSON: Final = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^<>]*)>\s*(?P<time>\d{1,12})? ?\S*")
_TRAILER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,63})[ \t]*:[ \t]*(.*)")
_PICKED: Final = "(cherry picked from commit "
# Others are read as UTF-8: a name of a codec that a stranger may choose is no place for trust.
_ENCODING: Final = re.compile(
    r"iso-?8859-\d{1,2}|latin-?1|cp125\d|windows-125\d|koi8-r|shift_jis|euc-jp|euc-kr|gb18030",
    re.IGNORECASE,
)
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitObject:
    """A commit. Texts are plain and short; `time` is the committer's, in microseconds UTC.

    `signature` is what the header holds, None without one; `payload` the bytes it is over.
    `fault` says why no signature on it can be believed, empty where one could.
    """

    sha: str
    tree: str = ""
    parents: tuple[str, ...] = ()
    author: str = ""
    committer: str = ""
    committer_email: str = ""
    subject: str = ""
    time: int = 0
    trailers: tuple[tuple[str, str], ...] = ()
    signature: bytes | None = None
    payload: bytes = b""
    fault: str = ""

    @property
    def seals(self) -> bool:
        """Whether it claims to vouch for all that came before it."""
        return any(
            (name.lower(), value.lower()) == (SEAL, "true") for name, value in self.trailers
        )


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    value: bytes
    raw: bytes  # With its continuation lines, as it stands in the commit.


def read(sha: str, raw: bytes) -> CommitObject:
    """What the bytes of a commit say."""
    head, _, message = raw.partition(b"\n\n")
    head = raw[: len(head) + 1]  # With the line feed that ends its last line.
    headers = _headers(head)
    signatures = [header for header in headers if header.name.startswith("gpgsig")]
    author, _, _ = _person(headers, "author")
    committer, email, seconds = _person(headers, "committer")
    text = _text(message, headers)
    signed = b"".join(header.raw for header in headers if header not in signatures)
    return CommitObject(
        sha=sha,
        tree=_first(headers, "tree").decode("ascii", "replace"),
        parents=tuple(
            header.value.decode("ascii", "replace")
            for header in headers
            if header.name == "parent"
        ),
        author=author,
        committer=committer,
        committer_email=email,
        subject=git_address.plain(" ".join(text.strip().split("\n\n")[0].split("\n"))),
        time=seconds * _SECOND_US,
        trailers=trailers(text),
        signature=signatures[0].value + b"\n" if signatures else None,
        payload=signed + raw[len(head) :],
        fault=_fault(sha, raw, headers, signatures),
    )


def trailers(message: str) -> tuple[tuple[str, str], ...]:
    """The `Name: value` lines that a message ends with, values plain, a bounded number.

    Stricter than git: one other line among them, and the paragraph is prose.
    """
    paragraphs = re.split(r"\n[ \t]*\n", message.replace("\r\n", "\n").strip("\n \t"))
    if len(paragraphs) < 2:
        return ()
    found: list[tuple[str, str]] = []
    for line in paragraphs[-1].split("\n"):
        if line[:1] in (" ", "\t") and found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        elif match := _TRAILER.fullmatch(line):
            found.append((match[1], match[2]))
        elif not line.startswith(_PICKED):
            return ()
    return tuple(
        (name, git_address.plain(value)[:TRAILER_LENGTH_MAX])
        for name, value in found[:TRAILERS_MAX]
    )


def _headers(head: bytes) -> list[_Header]:
    found: list[_Header] = []
    # Not `splitlines`, for which a carriage return ends a line: for git it does not.
    for line in (part + b"\n" for part in head.removesuffix(b"\n").split(b"\n")):
        name, _, value = line.rstrip(b"\n").partition(b" ")
        if line.startswith(b" ") and found:
            last = found[-1]
            continued = last.value + b"\n" + line[1:].rstrip(b"\n")
            found[-1] = _Header(last.name, continued, last.raw + line)
        else:
            found.append(_Header(name.decode("ascii", "replace"), value, line))
    return found


def _fault(
    sha: str, raw: bytes, headers: Sequence[_Header], signatures: Sequence[_Header]
) -> str:
    """Why the commit could be read in two ways."""
    wanted = "gpgsig" if len(sha) == 40 else "gpgsig-sha256"
    names = "".join(f"{header.name} " for header in headers)
    order = _ORDER.match(names)
    rest = names[order.end() :].split() if order else ()
    if _hash(sha, raw) != sha:
        return "its content is not what its hash says"
    if order is None or {"tree", "parent", "author", "committer"} & set(rest):
        return "its headers are not in git's order"
    if b"\0" in raw:
        return "it holds a null byte, which hides what follows"
    if len(signatures) > 1:
        return f"it has {len(signatures)} signature headers"
    if signatures and signatures[0].name != wanted:
        return f"its signature stands in the header {signatures[0].name}, not in {wanted}"
    return ""


def _hash(sha: str, raw: bytes) -> str:
    made = hashlib.sha1 if len(sha) == 40 else hashlib.sha256  # Git's choice, not ours.
    return made(b"commit %d\0" % len(raw) + raw).hexdigest()


def _first(headers: Sequence[_Header], name: str) -> bytes:
    return next((header.value for header in headers if header.name == name), b"")


def _person(headers: Sequence[_Header], role: str) -> tuple[str, str, int]:
    """Name and address as one plain text, the address, and the seconds of the time."""
    text = _first(headers, role).decode("utf-8", "replace").replace("\n", " ")
    match = _PERSON.fullmatch(text)
    if match is None:
        return git_address.plain(text), "", 0
    email = git_address.plain(match["email"])
    return (
        git_address.plain(f"{match['name'].strip()} <{match['email'].strip()}>"),
        email,
        int(match["time"] or 0),
    )


def _text(message: bytes, headers: Sequence[_Header]) -> str:
    named = _first(headers, "encoding").decode("ascii", "replace")
    return message.decode(named if _ENCODING.fullmatch(named) else "utf-8", "replace")
