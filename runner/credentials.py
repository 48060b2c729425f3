"""Find the secret values that a manifest set names, on the dispatcher's side.

Workers get the values of the sets they run, over their socket, and nothing else; nothing
is written anywhere.
"""

import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from runner import manifest_set, named_secrets, queue
from runner.contract import kinds, seal, sealing, settings
from runner.contract.errors import Refused
from runner.contract.kinds.base import SecretAuth
from runner.contract.kinds.sealed_secret import SealedEntry
from runner.contract.kinds.secret import SEALED
from runner.contract.sealing import Address
from runner.contract.settings import Settings
from runner.manifest_set import ManifestSet

_FILE_BYTES_MAX: Final = 65_536


def find(
    connection: Connection, manifests: ManifestSet, sealer: seal.Sealer, where: Settings
) -> dict[str, str]:
    """The values, by `namespace/name:entry`. One that cannot be had is left out."""
    found: dict[str, str] = {}
    for key, entry in named_secrets.entries(manifests):
        stands_for = manifests.secret_entry(key, entry)
        value = None
        if stands_for is not None:
            address = Address(key.namespace, key.name, entry)
            value = _value(connection, stands_for, address, sealer, where)
        if value is not None:
            found[f"{key.namespace}/{key.name}:{entry}"] = value
    return found


def recorded(
    connection: Connection,
    named: SecretAuth,
    namespace: str,
    sealer: seal.Sealer,
    where: Settings,
) -> str | None:
    """The value of a Secret as recorded now, for a resource of a namespace.

    None when there is none on this host, or it does not serve that namespace.
    """
    key, entry = named.secret(namespace)
    body = connection.exec_driver_sql(
        "SELECT body FROM resource WHERE namespace = ? AND kind = ? AND name = ?", tuple(key)
    ).scalar_one_or_none()
    spec = None if body is None else kinds.spec_of("Secret", str(body))
    if not isinstance(spec, kinds.Secret) or not spec.serves(key.namespace, namespace):
        return None
    found = manifest_set.stands_for(spec, entry)
    if found is None:
        return None
    return _value(connection, found, Address(key.namespace, key.name, entry), sealer, where)


def on_host(stands_for: str, where: Settings) -> bool:
    """Whether this host has what `env:NAME` or `file:NAME` stands for; not what it is."""
    return of_host(stands_for, where) is not None


def of_host(stands_for: str, where: Settings) -> str | None:
    """What `env:NAME` or `file:NAME` stands for on this host; None when it has it not."""
    how, _, name = stands_for.partition(":")
    return _from_file(name, where) if how == "file" else _from_env(name, where)


def _value(
    connection: Connection,
    stands_for: str,
    address: Address,
    sealer: seal.Sealer,
    where: Settings,
) -> str | None:
    how, _, name = stands_for.partition(":")
    if how == "env":
        return _from_env(name, where)
    if how == "file":
        return _from_file(name, where)
    if how == SEALED:
        return _unsealed(stands_for, address, where)
    ciphertext = queue.ciphertext(connection, stands_for)
    if ciphertext is None:
        return None
    try:
        return sealer.opened(stands_for, ciphertext)
    except Refused:
        return None  # The call that needs it fails and says so; the other tasks go on.


def _unsealed(text: str, address: Address, where: Settings) -> str | None:
    try:
        return sealing.opened(where.home, SealedEntry.of(text), address)
    except (Refused, ValueError):
        return None  # As with any other value that this host has not.


def _from_env(name: str, where: Settings) -> str | None:
    value = settings.variable(name) if name in where.secrets.env else None
    return value or None  # An empty value proves nothing: the call fails and says so.


def _from_file(name: str, where: Settings) -> str | None:
    folder = where.secrets.folder or settings.variable("CREDENTIALS_DIRECTORY")
    if not folder or "/" in name or "\x00" in name or name.startswith("."):
        return None
    try:
        with open(Path(folder) / name, "rb", opener=_unwaiting) as file:
            return file.read(_FILE_BYTES_MAX).decode().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _unwaiting(path: str, flags: int) -> int:
    # Behind a named pipe the dispatcher, and every task with it, would wait for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
