#!/usr/bin/env python3
"""Verify an export of an Orloj audit log: offline, with nothing but Python 3.8 or newer.

    python3 verify.py [FOLDER or FILE.tar] [--key VKEY] [--policy FILE] [--against FILE]

`--key` is the log's public key as you got it from somebody you trust; without it the export
vouches for itself. `--against` is an older checkpoint that you kept: the log must have grown
out of it. `--policy` says whose cosignatures you ask for (c2sp.org/tlog-policy); without it
the one in the export counts. One line for each check: PASS, FAIL or NOT-CHECKED. Exit codes:
0 all passed, 1 something failed, 2 nothing failed and something could not be checked.

    headers ──leaf hashes──> tree ──root──> checkpoint ──signature──> key ──> you

What an export says is never run and never trusted: file names, notes and entries are those
of a stranger until they are proved. The entries are read once, one at a time.

Sources: RFC 6962 (tree), RFC 8032 (Ed25519), c2sp.org/signed-note, tlog-checkpoint,
tlog-cosignature and tlog-policy.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, NoReturn, Set, Tuple

FORMAT = "orloj-audit-bundle/1"
DASH = "\u2014 "
PLAIN, COSIGNED, ML_DSA_44 = 1, 4, 6
KEY_BYTES = {PLAIN: 32, COSIGNED: 32, ML_DSA_44: 1312}
LINE_BYTES_MAX = 1 << 24
FILE_BYTES_MAX = 1 << 24
SKEW_US = 300_000_000
SIZE_MAX = 2**62
SHOWN = 5


class Failed(Exception):
    """A check that did not pass, and why."""


class NotChecked(Exception):
    """A check that could not be made, and why."""


# Ed25519, RFC 8032. Slow and small: it is as strict as OpenSSL, and needs nothing.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
D2 = 2 * D
Point = Tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def add(one: Point, two: Point) -> Point:
    """The sum of two points of the curve, in extended coordinates."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = one[3] * two[3] * D2 % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point(data: bytes) -> Point:
    """A point from its 32 bytes; Failed when they are none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise Failed("not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is of a message: R = s·BASE - k·A, byte for byte."""
    s = int.from_bytes(signature[32:], "little")
    if len(public) != 32 or len(signature) != 64 or s >= ORDER:
        return False
    try:
        x, y, z, t = point(public)
    except Failed:
        return False
    against = (P - x, y, z, P - t)
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    steps = {(1, 0): BASE, (0, 1): against, (1, 1): add(BASE, against)}
    total = NEUTRAL
    for bit in reversed(range(253)):
        total = add(total, total)
        step = steps.get((s >> bit & 1, k >> bit & 1))
        total = add(total, step) if step else total
    inverse = pow(total[2], P - 2, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# Notes and the tree.


class Key(NamedTuple):
    """A public key with its name."""

    name: str
    id: bytes
    type: int
    public: bytes


class Note(NamedTuple):
    """A text, and its signatures by name and key id."""

    text: str
    signatures: Dict[Tuple[str, bytes], bytes]
    whole: str


class Checkpoint(NamedTuple):
    """What a checkpoint says, and the note it says it in."""

    log: str
    size: int
    root: bytes
    note: Note


def decoded(text: str) -> bytes:
    """What base64 stands for, if it is the one way to write it."""
    value = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(value).decode() != text:
        raise ValueError("not base64 as it is written")
    return value


def read_key(text: str) -> Key:
    """A key from its vkey."""
    name, id, encoded = text.strip().split("+", 2)
    content = decoded(encoded)
    made = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
    if made.hex() != id or KEY_BYTES.get(content[0]) != len(content) - 1:
        raise Failed(f"{name} is no key that is known here")
    return Key(name, made, content[0], content[1:])


def read_note(content: str) -> Note:
    """A note from its text."""
    text, separator, lines = content.rpartition("\n\n")
    if not separator or not lines.startswith(DASH):
        raise Failed("stripped signature: a note that nobody signed")
    signatures: Dict[Tuple[str, bytes], bytes] = {}
    for line in lines.splitlines():
        name, _, encoded = line[len(DASH) :].partition(" ")
        value = decoded(encoded)
        signatures.setdefault((name, value[:4]), value[4:])
    return Note(text + "\n", signatures, content)


def read_checkpoint(content: str) -> Checkpoint:
    """Log, size and root of a checkpoint."""
    note = read_note(content)
    log, size, root = note.text.split("\n")[:3]
    if not re.fullmatch("0|[1-9][0-9]{0,18}", size) or len(decoded(root)) != 32:
        raise Failed("a note that is no checkpoint")
    return Checkpoint(log, int(size), decoded(root), note)


def signer(note: Note, keys: List[Key]) -> Key:
    """The key that signed a note; Failed when none of these did, or one wrongly."""
    found = None
    for key in keys:
        value = note.signatures.get((key.name, key.id))
        if value is not None:
            if key.type != PLAIN or not signed(key.public, note.text.encode(), value):
                raise Failed(f"the signature of {key.name} is not of this text")
            found = key
    if found is None:
        names = ", ".join(key.name for key in keys) or "no key"
        raise Failed(f"stripped signature or wrong key: {names} did not sign it")
    return found


def cosigned(note: Note, key: Key) -> bool:
    """Whether a witness cosigned a checkpoint; source: c2sp.org/tlog-cosignature."""
    value = note.signatures.get((key.name, key.id))
    if value is None or key.type != COSIGNED or len(value) != 72:
        return False
    at = int.from_bytes(value[:8], "big")
    message = f"cosignature/v1\ntime {at}\n{note.text}".encode()
    return signed(key.public, message, value[8:])


def node(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows; `roots` are those of its full subtrees, largest first."""

    def __init__(self, size: int, roots: List[bytes]) -> None:
        if bin(size).count("1") != len(roots):
            raise Failed(f"{len(roots)} subtrees are no tree of {size} entries")
        self.size, self.roots = size, roots

    def push(self, digest: bytes) -> None:
        """Add a leaf."""
        full = self.size
        while full & 1:
            digest, full = node(self.roots.pop(), digest), full >> 1
        self.roots.append(digest)
        self.size += 1

    def head(self) -> bytes:
        """The root over all leaves."""
        if not self.roots:
            return hashlib.sha256(b"").digest()
        digest = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            digest = node(left, digest)
        return digest


def both(old: bytes, m: int, n: int, steps: List[bytes], whole: bool) -> Tuple[bytes, bytes]:
    """The old and the new root that a consistency proof leads to; RFC 6962, section 2.1.2."""
    if m == n:
        same = old if whole else steps.pop()
        return same, same
    split, beside = 1 << (n - 1).bit_length() - 1, steps.pop()
    if m <= split:
        first, second = both(old, m, split, steps, whole)
        return first, node(second, beside)
    first, second = both(old, m - split, n - split, steps, False)
    return node(beside, first), node(beside, second)


class Policy:
    """Whose cosignatures make a quorum; source: c2sp.org/tlog-policy."""

    def __init__(self, content: str) -> None:
        self.witnesses: Dict[str, Key] = {}
        self.groups: List[Tuple[str, int, List[str]]] = []
        quorums = []
        for line in content.splitlines():
            words = line.split()
            if not words or words[0].startswith("#") or words[0] == "log":
                continue
            if words[0] == "witness" and 3 <= len(words) <= 4:
                self.new(words[1])
                self.witnesses[words[1]] = read_key(words[2])
            elif words[0] == "group" and len(words) >= 4:
                self.group(words[1], words[2], words[3:])
            elif words[0] == "quorum" and len(words) == 2:
                quorums.append(words[1])
            else:
                raise Failed(f"a policy with the line {line[:80]}")
        if len(quorums) != 1 or (quorums[0] != "none" and not self.known(quorums[0])):
            raise Failed("a policy without one quorum")
        if len({key.public for key in self.witnesses.values()}) != len(self.witnesses):
            raise Failed("a policy in which a witness counts twice")
        self.quorum = quorums[0]

    def group(self, name: str, count: str, members: List[str]) -> None:
        """Take a group, whose members stand before it and in no other."""
        self.new(name)
        taken = [member for _, _, others in self.groups for member in others]
        wanted = {"all": len(members), "any": 1}.get(count) or int(count)
        if not 1 <= wanted <= len(members) or len(set(members + taken)) != len(members + taken):
            raise Failed(f"a policy with a group {name} that cannot be")
        if not all(self.known(member) and member != name for member in members):
            raise Failed(f"a policy with members of {name} that nobody knows")
        self.groups.append((name, wanted, members))

    def known(self, name: str) -> bool:
        """Whether a line said what a name stands for."""
        return name in self.witnesses or name in [group[0] for group in self.groups]

    def new(self, name: str) -> None:
        """Failed when a name stands for something already."""
        if name == "none" or self.known(name):
            raise Failed(f"a policy that says twice what {name} is")

    def met(self, by: Set[str]) -> bool:
        """Whether these witnesses are a quorum."""
        have = set(by)
        for name, wanted, members in self.groups:
            if len(have.intersection(members)) >= wanted:
                have.add(name)
        return self.quorum == "none" or self.quorum in have


# The checks. Each gives a reason, or raises Failed or NotChecked.


class Asked(NamedTuple):
    """What the reader brought along."""

    keys: List[Key]
    policy: str | None
    older: List[str]


class Bundle:
    """An export, unpacked in a folder."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        self.folder, self.asked = folder, asked
        about = parsed(self.text("bundle.json").encode())
        if about.get("format") != FORMAT:
            raise Failed(f"this script reads {FORMAT}")
        numbers = ["since_us", "until_us", "first", "last", "size", "head_first", "head_last"]
        if not all(isinstance(about.get(name), int) for name in numbers):
            raise Failed("bundle.json is none")
        for name in numbers:
            if not 0 <= about[name] <= SIZE_MAX:
                raise Failed(f"bundle.json says {name} {about[name]}")
        self.about, self.log = about, str(about["log"])
        self.first, self.last, self.size = about["first"], about["last"], about["size"]
        self.head_first, self.head_last = about["head_first"], about["head_last"]
        self.heads: Dict[int, bytes] = {}
        self.keys: List[Key] = []
        # What the one reading of the entries leaves for the checks after it.
        self.later: Dict[str, str] = {}
        self.odd_times: List[int] = []
        self.counts: Dict[str, int] = {}
        self.closed = self.private = self.shown = 0
        self.erased: List[int] = []
        self.decisions: Dict[str, Dict[str, Any]] = {}
        self.commits: Set[str] = set()

    def text(self, name: str) -> str:
        """A file of the bundle, which is never a large one."""
        path = self.folder / name
        try:
            if path.is_symlink() or path.stat().st_size > FILE_BYTES_MAX:
                raise Failed(f"{name} is not what an export has there")
            return path.read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise Failed(f"truncation: {name} is missing") from None

    def files(self, pattern: str) -> List[str]:
        """Files by pattern, sorted by the number or name they begin with."""
        found = sorted(self.folder.glob(pattern), key=lambda file: (len(file.stem), file.stem))
        return [file.relative_to(self.folder).as_posix() for file in found]

    # Each check below is called by the name after `check_`, in this order.

    def check_files(self) -> str:
        """Every file is the one that was exported."""
        listed = {}
        for line in self.text("MANIFEST.sha256").splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
        there = set(self.everything()) - {"MANIFEST.sha256"}
        for name in sorted(set(listed) - there):
            raise Failed(f"truncation: {name} is missing")
        for name in sorted(there - set(listed)):
            raise Failed(f"insertion: {name} was not exported")
        for name in sorted(listed):
            hashed = hashlib.sha256()
            with (self.folder / name).open("rb") as file:
                for part in iter(lambda: file.read(1 << 20), b""):
                    hashed.update(part)
            if hashed.hexdigest() != listed[name]:
                raise Failed(f"edit: {name} is not what was exported")
        return f"{len(listed)} files"

    def everything(self) -> Iterator[str]:
        """The paths of all files; Failed where something is none."""
        for at, folders, files in os.walk(str(self.folder)):
            if "__pycache__" in folders:
                folders.remove("__pycache__")
            for name in folders + files:
                path = Path(at) / name
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise Failed(f"{name} does not belong into an export")
                if path.is_file():
                    yield path.relative_to(self.folder).as_posix()

    def check_keys(self) -> str:
        """Each key of the log was introduced by the one before it."""
        for number, file in enumerate(self.files("keys/*.note")):
            note = read_note(self.text(file))
            title, name, place, vkey = note.text.split("\n")[:4]
            if (title, name, place) != ("orloj audit key", self.log, str(number)):
                raise Failed(f"wrong key: {file} introduces no key of this log")
            key = read_key(vkey)
            for by in self.keys[-1:] + [key]:
                signer(note, [by])
            self.keys.append(key)
        if not self.keys:
            raise Failed("truncation: no key of the log is there")
        ids = ", ".join(key.id.hex() for key in self.keys)
        if not self.asked.keys:
            raise NotChecked(f"{ids} is the export's own word: give --key")
        if not set(self.asked.keys) & set(self.keys):
            raise Failed(
                f"wrong key: signed with {ids}, not with the one given; before a key was"
                " rotated, it is the one of then"
            )
        return f"{ids}, one of them the one given"

    def check_entries(self) -> str:
        """The entries follow each other, and are those of this log and period."""
        about = self.about
        if self.head_first != max(1, self.first - 1) or self.first > self.last + 1:
            raise Failed("deletion: the entry before the period is not there")
        if not self.last <= self.head_last <= min(self.last + 1, self.size):
            raise Failed("deletion: the entry after the period is not there")
        tree = Tree(self.head_first - 1, [bytes.fromhex(one) for one in about["before"]])
        wanted = {one.size for one in self.checkpoints()} | {self.size}
        wanted |= {read_checkpoint(one).size for one in self.asked.older}
        shown, erased = self.pairs("disclosures.jsonl"), self.pairs("erased.jsonl")
        following = Following(self, shown, erased)
        for seq, raw in enumerate(self.lines("headers.jsonl"), self.head_first):
            fields = entry(raw, seq, self.log)
            if seq > self.head_last:
                raise Failed(f"insertion: entry {seq} is not of the period")
            following.take(seq, fields)
            tree.push(hashlib.sha256(b"\x00" + raw).digest())
            if tree.size in wanted:
                self.heads[tree.size] = tree.head()
            progress(seq)
        following.end()
        if tree.size != self.head_last:
            raise Failed(f"truncation: entries after {tree.size} are missing")
        for digest in self.leaves():
            tree.push(digest)
            if tree.size in wanted:
                self.heads[tree.size] = tree.head()
        if tree.size != self.size:
            raise Failed(f"truncation: of {self.size} leaves {tree.size} are there")
        self.heads.setdefault(tree.size, tree.head())
        if self.head_last == self.last and self.last >= self.first:
            raise NotChecked("no entry after the period shows that it is whole")
        inside = self.last - self.first + 1
        return f"{inside} entries, number {self.first} to {self.last}"

    def check_tree(self) -> str:
        """The root over all entries is the one that was signed."""
        said = read_checkpoint(self.text("checkpoint"))
        if (said.log, said.size) != (self.log, self.size):
            raise Failed("edit: the checkpoint is not that of bundle.json")
        key = signer(said.note, self.keys)
        if self.size not in self.heads:
            raise NotChecked("there is no whole tree to compare: see entries")
        if self.heads[self.size] != said.root:
            raise Failed(
                "edit or rewrite: the first bad entry is between {} and {};"
                " the log's key signed others".format(*self.bounds())
            )
        return f"{said.size} entries, signed by {key.id.hex()}"

    def bounds(self) -> Tuple[int, int]:
        """Between which entries the first one lies that does not fit."""
        fits = 0
        for said in self.checkpoints():
            if said.size in self.heads and self.heads[said.size] != said.root:
                return fits + 1, said.size
            fits = said.size
        return fits + 1, self.size

    def checkpoints(self) -> List[Checkpoint]:
        """The checkpoints from the period on, smallest first, that can be read."""
        found = []
        for file in self.files("checkpoints/*.note"):
            try:
                found.append(read_checkpoint(self.text(file)))
            except (Failed, ValueError):
                continue  # check_checkpoints says so.
        return sorted(found, key=lambda one: one.size)

    def check_checkpoints(self) -> str:
        """Every checkpoint is signed, and each grew out of the one before."""
        before: Checkpoint | None = None
        files = self.files("checkpoints/*.note")
        for number, file in enumerate(files):
            said = read_checkpoint(self.text(file))
            if said.log != self.log or file != f"checkpoints/{said.size}.note":
                raise Failed(f"insertion: {file} is not of this log")
            signer(said.note, self.keys)
            progress(number, "checkpoints")
            if said.size in self.heads and self.heads[said.size] != said.root:
                if said.size == self.size:
                    raise Failed(self.forked(said))
                raise Failed(f"rewrite: of {said.size} entries others were signed")
            if before is not None:
                self.grown(before, said)
            before = said
        if before is None or before.size != self.size:
            raise Failed("truncation: the last checkpoint is missing")
        return f"{len(files)} checkpoints, each grew out of the one before"

    def grown(self, old: Checkpoint, new: Checkpoint) -> None:
        """Failed unless a proof shows that a checkpoint is an older one that grew."""
        name = f"consistency/{old.size}-{new.size}.txt"
        steps = [decoded(line) for line in self.text(name).splitlines()]
        try:
            ends = both(old.root, old.size, new.size, steps, True)
        except IndexError:
            ends = (b"", b"")
        if old.size > new.size or steps or ends != (old.root, new.root):
            raise Failed(f"rewrite: {new.size} entries did not grow out of {old.size}")

    def forked(self, other: Checkpoint) -> str:
        """Both checkpoints, which prove it together."""
        mine = self.text("checkpoint")
        return f"fork: the log's key signed two histories:\n{other.note.whole}\n{mine}"

    def check_against(self) -> str:
        """The checkpoints that you kept are of this log."""
        unknown = []
        for content in self.asked.older:
            said = read_checkpoint(content)
            if said.log != self.log:
                raise Failed(f"yours is of the log {said.log}")
            signer(said.note, self.keys + self.asked.keys)
            if said.size > self.size:
                unknown.append(f"{said.size} entries are more than the export proves")
            elif said.size not in self.heads:
                unknown.append(f"{said.size} entries end before the period")
            elif self.heads[said.size] != said.root:
                if said.size == self.size:
                    raise Failed(self.forked(said))
                raise Failed(
                    "rewrite with the key: of {} entries you kept another root; both are"
                    " signed:\n{}\n{}".format(
                        said.size, said.note.whole, self.text("checkpoint")
                    )
                )
        if unknown:
            raise NotChecked("; ".join(unknown) + ": ask for an export that ends there")
        sizes = ", ".join(str(read_checkpoint(one).size) for one in self.asked.older)
        return f"the first {sizes} entries are those that you have seen"

    def check_witnesses(self) -> str:
        """A quorum of witnesses cosigned the checkpoint."""
        given = self.asked.policy
        policy = Policy(self.text("policy") if given is None else given)
        note = read_checkpoint(self.text("checkpoint")).note
        found = {name for name, key in policy.witnesses.items() if cosigned(note, key)}
        hidden = {
            name
            for name, key in policy.witnesses.items()
            if key.type == ML_DSA_44 and (key.name, key.id) in note.signatures
        }
        names = ", ".join(sorted(found)) or "nobody"
        if not policy.met(found | hidden):
            raise Failed(f"stripped cosignature: {names} cosigned, no quorum")
        if not policy.met(found):
            raise NotChecked("{} signed with ML-DSA-44".format(", ".join(sorted(hidden))))
        if given is None:
            return f"{names} cosigned, a quorum by the export's own policy"
        return f"{names} cosigned, a quorum by your policy"

    def check_times(self) -> str:
        """No entry says a time that is still to come, and time does not go back."""
        self.told("times")
        if self.odd_times:
            shown = ", ".join(str(seq) for seq in self.odd_times[:SHOWN])
            raise NotChecked(
                f"entry {shown} says a time before that of an earlier one, or outside of the"
                " period: a clock was put back, or back-dating"
            )
        return "in order"

    def check_tasks(self) -> str:
        """No entry of a task is missing between its first and its last one here."""
        self.told("tasks")
        return f"{len(self.counts)} tasks without a gap, {self.closed} closed"

    def check_values(self) -> str:
        """Every value that is disclosed is the one that its entry commits to."""
        self.told("values")
        erased = ""
        if self.erased:
            shown = ", ".join(str(seq) for seq in self.erased[:SHOWN])
            erased = f"; {len(self.erased)} were erased, first of entry {shown}"
        return f"{self.shown} of {self.private} private values are shown{erased}"

    def told(self, name: str) -> None:
        """Failed with what was seen while the entries were read."""
        if name in self.later:
            raise Failed(self.later[name])
        if not self.heads:
            raise NotChecked("the entries cannot be read: see entries")

    def check_approvals(self) -> str:
        """Every request for approval is the one that the log knows, and is signed."""
        unsigned, count, program = [], 0, shutil.which("ssh-keygen")
        for name in self.files("approvals/*.json"):
            file = self.folder / name
            known = self.decisions.get(file.stem)
            if known is None:
                raise Failed(f"insertion: no entry asks for {name}")
            digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
            if known["digest"] != digest:
                raise Failed("edit: {} is not what entry {} says".format(name, known["seq"]))
            count += 1
            signature = file.with_suffix(".sig")
            if not signature.exists():
                if known.get("by_signature"):
                    raise Failed(f"stripped signature: that of {name} is missing")
            elif program:
                verify_ssh(program, self.folder / "approvals", file.stem, known.get("who"))
            else:
                unsigned.append(file.stem)
        if unsigned:
            command = (
                "ssh-keygen -Y verify -f approvals/allowed_signers -I {} -n orloj-approval"
            )
            who = self.decisions[unsigned[0]].get("who") or "NAME"
            one = "approvals/" + unsigned[0]
            raise NotChecked(
                "ssh-keygen is not here; digests fit; elsewhere: "
                + command.format(who)
                + f" -s {one}.sig < {one}.json"
            )
        return f"{count} requests are the ones that were asked"

    def check_git(self) -> str:
        """The manifests that decided are whole, and those that the entries name."""
        found = self.files("repo*.bundle")
        if not shutil.which("git"):
            raise NotChecked("git is not here; elsewhere: git bundle verify repo.bundle")
        held: Set[str] = set()
        for name in found:
            held |= commits_of(self.folder / name)
        strange = sorted(held - self.commits)
        if strange:
            raise Failed(f"insertion: no entry names commit {strange[0]}")
        count = len(held & self.commits)
        return f"{count} of {len(self.commits)} commits that entries name are here"

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, one at a time."""
        try:
            file = (self.folder / name).open("rb")
        except FileNotFoundError:
            raise Failed(f"truncation: {name} is missing") from None
        with file:
            while True:
                line = file.readline(LINE_BYTES_MAX)
                if not line:
                    return
                if not line.endswith(b"\n"):
                    raise Failed(f"truncation: {name} ends within a line")
                yield line[:-1]

    def pairs(self, name: str) -> Iterator[Dict[str, Any]]:
        """The lines of a file about private values, which is not always there."""
        if (self.folder / name).exists():
            for line in self.lines(name):
                yield parsed(line)

    def leaves(self) -> Iterator[bytes]:
        """The leaf hashes after the entries."""
        with (self.folder / "after.bin").open("rb") as file:
            for part in iter(lambda: file.read(32 << 10), b""):
                if len(part) % 32:
                    raise Failed("truncation: after.bin ends within a hash")
                for at in range(0, len(part), 32):
                    yield part[at : at + 32]


class Following:
    """Goes along with the entries, and remembers the first that does not fit of each kind."""

    def __init__(
        self,
        bundle: Bundle,
        shown: Iterator[Dict[str, Any]],
        erased: Iterator[Dict[str, Any]],
    ) -> None:
        self.bundle = bundle
        self.shown, self.erased = shown, erased
        self.next_shown, self.next_erased = next(shown, None), next(erased, None)
        self.newest_us = 0
        self.reason = ""
        self.now_us = int(time.time() * 1_000_000)

    def fail(self, check: str, reason: str) -> None:
        """Keep the first failure of a check."""
        self.bundle.later.setdefault(check, reason)

    def take(self, seq: int, fields: Dict[str, Any]) -> None:
        """Look at an entry."""
        self.take_time(seq, fields["time"])
        self.take_task(seq, fields)
        self.take_values(seq, fields.get("private") or {})
        commit, approval = fields.get("commit"), fields.get("approval")
        if isinstance(commit, str) and commit != "none":
            self.bundle.commits.add(commit)
        if isinstance(approval, str):
            self.take_approval(seq, approval, fields)

    def take_time(self, seq: int, time_us: int) -> None:
        """The neighbours of a period lie outside of it; a clock that was set is told of."""
        bundle, about = self.bundle, self.bundle.about
        inside = about["since_us"] <= time_us < about["until_us"]
        listed = bundle.first <= seq <= bundle.last
        if inside and not listed:
            raise Failed(f"deletion: entry {seq} is of the period and left out")
        odd = time_us < self.newest_us - SKEW_US or (listed and not inside)
        if odd and len(bundle.odd_times) < SHOWN:
            bundle.odd_times.append(seq)
        if time_us > self.now_us + SKEW_US:
            reason = "back-dating: entry {} says a time that is still to come"
            self.fail("times", reason.format(seq))
        self.newest_us = max(self.newest_us, time_us)

    def take_task(self, seq: int, fields: Dict[str, Any]) -> None:
        """The entries of a task are numbered from 1 on, and the last one says how many."""
        task, number = fields.get("task"), fields.get("task_seq")
        if task is None or number is None:
            return
        counts = self.bundle.counts
        if task in counts and number != counts[task] + 1:
            reason = "deletion: task {} has no number {}: entry {} is number {} of it"
            self.fail("tasks", reason.format(task, counts[task] + 1, seq, number))
        counts[task] = number
        if "entries" in fields:
            self.bundle.closed += 1
            if fields["entries"] != number:
                reason = (
                    "deletion: entry {} closes task {} and says {} entries; it is number {}"
                )
                self.fail("tasks", reason.format(seq, task, fields["entries"], number))

    def take_values(self, seq: int, private: Dict[str, str]) -> None:
        """The values that are disclosed stand in the order of their entries."""
        bundle = self.bundle
        bundle.private += len(private)
        disclosed, self.reason = set(), ""
        while self.next_shown is not None and self.next_shown["seq"] <= seq:
            one = self.next_shown
            message = one["field"].encode() + b"\x00"
            message += one["value"].encode("utf-8", "surrogatepass")
            made = hmac.new(bytes.fromhex(one["salt"]), message, hashlib.sha256).hexdigest()
            committed = private.get(one["field"]) if one["seq"] == seq else None
            if committed != "hmac-sha256:" + made:
                reason = "edited disclosure: {} of entry {} is not what it commits to"
                self.fail("values", reason.format(one["field"], one["seq"]))
            disclosed.add(one["field"])
            if one["field"] == "reason":
                self.reason = str(json.loads(one["value"]))
            bundle.shown += 1
            self.next_shown = next(self.shown, None)
        while self.next_erased is not None and self.next_erased["seq"] <= seq:
            one = self.next_erased
            if one["seq"] != seq or one["field"] not in private or one["field"] in disclosed:
                reason = "edited disclosure: {} of entry {} cannot have been erased"
                self.fail("values", reason.format(one["field"], one["seq"]))
            bundle.erased.append(seq)
            self.next_erased = next(self.erased, None)

    def take_approval(self, seq: int, approval: str, fields: Dict[str, Any]) -> None:
        """What was asked, who decided, and whether with a signature."""
        kind = fields.get("type")
        decided = kind in ("action.approval_granted", "action.approval_denied")
        if decided or kind == "action.approval_requested":
            known = self.bundle.decisions.setdefault(approval, {})
            known.update(seq=seq, digest=fields.get("digest"))
        if decided:
            actor, reason = str(fields.get("actor")), str(fields.get("reason") or self.reason)
            # A pseudonym names nobody: then the signature must be of anybody who is allowed.
            known["who"] = actor[len("approver:") :] if actor.startswith("approver:") else None
            known["by_signature"] = reason.startswith("signature of ")

    def end(self) -> None:
        """What is left belongs to no entry."""
        for one in (self.next_shown, self.next_erased):
            if one is not None:
                reason = "edited disclosure: entry {} is not here, or not in order"
                self.fail("values", reason.format(one["seq"]))


# What other programs say, where they are there.


def quiet(argv: List[str], given: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a program without settings of anybody's, and without questions."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    environment.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    environment.update(GIT_TERMINAL_PROMPT="0", HOME=os.devnull)
    with Path(given or os.devnull).open("rb") as content:
        return subprocess.run(
            argv, stdin=content, capture_output=True, env=environment, check=False
        )


def verify_ssh(program: str, folder: Path, request: str, who: str | None) -> None:
    """Failed unless who decided is who signed; by the keys that the export has for them."""
    file, signature = folder / (request + ".json"), folder / (request + ".sig")
    allowed = ["-f", str(folder / "allowed_signers"), "-s", str(signature)]
    principals = [who or ""]
    if who is None:
        found = quiet([program, "-Y", "find-principals"] + allowed)
        principals = found.stdout.decode("utf-8", "replace").splitlines()
    argv = [program, "-Y", "verify", "-n", "orloj-approval"] + allowed
    for one in principals:
        if quiet(argv + ["-I", one], file).returncode == 0:
            return
    raise Failed(f"wrong signature: approvals/{request}.sig is not of {who or 'an approver'}")


def commits_of(file: Path) -> Set[str]:
    """The commits that a Git bundle was made for; Failed unless all they stand on is in it."""
    with file.open("rb") as content:
        form = "sha256" if b"object-format=sha256" in content.read(200) else "sha1"
    with tempfile.TemporaryDirectory() as empty:
        quiet(["git", "init", "-q", "--bare", "--object-format=" + form, empty])
        options = ["-c", "transfer.fsckObjects=false", "-c", "protocol.file.allow=always"]
        fetch = ["fetch", "-q", "--no-tags", str(file.resolve()), "+refs/*:refs/*"]
        ran = quiet(["git", "-C", empty] + options + fetch)
        if ran.returncode:
            raise Failed(f"truncation: {file.name} is not whole")
        listed = quiet(
            ["git", "-C", empty, "for-each-ref", "--format=%(refname) %(objectname)"]
        )
    found = set()
    for line in listed.stdout.decode("ascii", "replace").splitlines():
        name, commit = line.split()
        if name.startswith("refs/orloj/audit/"):
            if not name.endswith(commit):
                raise Failed(f"edit: {name} of {file.name} is another commit")
            found.add(commit)
    return found


def no_float(text: str) -> NoReturn:
    """No entry has one."""
    raise ValueError(f"{text[:40]} is not written there")


def unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """A JSON object whose keys are all different."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


DECODER = json.JSONDecoder(
    object_pairs_hook=unique, parse_float=no_float, parse_constant=no_float
)
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parsed(raw: bytes) -> Dict[str, Any]:
    """The fields of a line; ValueError unless its bytes are the only ones for them."""
    try:
        fields = DECODER.decode(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is too deep") from None
    if not isinstance(fields, dict):
        raise ValueError("it is no object")
    if ENCODER.encode(fields).encode("utf-8", "backslashreplace") != raw:
        raise ValueError("it is not in the one form that is written")
    return fields


def entry(raw: bytes, seq: int, log: str) -> Dict[str, Any]:
    """The fields of an entry; Failed unless it is the one of this number in this log."""
    try:
        fields = parsed(raw)
    except ValueError as error:
        raise Failed(f"edit: entry {seq} is none that was written: {error}") from None
    said = fields.get("seq")
    if not isinstance(said, int) or not isinstance(fields.get("time"), int):
        raise Failed(f"edit: entry {seq} has no number or no time")
    if said > seq:
        raise Failed(f"deletion or reordering: entry {said} stands in place of {seq}")
    if said < seq:
        raise Failed(f"insertion or reordering: entry {said} stands in place of {seq}")
    if fields.get("v") != 1 and fields.get("log") != log:
        raise Failed(f"insertion: entry {seq} is of another log")
    return fields


# The command.


def unpack(file: Path, into: Path) -> Path:
    """The folder of an export that came as one file; hostile members are refused."""
    left = file.stat().st_size
    with tarfile.open(str(file), "r:") as tar:
        for member in tar:
            parts = Path(member.name).parts
            left -= member.size
            named = ".." in parts or os.path.isabs(member.name) or "\\" in member.name
            if not member.isreg() or member.sparse or named or len(parts) < 2:
                raise Failed(f"{member.name} does not belong into an export")
            if left < 0:
                raise Failed(f"truncation: the file ends before {member.name} does")
            target = into.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            with target.open("xb") as opened:
                shutil.copyfileobj(source, opened)  # type: ignore[arg-type]
    folders = list(into.iterdir())
    if len(folders) != 1:
        raise Failed("the file holds no export, or more than one")
    return folders[0]


STARTED = SPOKEN = time.monotonic()


def progress(done: int, what: str = "entries") -> None:
    """Say how far it is on a terminal, once it takes long enough to wonder."""
    global SPOKEN
    if done % 500 == 0 and sys.stderr.isatty() and time.monotonic() - SPOKEN > 1:
        SPOKEN = time.monotonic()
        sys.stderr.write(f"\r\x1b[2K{done} {what} ...\r")
        sys.stderr.flush()


def say(outcome: str, name: str, reason: str) -> None:
    """One line, whatever a stranger wrote: nothing in it steers a terminal."""
    text = f"{outcome:<12} {name:<12} {reason}"
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in text.split("\n")]
    encoding = sys.stdout.encoding or "ascii"
    shown = "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    if sys.stderr.isatty() and SPOKEN != STARTED:
        sys.stderr.write("\r\x1b[2K")
    print(shown, flush=True)


def run(folder: Path, asked: Asked) -> int:
    """Make every check; the exit code."""
    bundle = Bundle(folder, asked)
    names = [name[len("check_") :] for name in vars(Bundle) if name.startswith("check_")]
    left_out = []
    if not asked.older:
        names.remove("against")
        left_out.append("a checkpoint that you kept (--against)")
    if asked.policy is None and not (folder / "policy").exists():
        names.remove("witnesses")
        left_out.append("witnesses (--policy)")
    if not bundle.files("repo*.bundle"):
        names.remove("git")
        left_out.append("manifests (there is no repository in it)")
    outcomes = []
    for name in names:
        try:
            outcome, reason = "PASS", getattr(bundle, "check_" + name)()
        except Failed as error:
            outcome, reason = "FAIL", str(error)
        except NotChecked as error:
            outcome, reason = "NOT-CHECKED", str(error)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            outcome, reason = "FAIL", f"edit: it cannot be read: {error!r}"
        outcomes.append(outcome)
        say(outcome, name, reason)
    if left_out:
        print("Not asked for: {}.".format("; ".join(left_out)))
    return 1 if "FAIL" in outcomes else 2 if "NOT-CHECKED" in outcomes else 0


def main() -> int:
    """Read the arguments and verify."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("bundle", nargs="?", type=Path, default=here)
    parser.add_argument("--key", action="append", default=[], metavar="VKEY")
    parser.add_argument("--policy", type=Path, metavar="FILE")
    parser.add_argument("--against", action="append", default=[], type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            keys = [read_key(key) for key in given.key]
            policy = given.policy.read_text("utf-8") if given.policy else None
            older = [file.read_text("utf-8") for file in given.against]
            for content in older:
                read_checkpoint(content)
        except (Failed, ValueError, OSError) as error:
            parser.error(str(error))
        try:
            folder = given.bundle
            if not folder.is_dir():
                folder = unpack(folder, Path(temporary))
            return run(folder, Asked(keys, policy, older))
        except (Failed, ValueError, KeyError, TypeError, OSError, EOFError) as error:
            say("FAIL", "bundle", str(error))
        except tarfile.TarError as error:
            say("FAIL", "bundle", f"truncation: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
