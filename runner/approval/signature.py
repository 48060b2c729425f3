"""SSH signatures over requests, made and verified by `ssh-keygen -Y`, and by nothing of ours.

A signature is good for one namespace (`orloj-approval`) and one file of bytes. Verifying
it needs the bytes, the signature and a line of allowed signers; no Orloj and no network.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runner.approval.request import SIGNATURE_NAMESPACE
from runner.approval.rows import Declared
from runner.contract import settings
from runner.contract.errors import Refused

_SEARCH: Final = "/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S: Final = 120.0  # A key on a stick waits for a touch, one in a file for a password.
_SIGNATURE_BYTES_MAX: Final = 65_536


def sign(raw: bytes, key: Path, namespace: str = SIGNATURE_NAMESPACE) -> str:
    """The signature by a private key, or by the agent that holds it; Refused."""
    argv = ["-Y", "sign", "-q", "-f", str(key), "-n", namespace]
    done = _run(argv, raw, interactive=True)
    if done.returncode != 0:
        raise Refused(f"ssh-keygen could not sign with {key}: {_words(done)}")
    return done.stdout.decode("ascii", "replace")


def signer(raw: bytes, signature: str, approvers: Sequence[Declared]) -> Declared:
    """The one approver whose key made the signature over these bytes; Refused."""
    found = [one for one in approvers if one.spec.keys and _verified(raw, signature, one)]
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise Refused(f"{names} have the same key: give each approver a key of their own")
    if not found:
        raise Refused(
            "the signature is not that of an approver's key over exactly these bytes in the"
            f" namespace {SIGNATURE_NAMESPACE}; sign what `orloj approvals show ID --payload"
            f" FILE` writes with `ssh-keygen -Y sign -f KEY -n {SIGNATURE_NAMESPACE} FILE`"
        )
    return found[0]


def allowed_signers(approver: Declared) -> str:
    """The lines by which `ssh-keygen -Y verify` knows an approver."""
    return "".join(
        f'{approver.name} namespaces="{SIGNATURE_NAMESPACE}" {" ".join(key.split()[:2])}\n'
        for key in approver.spec.keys
    )


def read_signature(file: Path) -> str:
    """The text of a signature file, no more of it than one may have."""
    with file.open("rb") as stream:
        return stream.read(_SIGNATURE_BYTES_MAX).decode("ascii", "replace")


def _verified(raw: bytes, signature: str, approver: Declared) -> bool:
    with tempfile.TemporaryDirectory(prefix="orloj-") as folder:
        signers, file = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text(allowed_signers(approver), encoding="ascii", errors="replace")
        file.write_text(signature, encoding="ascii", errors="replace")
        argv = ["-Y", "verify", "-f", str(signers), "-I", approver.name]
        argv += ["-n", SIGNATURE_NAMESPACE, "-s", str(file)]
        return _run(argv, raw).returncode == 0


def _run(
    argv: Sequence[str], given: bytes, *, interactive: bool = False
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen", path=_SEARCH)
    if program is None:
        raise Refused("ssh-keygen is not installed: install openssh-client")
    # Who signs may need an agent or a terminal to type a password; who verifies, nothing.
    more = ("SSH_AUTH_SOCK", "HOME", "SSH_ASKPASS", "DISPLAY", "TERM")
    environment = settings.process_environment(*(more if interactive else ()))
    try:
        return subprocess.run(  # noqa: S603 - one fixed program; nothing passes a shell.
            [program, *argv],
            input=given,
            capture_output=True,
            env=environment,
            cwd=os.sep if not interactive else None,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused(f"ssh-keygen did not finish within {_TIMEOUT_S:g} s") from error


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in lines if line.strip()), "no reason was given")
