"""The log's second signature, ML-DSA-44, on checkpoints that are published.

    audit.key (Ed25519) signs every checkpoint ──┐
    audit-ml-dsa.key (ML-DSA-44) ────────────────┴──> what is published carries both

Quantum computers will forge the first, and then a log of today could be rewritten with dates
of today: whoever notes the public key now can check the second one then. c2sp.org gives
ML-DSA-44 as a cosignature, so the log cosigns itself, under its own name and with a time. The
Ed25519 key signs for it in `keys/ml-dsa-44.note`. It is 3 KB a checkpoint, so only those that
are published have it, and `audit.ml_dsa = false` leaves it out.
"""

from pathlib import Path
from typing import Final

from reconciler.proof import keys, note
from reconciler.proof.note import Note, SigningKey, VerifierKey
from runner.contract import errors
from runner.contract.settings import Settings, variable

KEY_FILE: Final = "audit-ml-dsa.key"
_TITLE: Final = "orloj audit key beside"


def path(settings: Settings) -> Path:
    """The file of the second key, whether it is there or not."""
    given = variable("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / KEY_FILE).exists():
        return Path(given) / KEY_FILE
    return settings.home / KEY_FILE


def signing(settings: Settings, log: str) -> SigningKey | None:
    """The second key, made at the first call; None when the settings leave it out."""
    if not settings.audit.ml_dsa:
        return None
    file = path(settings)
    if not file.exists() and file == settings.home / KEY_FILE:
        keys.write(file, note.generate(log, note.ML_DSA_44))
    if not keys.secret_of_ours(file):
        raise errors.SettingsInvalid(f"{file} can be read by others: `chmod 600 {file}`")
    try:
        key = note.parse_signer(file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise errors.SettingsInvalid(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise errors.SettingsInvalid(f"{file} holds no signing key: {error}") from None
    if key.type != note.ML_DSA_44 or key.name != log:
        raise errors.SettingsInvalid(f"{file} is not the ML-DSA-44 key of the log {log}")
    return key


def added(signed: Note, key: SigningKey, now_us: int) -> Note:
    """The note with the second signature; one that is there stays as it is."""
    if note.cosigned_at(signed, key.verifier) is not None:
        return signed
    return Note(signed.text, (*signed.signatures, key.sign(signed.text, now_us // 1_000_000)))


def files(first: SigningKey, second: VerifierKey) -> dict[str, str]:
    """What is published of the second key, and that the first one signs for it."""
    text = f"{_TITLE}\n{second.name}\n{second}\n"
    return {
        "keys/ml-dsa-44.vkey": f"{second}\n",
        "keys/ml-dsa-44.note": str(Note(text, (first.sign(text),))),
    }
