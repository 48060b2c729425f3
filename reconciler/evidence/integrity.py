"""Whether the folder of an export holds the log that was signed: the verdict of the report.

    before ‖ leaf(headers.jsonl) ‖ after.bin ──> root ──equal?──> checkpoint ──signed?──> keys/

It reads the files and not the database, as whoever gets them will: what is said to hold is
what was written. A file that is missing makes it `NOT-CHECKED`, never a `PASS`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.evidence.part import Scope
from reconciler.proof import checkpoint as tree_head
from reconciler.proof import note as signed_note
from reconciler.proof.note import VerifierKey
from runner.contract import merkle
from runner.contract.merkle import Frontier

PASS, FAIL, UNCHECKED = "PASS", "FAIL", "NOT-CHECKED"
_CHUNK: Final = 32 * 4096


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that the folder holds: its name, its id, and the SHA-256 of the public key."""

    name: str
    id: str
    fingerprint: str
    signed: bool


@dataclass(frozen=True, slots=True)
class Integrity:
    """The verdict and why; `cosigners` are signatures of keys that the folder does not hold."""

    verdict: str
    why: str
    signers: tuple[Signer, ...] = ()
    cosigners: tuple[str, ...] = ()


def check(scope: Scope) -> Integrity:
    """What holds of the files that are in the folder so far."""
    folder = scope.folder
    needed = ("bundle.json", "headers.jsonl", "after.bin", "checkpoint")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        return Integrity(UNCHECKED, f"the folder holds no {', no '.join(missing)}")
    try:
        return _checked(scope)
    except (ValueError, KeyError, TypeError) as error:
        return Integrity(FAIL, f"a file of the proof cannot be read: {error}")


def _checked(scope: Scope) -> Integrity:
    found = signed_note.parse((scope.folder / "checkpoint").read_text(encoding="utf-8"))
    said = tree_head.parse(found.text)
    keys = list(_keys(scope.folder))
    try:
        good = signed_note.verified(found, keys)
    except ValueError as error:
        return Integrity(FAIL, str(error), _signers(keys, ()))
    known = {(key.name, key.key_id) for key in keys}
    others = tuple(
        f"{one.name}+{one.key_id.hex()}"
        for one in found.signatures
        if (one.name, one.key_id) not in known
    )
    signers = _signers(keys, good)
    if said != scope.checkpoint:
        return Integrity(FAIL, "the checkpoint in the folder is another one", signers, others)
    if not good:
        return Integrity(FAIL, "no key in the folder signed the checkpoint", signers, others)
    tree = _tree(scope.folder)
    if (tree.size, tree.root) != (said.size, said.root):
        why = f"the entries are {tree.size} and do not have the root that was signed"
        return Integrity(FAIL, why, signers, others)
    why = f"the entries of the period have the root of {said.size} entries that was signed"
    return Integrity(PASS, why, signers, others)


def _tree(folder: Path) -> Frontier:
    about = json.loads((folder / "bundle.json").read_text(encoding="ascii"))
    roots = tuple(bytes.fromhex(root) for root in about["before"])
    tree = Frontier(about["head_first"] - 1, roots)
    with (folder / "headers.jsonl").open("rb") as lines:
        tree = tree.grown(merkle.leaf(line.removesuffix(b"\n")) for line in lines)
    return tree.grown(_leaves(folder / "after.bin"))


def _leaves(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            for start in range(0, len(chunk), merkle.HASH_BYTES):
                yield chunk[start : start + merkle.HASH_BYTES]


def _keys(folder: Path) -> Iterator[VerifierKey]:
    for file in sorted((folder / "keys").glob("*.vkey")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield signed_note.parse_verifier(line)


def _signers(keys: list[VerifierKey], good: Sequence[VerifierKey]) -> tuple[Signer, ...]:
    return tuple(
        Signer(key.name, key.key_id.hex(), hashlib.sha256(key.public).hexdigest(), key in good)
        for key in keys
    )
