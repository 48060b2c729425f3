"""The key that signs checkpoints: where it comes from, and how another takes its place.

    `audit.key`, else the credential `audit.key`, else `audit.key` in the home (made there)

Only the daemon that keeps the log reads it; workers run without the home. Each key that
ever signed stands in `audit_key` with a note that the one before it signed: whoever knows
the first, or any of them, can walk to the one of today.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from reconciler.proof import note
from reconciler.proof.note import Note, SigningKey, VerifierKey
from runner.contract import audit, errors, kinds, secret_file
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.audit_settings import KEY_FILE
from runner.contract.database import dialect
from runner.contract.settings import Settings, variable

_TITLE: Final = "orloj audit key"
_ALL_BUT_US: Final = stat.S_IRWXG | stat.S_IRWXO
_ALL = "SELECT number, vkey, note, signed_at FROM audit_key ORDER BY number"
_ADD = "INSERT INTO audit_key (number, vkey, note, signed_at) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that signs or signed; `note` hands over to it, signed by the key before."""

    number: int
    key: VerifierKey
    note: Note
    signed_at: int = 0


def path(settings: Settings) -> Path:
    """The file that holds the signing key, whether it is there or not."""
    if settings.audit.key:
        return settings.home / settings.audit.key
    given = variable("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / KEY_FILE).exists():
        return Path(given) / KEY_FILE
    return settings.home / KEY_FILE


def signing(settings: Settings, log: str, *, make: bool = True) -> SigningKey:
    """The signing key of this home; `make` it where there is none. SettingsInvalid."""
    file = path(settings)
    if not file.exists() and make and file == settings.home / KEY_FILE:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(file, note.generate(log))
    if not secret_of_ours(file):
        raise errors.SettingsInvalid(
            f"{file} can be read by others: `chmod 600 {file}`, and then rotate the key"
        )
    text = secret_file.read(settings.home, str(file), "audit.key")
    try:
        key = note.parse_signer(text)
    except ValueError as error:
        raise errors.SettingsInvalid(f"{file} holds no signing key: {error}") from None
    if key.type != note.ED25519:
        raise errors.SettingsInvalid(
            f"{file} is the key of a witness: a log signs with Ed25519"
        )
    if key.name != log:
        raise errors.SettingsInvalid(
            f"{file} is the key of the log {key.name}, and this database holds {log}"
        )
    return key


def current(settings: Settings, connection: Connection, log: str) -> SigningKey:
    """The key that signs now, made for a log that has none. SettingsInvalid.

    A rotation that a crash interrupted is finished.
    """
    keys, following = known(connection), unfinished(settings)
    if keys and not path(settings).exists():
        raise errors.SettingsInvalid(
            f"there is no signing key at {path(settings)}, and the log is signed with"
            f" {keys[-1].key.key_id.hex()}: put that key back from your backup, or copy it from"
            " the host that has it"
        )
    key = signing(settings, log, make=not keys)
    if not keys or keys[-1].key == key.verifier or not following.exists():
        return key
    new = note.parse_signer(secret_file.read(settings.home, str(following), "audit.key"))
    if new.verifier == keys[-1].key:
        following.replace(path(settings))
        return new
    return key


def unfinished(settings: Settings) -> Path:
    """Where the next key waits until the database knows it."""
    file = path(settings)
    return file.with_name(file.name + ".next")


def secret_of_ours(file: Path) -> bool:
    """Whether nobody but its owner may read a file; True where there is none.

    systemd lets the service read a credential by an access list, which looks like a right of
    the group: of those only what all may do is looked at.
    """
    given = variable("CREDENTIALS_DIRECTORY")
    others = stat.S_IRWXO if given and file.parent == Path(given) else _ALL_BUT_US
    try:
        return not file.stat().st_mode & others
    except OSError:
        return True


def known(connection: Connection) -> list[KnownKey]:
    """Every key that signed this log, first to last; AuditBroken when one is none of its."""
    try:
        found = [
            KnownKey(number, note.parse_verifier(vkey), note.parse(text), signed_at)
            for number, vkey, text, signed_at in connection.exec_driver_sql(_ALL)
        ]
        chained(found, audit.name(connection))
    except ValueError as error:
        raise errors.AuditBroken(f"the keys of the audit log do not hold: {error}") from None
    return found


def chained(keys: Sequence[KnownKey], log: str) -> None:
    """ValueError unless each key is signed for by the one before it, and by itself."""
    before: VerifierKey | None = None
    for place, one in enumerate(keys):
        by = [one.key] if before is None else [before, one.key]
        if one.number != place or one.note.text != handover(log, place, one.key):
            raise ValueError(f"key {place} is not what its note says")
        if len(note.verified(one.note, by)) != len(by):
            raise ValueError(f"key {place} is not signed for by the key before it")
        before = one.key


def handover(log: str, number: int, key: VerifierKey) -> str:
    """What is signed when a key takes over."""
    return f"{_TITLE}\n{log}\n{number}\n{key}\n"


def admit(connection: Connection, key: SigningKey, now_us: int) -> list[KnownKey]:
    """The keys of the log, this one among them: the first to sign introduces itself."""
    keys = known(connection)
    if not keys:
        _add(connection, key, [key], now_us)
        keys = known(connection)
    if keys[-1].key != key.verifier:
        raise errors.SettingsInvalid(
            f"the signing key here is {key.verifier.key_id.hex()}, and the log is signed with"
            f" {keys[-1].key.key_id.hex()}: put that key back, or hand over with"
            " `orloj audit key rotate`"
        )
    return keys


def rotate(settings: Settings, connection: Connection, actor: str, now_us: int) -> VerifierKey:
    """Let a new key sign from here on, for which the old one signs; the new one.

    The caller commits, and then calls `finish`: after a crash between the two, `current`
    does. SettingsInvalid.
    """
    dialect.alone(connection, dialect.LOG)
    log = audit.name(connection)
    if not log:
        raise errors.Refused("the log has no entry yet, and no key to rotate: orloj up")
    old, new = current(settings, connection, log), note.generate(log)
    admit(connection, old, now_us)
    try:
        unfinished(settings).unlink(missing_ok=True)
        write(unfinished(settings), new)
    except OSError as error:
        raise errors.SettingsInvalid(
            f"{unfinished(settings)} cannot be written ({error.strerror}); a key that systemd"
            " hands over is rotated as docs/checkpoints.md says"
        ) from None
    signed = _add(connection, new, [old, new], now_us)
    entry = Entry(
        type=EntryType.LOG_KEY_ROTATED,
        actor=actor,
        commit=NO_COMMIT,
        outcome=new.verifier.key_id.hex(),
        reason=f"{old.verifier} hands over to {new.verifier}",
        digest=kinds.digest(str(signed)),
    )
    audit.append(connection, [entry], now_us)
    return new.verifier


def finish(settings: Settings) -> None:
    """Put the new key in the place of the old one."""
    unfinished(settings).replace(path(settings))
    _make_durable(path(settings).parent)


def _add(
    connection: Connection, key: SigningKey, signers: Sequence[SigningKey], now_us: int
) -> Note:
    count = connection.exec_driver_sql("SELECT count(*) FROM audit_key").scalar_one()
    text = handover(audit.name(connection), count, key.verifier)
    signed = Note(text, tuple(one.sign(text) for one in signers))
    connection.exec_driver_sql(_ADD, (count, str(key.verifier), str(signed), now_us))
    return signed


def write(file: Path, key: SigningKey) -> None:
    """Put a key there, whole and durable; one that stands there stays."""
    descriptor, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(key.secret + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(beside)
        _make_durable(file.parent)
    finally:
        Path(beside).unlink(missing_ok=True)


def _make_durable(folder: Path) -> None:
    """Have the names in a folder written to the disk, without which no file is found."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
