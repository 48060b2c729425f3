"""What git and ssh complain of: the reason it stands for, in words, and what to do. Pure.

What they print comes from a server too: one printable line of it is shown, no password.
"""

from dataclasses import dataclass
from typing import Final

from reconciler.git import address as git_address

UNREACHABLE: Final = "RemoteUnreachable"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A stable reason, what happened in words, and what to do about it."""

    reason: str
    words: str
    advice: str

    @property
    def stalls(self) -> bool:
        """Whether it stays until somebody acts."""
        return self.reason in _STALLED


_REFUSED: Final = "the server does not accept the user name and token, or wants one"
_CHANGED: Final = "its host key is not the one that is known"
_SIGNS: Final = (
    ("HostKeyRefused", "REMOTE HOST IDENTIFICATION HAS CHANGED", _CHANGED),
    ("HostKeyRefused", "Host key verification failed", ""),
    ("AuthenticationFailed", "Authentication failed", _REFUSED),
    ("AuthenticationFailed", "could not read Username", _REFUSED),
    ("AuthenticationFailed", "could not read Password", _REFUSED),
    ("AuthenticationFailed", "Permission denied (publickey", ""),
    ("AuthenticationFailed", "returned error: 401", _REFUSED),
    ("AuthenticationFailed", "returned error: 403", "the server says that we may not read it"),
    ("CertificateRefused", "certificate problem", ""),
    ("CertificateRefused", "certificate verification failed", ""),
    ("CertificateRefused", "does not match target host name", ""),
    ("Redirected", "returned error: 30", "the server sends us to another address"),
    ("ContentRefused", "fsck error", ""),
    ("TooLarge", "died of signal 25", ""),
    ("CommitGone", "not our ref", ""),
    ("CommitGone", "unadvertised object", ""),
)
"""A reason, its sign in what git says, and better words. 25 is SIGXFSZ: a file too large."""
_ADVICE: Final = {
    "AuthenticationFailed": "Check source.token_file and source.username, or"
    " source.ssh_key_file; a token that is written anew is used at the next look.",
    "HostKeyRefused": "Nothing was sent. Ask whoever runs it for the fingerprint; if that is"
    " what ssh-keyscan HOST | ssh-keygen -lf - shows, put the line of ssh-keyscan into"
    " source.known_hosts_file, in the place of an old one.",
    "CertificateRefused": "Name the certificate that signed it in source.ca_file, or mend the"
    " server's.",
    "Redirected": "A token is not carried to another address: set source.url to where the"
    " repository is now.",
    "ContentRefused": "It holds an object that git calls malformed: repair the repository.",
    "TooLarge": "It is larger than a mirror may be: keep the manifests in a smaller one.",
    "CommitGone": "Its branch was rewritten meanwhile; the next look finds the new commit.",
    UNREACHABLE: "Check source.url, the network, and that this user may read it.",
}
_STALLED: Final = frozenset(_ADVICE) - {"CommitGone", UNREACHABLE}


def complaint(said: str) -> Complaint:
    """What standard error means."""
    for reason, sign, better in _SIGNS:
        if sign in said:
            return Complaint(reason, better or words(said), _ADVICE[reason])
    return Complaint(UNREACHABLE, words(said), _ADVICE[UNREACHABLE])


def words(said: str) -> str:
    """The line of a complaint that says why, printable and without passwords."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: ", "ERROR: "))]
    # Where ssh failed, git can only say that it did, and ssh has said why before.
    useful = [line for line in fatal if "Could not read from remote" not in line]
    why = (useful or lines or ["no answer"])[0]
    return git_address.plain(why.partition(": ")[2] if why in fatal else why).rstrip(".")
