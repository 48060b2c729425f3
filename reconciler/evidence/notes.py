"""The signed notes of an export: checkpoints, what links them, and the keys that signed.

    checkpoint                   the smallest one that covers the period
    checkpoints/<size>.note      those that were stored from the period on, up to it; of a long
                                 period one of each part of it, a thousand at most
    consistency/<old>-<new>.txt  that each of them is the one before it, grown; base64 lines
    keys/<name>.vkey             the keys, in order of use; keys/<number>.note hands over

Keys that came later are left out: the same period is the same bytes after a rotation.
"""

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from reconciler.evidence.period import Covered
from reconciler.proof import checkpoints, keys
from reconciler.proof import note as signed_note
from reconciler.proof.inclusion import Tree
from reconciler.proof.keys import KnownKey

CHECKPOINT: Final = "checkpoint"
NOTES_MAX: Final = 1_000


def write(connection: Connection, covered: Covered, folder: Path) -> None:
    """Write the notes into the folder; AuditBroken when one of them does not hold."""
    known = keys.known(connection)
    (folder / CHECKPOINT).write_text(covered.note, encoding="utf-8")
    for name in ("checkpoints", "consistency", "keys"):
        (folder / name).mkdir()
    used = 0
    for size, text in _stored(connection, covered, known):
        (folder / "checkpoints" / f"{size}.note").write_text(text, encoding="utf-8")
        used = max(used, _newest_signer(text, known))
    _link(connection, covered, folder)
    _write_keys(known[: used + 1], folder / "keys")


def _stored(
    connection: Connection, covered: Covered, known: list[KnownKey]
) -> Iterator[tuple[int, str]]:
    period = covered.period
    verifiers = [one.key for one in known]
    smallest, largest = period.head_first, covered.checkpoint.size
    width, window = _width(largest - smallest + 1), -1
    for stored in checkpoints.between(connection, smallest, largest):
        if stored.size // width == window and stored.size != largest:
            continue
        window = stored.size // width
        checkpoints.trusted(stored, verifiers, period.log)
        yield stored.size, stored.note


def _width(entries: int) -> int:
    """Of how many entries one checkpoint is enough, so that there are not too many files."""
    width = 1
    while entries // width > NOTES_MAX:
        width *= 2
    return width


def _newest_signer(text: str, known: list[KnownKey]) -> int:
    """The number of the newest key of the log that signed a note."""
    signers = {(line.name, line.key_id) for line in signed_note.parse(text).signatures}
    found = [one.number for one in known if (one.key.name, one.key.key_id) in signers]
    assert found, "a note that no key of the log signed is not trusted"
    return max(found)


def _link(connection: Connection, covered: Covered, folder: Path) -> None:
    tree = Tree(connection, covered.checkpoint.size)
    sizes = sorted(int(file.stem) for file in (folder / "checkpoints").iterdir())
    for old, new in itertools.pairwise(sizes):
        proof = (base64.b64encode(digest).decode() for digest in tree.consistency(old, new))
        text = "".join(f"{line}\n" for line in proof)
        (folder / "consistency" / f"{old}-{new}.txt").write_text(text, encoding="ascii")


def _write_keys(known: list[KnownKey], folder: Path) -> None:
    lines = "".join(f"{one.key}\n" for one in known)
    name = known[0].key.name.replace("/", "-")
    (folder / f"{name}.vkey").write_text(lines, encoding="utf-8")
    for one in known:
        (folder / f"{one.number}.note").write_text(str(one.note), encoding="utf-8")
