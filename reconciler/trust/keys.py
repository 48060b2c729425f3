"""Whom to trust: files of the host, and a file that the applied commit brings.

    allowed_signers, openpgp_keys   on the host: the root, always counted
    signers_path                    in the repository, as of the applied commit, and only if
                                    that commit was found good itself when it was applied

A commit cannot bring the key that it is trusted for. A file of the host that is named and
cannot be used stops everything: no keys are never the same as no question.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.git.source import GitSource
from runner.contract import errors
from runner.contract.source_settings import Source

FILE_BYTES_MAX: Final = 1024 * 1024
_PUBLIC: Final = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_KRL: Final = b"SSHKRL\n\0"
_KEY: Final = re.compile(rb"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+")
_PRIVATE: Final = (b"BEGIN PGP PRIVATE KEY BLOCK", b"PRIVATE KEY-----")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Texts of keys to trust. `openpgp` are those of the host, `brought` of the repository."""

    allowed_signers: bytes = b""
    openpgp: tuple[bytes, ...] = ()
    brought: tuple[bytes, ...] = ()
    revoked: bytes | None = None


def load(git: GitSource, settings: Source, previous: str | None, *, vouched: bool) -> Keys:
    """
    The keys that count for what follows `previous`, which was `vouched` for or not.

    SourceStalled with what to do if there are none, or a file of the host cannot be used.
    """
    signers = _host("allowed_signers", settings.allowed_signers)
    openpgp = _host("openpgp_keys", settings.openpgp_keys)
    revoked = _host("revoked_signers", settings.revoked_signers)
    brought, why = _brought(git, settings.signers_path, previous, vouched)
    if brought is not None and _PUBLIC not in brought:
        # The line feed keeps the host's last line apart from the repository's first.
        signers = (signers or b"") + b"\n" + brought
    found = Keys(
        allowed_signers=signers or b"",
        openpgp=(openpgp,) if openpgp else (),
        brought=(brought,) if brought is not None and _PUBLIC in brought else (),
        revoked=revoked,
    )
    if not (found.allowed_signers or found.openpgp or found.brought):
        raise errors.SourceStalled(
            "KeysMissing",
            f"source.verify is {settings.verify} and no key is trusted{why}: name a file of"
            " keys in source.allowed_signers or source.openpgp_keys, then orloj reconcile",
        )
    return found


def _host(setting: str, path: str) -> bytes | None:
    """The content of a file of the host; None where the setting names none."""
    if not path:
        return None
    file = Path(path)
    if not file.is_absolute():
        raise _unusable(setting, path, "is not an absolute path")
    try:
        if not file.is_file():  # Not a pipe either, which would have us wait.
            raise _unusable(setting, path, "is not there, or is no file")
        with file.open("rb") as stream:
            text = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise _unusable(setting, path, f"cannot be read ({why})") from error
    if len(text) > FILE_BYTES_MAX:
        raise _unusable(setting, path, f"is larger than {FILE_BYTES_MAX >> 20} MiB")
    if fault := _fault(setting, text):
        raise _unusable(setting, path, fault)
    return text


def _fault(setting: str, text: bytes) -> str:
    if any(sign in text for sign in _PRIVATE):
        return "holds a private key: only public ones belong there"
    if setting == "revoked_signers":
        return _revocation_fault(text)
    if setting == "openpgp_keys":
        return "" if _PUBLIC in text else "holds no armored OpenPGP public key"
    if _PUBLIC in text:
        return "holds OpenPGP keys: name it in source.openpgp_keys"
    return "" if _names_somebody(text) else "names no signer"


def _revocation_fault(text: bytes) -> str:
    """Why a list would revoke less than it says: ssh-keygen skips what it cannot read."""
    if text.startswith(_KRL):
        return ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#") and not _KEY.match(stripped):
            return f"has no public key in line {number}: write `ssh-ed25519 AAAA...`, or a KRL"
    return ""  # An empty list revokes nobody, which is what most hosts have.


def _names_somebody(text: bytes) -> bool:
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith(b"#") for line in lines)


def _brought(
    git: GitSource, path: str, previous: str | None, vouched: bool
) -> tuple[bytes | None, str]:
    """The file in the repository, if it may be believed; why it is not, in words."""
    if not path:
        return None, ""
    if previous is None:
        return None, f", since nothing was applied yet that could bring {path}"
    if not vouched:
        return None, f", since nobody verified commit {previous[:12]}, which brings {path}"
    text = git.file(previous, path)
    if text is None:
        return None, f", since commit {previous[:12]} has no file {path} of a readable size"
    if any(sign in text for sign in _PRIVATE) or not _names_somebody(text):
        return None, f", since {path} in commit {previous[:12]} names no signer"
    return text, ""


def _unusable(setting: str, path: str, why: str) -> errors.SourceStalled:
    return errors.SourceStalled(
        "KeysUnusable",
        f"source.{setting} {path} {why}: nothing is applied without it; mend the file, then"
        " orloj reconcile",
    )
