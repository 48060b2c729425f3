"""OpenPGP signatures, verified by gpg with a keyring that holds the trusted keys alone.

The keyring is made anew for each judgement, in a folder of ours: no key of the user, no
configuration, no agent and no key server has a part in it. What gpg calls valid now counts,
so that an expired or revoked key is refused whatever time the signature gives.
"""

import re
import shutil
from pathlib import Path
from typing import Final

from reconciler.git.commit_object import CommitObject
from reconciler.trust import openpgp_status, program
from reconciler.trust.program import Done
from reconciler.trust.verdict import Verdict
from runner.contract import errors

BLOCKS_MAX: Final = 100
_BEGIN: Final = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_BLOCK: Final = re.compile(_BEGIN + rb".*?-----END PGP PUBLIC KEY BLOCK-----\n?", re.DOTALL)
_OPTIONS: Final = (
    "--batch", "--no-tty", "--no-options", "--no-autostart", "--quiet", "--disable-dirmngr",
    "--no-auto-key-retrieve", "--no-auto-key-locate", "--trust-model", "always",
    "--weak-digest", "SHA1", "--status-fd", "1",
)  # fmt: skip


class OpenpgpVerifier:
    """Verifies against the public keys in some armored texts. `folder` is ours alone.

    A text of the host that gpg cannot read whole is an error. One that the repository
    brought adds no key then, or a mistake in it could never be mended by another commit.
    """

    def __init__(
        self, folder: Path, host: tuple[bytes, ...], brought: tuple[bytes, ...]
    ) -> None:
        self._folder = folder / "gnupg"
        self._folder.mkdir(mode=0o700)
        self._signature = folder / "commit.asc"
        if not self._imported(brought):
            shutil.rmtree(self._folder)
            self._folder.mkdir(mode=0o700)
        whole = self._imported(host)
        listed = self._gpg(["--with-colons", "--fixed-list-mode", "--list-keys"])
        self._keys = openpgp_status.keys(listed.stdout)
        if not whole or not self._keys:
            raise errors.SourceStalled(
                "KeysUnusable",
                "gpg cannot read all of the OpenPGP keys that are to be trusted, or there are"
                f" more than {BLOCKS_MAX}: write the file anew with gpg --armor --export, then"
                " orloj reconcile",
            )

    def verdict(self, commit: CommitObject) -> Verdict:
        """How a commit with an OpenPGP signature is signed."""
        assert commit.signature is not None
        self._signature.write_bytes(commit.signature)
        found = self._gpg(["--verify", str(self._signature), "-"], commit.payload)
        return openpgp_status.verdict(found.stdout, self._keys)

    def _imported(self, texts: tuple[bytes, ...]) -> bool:
        """Whether gpg took all of the texts: a revocation that is left out is trust too much.

        Each block by itself, for of several at once gpg drops a revocation certificate that
        follows another key. One that comes before its key is taken in the second round.
        """
        left = [block for text in texts for block in _BLOCK.findall(text)]
        if len(left) > BLOCKS_MAX or len(left) != sum(text.count(_BEGIN) for text in texts):
            return False
        for _ in range(2):
            left = [block for block in left if self._gpg(["--import"], block).returncode]
        return not left

    def _gpg(self, arguments: list[str], given: bytes = b"") -> Done:
        return program.run("gpg", [*_OPTIONS, *arguments], given, self._folder)
