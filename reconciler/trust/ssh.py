"""SSH signatures, verified by `ssh-keygen -Y` with keys that we hand to it.

A key counts if it is valid now. The committer's time, which git takes, is written by
whoever commits: a key that expired, and then leaked, could sign for the past for ever.
"""

import re
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git.commit_object import CommitObject
from reconciler.trust import program, ssh_signature
from reconciler.trust.ssh_signature import NAMESPACE
from reconciler.trust.verdict import Signature, Verdict

PRINCIPALS_MAX: Final = 10
_GOOD: Final = re.compile(r'Good "git" signature for .* with \S+ key (SHA256:[A-Za-z0-9+/]+)\n')


class SshVerifier:
    """Verifies against one file of allowed signers, and one of revoked keys if there is one.

    `folder` is ours alone, and holds nothing else that matters.
    """

    def __init__(self, folder: Path, allowed_signers: bytes, revoked: bytes | None) -> None:
        self._allowed = folder / "allowed_signers"
        self._signature = folder / "commit.sig"
        self._revoked: tuple[str, ...] = ()
        self._allowed.write_bytes(allowed_signers)
        if revoked is not None:
            (folder / "revoked").write_bytes(revoked)
            self._revoked = ("-r", str(folder / "revoked"))
        self._principals: dict[str, tuple[list[bytes], str]] = {}

    def verdict(self, commit: CommitObject) -> Verdict:
        """How a commit with an SSH signature is signed."""
        assert commit.signature is not None
        found = ssh_signature.read(commit.signature)
        if found.fault:
            return Verdict(signature=Signature.BAD, key=found.key, why=found.fault)
        self._signature.write_bytes(commit.signature)
        if found.key not in self._principals:
            self._principals[found.key] = self._known()
        principals, complaint = self._principals[found.key]
        if not principals:
            why = _unknown(complaint)
            return Verdict(signature=Signature.UNKNOWN, key=found.key, why=why)
        for principal in principals:
            if key := self._good(principal, commit.payload):
                signer = git_address.plain(principal.decode("utf-8", "replace"))
                return Verdict(signature=Signature.GOOD, signer=signer, key=key)
        why = "it is not over this commit, or its key was revoked or is for another purpose"
        return Verdict(signature=Signature.BAD, key=found.key, why=why)

    def _known(self) -> tuple[list[bytes], str]:
        """The principals whose key made the signature; what was said where there is none."""
        found = program.run(
            "ssh-keygen",
            ["-Y", "find-principals", "-s", str(self._signature), "-f", str(self._allowed)],
        )
        lines = found.stdout.split(b"\n") if found.returncode == 0 else []
        complaint = found.stderr.decode("utf-8", "replace")
        return [line for line in lines if line][:PRINCIPALS_MAX], complaint

    def _good(self, principal: bytes, payload: bytes) -> str:
        """The fingerprint of the key, if ssh-keygen calls the signature good; else nothing."""
        found = program.run(
            "ssh-keygen",
            ["-Y", "verify", "-n", NAMESPACE, "-f", str(self._allowed)]
            + ["-I", principal.decode("utf-8", "surrogateescape")]
            + ["-s", str(self._signature), *self._revoked],
            payload,
        )
        said = _GOOD.fullmatch(found.stdout.decode("utf-8", "replace"))
        return said[1] if found.returncode == 0 and said else ""


def _unknown(complaint: str) -> str:
    if "has expired" in complaint:
        return "its key was trusted and has expired"
    if "not yet valid" in complaint:
        return "its key is not valid yet"
    return "its key is not one of those trusted"
