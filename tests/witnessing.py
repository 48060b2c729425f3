"""A log that grows as it is told, its signing key, and requests to a witness, for tests."""

from pathlib import Path

import home

from reconciler.proof import note
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.keeper import Keeper, Signed
from reconciler.proof.note import Note
from reconciler.proof.request import Request
from runner.contract import audit, clock, merkle, settings
from runner.contract.audit_entry import Entry, EntryType

AT_S = 1_790_000_000
ORIGIN = "orloj/test"
LOG = note.generate(ORIGIN)


def leaves(count: int, salt: str = "") -> list[bytes]:
    return [merkle.leaf(f"{salt}{number}".encode()) for number in range(count)]


def signed(tree: list[bytes], key: note.SigningKey = LOG, origin: str = ORIGIN) -> Note:
    text = Checkpoint(origin, len(tree), merkle.root(tree)).text
    return Note(text, (key.sign(text),))


def asked(tree: list[bytes], old: int = 0, **by) -> Request:
    """A request for a tree, with the proof that it grew from its first `old` leaves."""
    proof = merkle.consistency(tree, old) if 0 < old < len(tree) else []
    return Request(old, tuple(proof), signed(tree, **by))


class StoredLog:
    """A database with a log, and the keeper that signs it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.database = home.opened(folder)

    def grow(self, count: int, reason: str = "drill") -> Signed:
        """Append so many entries, and sign them."""
        one = Entry(type=EntryType.DRILL_DONE, actor="a", commit="none", reason=reason)
        with self.database.write() as connection:
            audit.append(connection, [one] * count, clock.now_us())
        made = self.keeper().step(at_once=True)
        assert made is not None
        return made

    def keeper(self) -> Keeper:
        return Keeper(settings.load(self.folder, {}), self.database, clock.now_us)

    @property
    def vkey(self) -> str:
        return str(note.parse_signer((self.folder / "audit.key").read_text()).verifier)

    def close(self) -> None:
        self.database.close()
