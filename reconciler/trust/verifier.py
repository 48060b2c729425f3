"""Says how a commit is signed: takes its signature to the program that understands it.

A program is started, and a keyring made, only for a signature that asks for it.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from reconciler.git.commit_object import CommitObject
from reconciler.trust.keys import Keys
from reconciler.trust.openpgp import OpenpgpVerifier
from reconciler.trust.ssh import SshVerifier
from reconciler.trust.verdict import Signature, Verdict
from runner.contract import clock, errors

TIME_MAX_US: Final = 30_000_000
"""How long one judgement may take: meanwhile no other repository is looked at."""
_SSH: Final = b"-----BEGIN SSH SIGNATURE-----"
_OPENPGP: Final = b"-----BEGIN PGP SIGNATURE-----"


class Verifier:
    """Judges signatures against some keys, in a folder that is gone afterwards."""

    def __init__(self, keys: Keys, folder: Path) -> None:
        self._keys = keys
        self._folder = folder
        self._known: dict[str, Verdict] = {}
        self._until_us = clock.boot_us() + TIME_MAX_US

    def verdict(self, commit: CommitObject) -> Verdict:
        """How a commit is signed; asked once of each.

        SourceError if a program is missing, or all of it takes too long.
        """
        if commit.sha not in self._known:
            if clock.boot_us() >= self._until_us:
                raise errors.SourceStalled(
                    "RangeTooLong",
                    f"verifying the commits takes longer than {TIME_MAX_US // 1_000_000} s:"
                    " seal them with a signed commit that has the trailer Orloj-Seal: true, or"
                    " run orloj reconcile when this host is less busy",
                )
            self._known[commit.sha] = self._verdict(commit)
        return self._known[commit.sha]

    def _verdict(self, commit: CommitObject) -> Verdict:
        if commit.fault:
            return Verdict(signature=Signature.BAD, why=commit.fault)
        if commit.signature is None:
            return Verdict(signature=Signature.NONE)
        if commit.signature.startswith(_SSH):
            return self._ssh.verdict(commit)
        if commit.signature.startswith(_OPENPGP):
            if not (self._keys.openpgp or self._keys.brought):
                why = "it is an OpenPGP signature, and no OpenPGP key is trusted"
                return Verdict(signature=Signature.UNKNOWN, why=why)
            return self._openpgp.verdict(commit)
        return Verdict(signature=Signature.BAD, why="it is neither SSH's nor OpenPGP's")

    @cached_property
    def _ssh(self) -> SshVerifier:
        return SshVerifier(self._folder, self._keys.allowed_signers, self._keys.revoked)

    @cached_property
    def _openpgp(self) -> OpenpgpVerifier:
        return OpenpgpVerifier(self._folder, self._keys.openpgp, self._keys.brought)


@contextlib.contextmanager
def verifier(keys: Keys) -> Iterator[Verifier]:
    """A verifier for one judgement."""
    try:
        with tempfile.TemporaryDirectory(prefix="orloj-trust-") as folder:
            yield Verifier(keys, Path(folder))
    except OSError as error:
        raise errors.SourceWaiting(
            "SignatureToolFailed",
            f"signatures cannot be verified, since no temporary folder can be used"
            f" ({error.strerror}): free the disk; the next look tries again",
        ) from error
