#!/usr/bin/env python3
"""Verify an export of an Orloj audit log: offline, with nothing but Python 3.8 or newer.

    python3 verify.py [FOLDER or FILE.tar] [--key VKEY] [--checkpoint FILE]

`--key` is the log's public key as you got it from somebody you trust; without it the export
vouches for itself. `--checkpoint` is an older checkpoint that you kept: the log must have
grown out of it. One line for each check: PASS, FAIL or NOT-CHECKED. Exit codes: 0 all
passed, 1 something failed, 2 nothing failed and something could not be checked.

    headers ──leaf hashes──> tree ──root──> checkpoint ──signature──> key ──> you

Sources: RFC 6962 (tree), RFC 8032 (Ed25519), c2sp.org/signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

FORMAT = "orloj-audit-bundle/1"
DASH = "\u2014 "
EDIT, TRUNCATION, REORDER = "edit", "truncation", "reordering"


class Failed(Exception):
    """A check that did not pass, and why."""


class NotChecked(Exception):
    """A check that could not be made, and why."""


# Ed25519, RFC 8032. Slow and small: a handful of signatures is all there is.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = Tuple[int, int, int, int]


def add(one: Point, two: Point) -> Point:
    """The sum of two points of the curve."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    """A point added to itself."""
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


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
    """Whether an Ed25519 signature is of a message."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:
        return False
    try:
        key, r = point(public), point(signature[:32])
    except Failed:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ORDER
    left, right = times(s, BASE), add(r, times(k, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


# Notes and the tree.


class Key(NamedTuple):
    """A public key with its name."""

    name: str
    id: bytes
    public: bytes


class Note(NamedTuple):
    """A text, and its signatures by name and key id."""

    text: str
    signatures: Dict[Tuple[str, bytes], bytes]


def read_key(text: str) -> Key:
    """A key from its vkey."""
    name, id, encoded = text.strip().split("+", 2)
    content = base64.b64decode(encoded, validate=True)
    made = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
    if made.hex() != id or content[0] != 1:
        raise Failed(f"{name} is no Ed25519 key")
    return Key(name, made, content[1:])


def read_note(content: str) -> Note:
    """A note from its text."""
    text, separator, lines = content.rpartition("\n\n")
    signatures: Dict[Tuple[str, bytes], bytes] = {}
    for line in lines.splitlines():
        name, _, encoded = line[len(DASH) :].partition(" ")
        value = base64.b64decode(encoded, validate=True)
        signatures.setdefault((name, value[:4]), value[4:])
    if not separator or not signatures:
        raise Failed("a note without a signature: it was stripped")
    return Note(text + "\n", signatures)


def signer(note: Note, keys: List[Key]) -> Key:
    """The key that signed a note; Failed when none of these did, or one wrongly."""
    found = None
    for key in keys:
        value = note.signatures.get((key.name, key.id))
        if value is not None:
            if not signed(key.public, note.text.encode(), value):
                raise Failed(f"the signature of {key.name} is not of this text")
            found = key
    if found is None:
        raise Failed(
            "wrong key: nobody of {} signed it".format(", ".join(k.name for k in keys))
        )
    return found


def read_checkpoint(note: Note) -> Tuple[str, int, bytes]:
    """Log, size and root of a checkpoint."""
    log, size, root = note.text.split("\n")[:3]
    return log, int(size), base64.b64decode(root, validate=True)


def leaf(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


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


# The checks. Each gives a reason, or raises Failed or NotChecked.


class Bundle:
    """An export, unpacked in a folder."""

    def __init__(self, folder: Path, pinned: List[Key], older: str | None) -> None:
        self.folder, self.pinned, self.older = folder, pinned, older
        self.about = json.loads(self.text("bundle.json"))
        if self.about.get("format") != FORMAT:
            raise Failed(f"this script reads {FORMAT}")
        self.heads: Dict[int, bytes] = {}
        self.requests: Dict[str, str] = {}
        self.private: Dict[int, Dict[str, str]] = {}
        self.keys: List[Key] = []

    def text(self, name: str) -> str:
        """A file of the bundle."""
        try:
            return (self.folder / name).read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise Failed(f"{TRUNCATION}: {name} is missing") from None

    def files(self, pattern: str) -> List[Path]:
        """Files by pattern, sorted by the number or name they begin with."""
        found = self.folder.glob(pattern)
        return sorted(found, key=lambda file: (len(file.stem), file.stem))

    # Each check below is called by the name after `check_`, in this order.

    def check_files(self) -> str:
        """Every file is the one that was exported."""
        listed = {}
        for line in self.text("MANIFEST.sha256").splitlines():
            digest, _, name = line.partition("  ")
            listed[name] = digest
        there = {
            str(file.relative_to(self.folder))
            for file in self.folder.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        } - {"MANIFEST.sha256"}
        for name in sorted(set(listed) - there):
            raise Failed(f"{TRUNCATION}: {name} is missing")
        for name in sorted(there - set(listed)):
            raise Failed(f"insertion: {name} was not exported")
        for name in sorted(listed):
            hashed = hashlib.sha256()
            with (self.folder / name).open("rb") as file:
                for part in iter(lambda: file.read(1 << 20), b""):
                    hashed.update(part)
            if hashed.hexdigest() != listed[name]:
                raise Failed(f"{EDIT}: {name} is not what was exported")
        return f"{len(listed)} files"

    def check_keys(self) -> str:
        """Each key of the log was introduced by the one before it."""
        log = self.about["log"]
        before: List[Key] = []
        for number, file in enumerate(self.files("keys/*.note")):
            note = read_note(file.read_text("utf-8"))
            title, name, place, vkey = note.text.split("\n")[:4]
            if (title, name, place) != ("orloj audit key", log, str(number)):
                raise Failed(f"key {number} is not introduced by its note")
            key = read_key(vkey)
            for by in (*before[-1:], key):
                signer(note, [by])
            before.append(key)
        self.keys = before
        if not before:
            raise Failed(f"{TRUNCATION}: no key of the log is there")
        if self.pinned and not set(self.pinned) & set(before):
            raise Failed("wrong key: the log was not signed with the key given")
        if not self.pinned:
            ids = ", ".join(key.id.hex() for key in before)
            raise NotChecked(f"{ids} vouches for itself; give --key to compare")
        return f"{len(before)} keys, one of them yours"

    def check_entries(self) -> str:
        """The entries follow each other, and are of this log and period."""
        about, count, last_us = self.about, 0, 0
        tree = Tree(about["head_first"] - 1, [bytes.fromhex(one) for one in about["before"]])
        self.heads[tree.size] = tree.head()
        wanted = {size for size, _, _ in self.checkpoints()}
        for raw in self.lines("headers.jsonl"):
            seq = about["head_first"] + count
            fields = parsed(raw, seq)
            if fields.get("seq") != seq:
                raise Failed(f"{REORDER} or deletion: entry {seq} is not in its place")
            if fields.get("v") != 1 and fields.get("log") != about["log"]:
                raise Failed(f"insertion: entry {seq} is of another log")
            self.look_at_time(seq, fields["time"])
            last_us = max(last_us, fields["time"])
            self.remember(seq, fields)
            tree.push(leaf(raw))
            if tree.size in wanted:
                self.heads[tree.size] = tree.head()
            count += 1
        if about["head_first"] + count - 1 != about["head_last"]:
            raise Failed(f"{TRUNCATION}: entries after {tree.size} are missing")
        after = (self.folder / "after.bin").read_bytes()
        for at in range(0, len(after), 32):
            tree.push(after[at : at + 32])
            if tree.size in wanted:
                self.heads[tree.size] = tree.head()
        self.heads[tree.size] = tree.head()
        inside = about["last"] - about["first"] + 1
        return f"{inside} entries, number {about['first']} to {about['last']}"

    def look_at_time(self, seq: int, time: int) -> None:
        """The neighbours of a period lie outside of it, and nothing else does."""
        about = self.about
        inside = about["since_us"] <= time < about["until_us"]
        if about["first"] <= seq <= about["last"] and not inside:
            # A clock that was put back makes such entries, too; they are named all the same.
            raise Failed(f"back-dating: entry {seq} is not of the period it stands in")
        if not about["first"] <= seq <= about["last"] and inside:
            raise Failed(f"deletion: entry {seq} belongs to the period")

    def remember(self, seq: int, fields: Dict[str, Any]) -> None:
        """What later checks compare with."""
        if fields.get("private"):
            self.private[seq] = fields["private"]
        if fields.get("type") == "action.approval_requested" and fields.get("approval"):
            self.requests[fields["approval"]] = fields.get("digest", "")

    def check_tree(self) -> str:
        """The root over all entries is the one that was signed."""
        note = read_note(self.text("checkpoint"))
        log, size, root = read_checkpoint(note)
        if log != self.about["log"] or size != self.about["size"]:
            raise Failed("the checkpoint is not that of bundle.json")
        if size not in self.heads:
            raise Failed(f"{TRUNCATION}: the log is shorter than the checkpoint says")
        if self.heads[size] != root:
            bad = "{} to {}".format(*self.bounds())
            raise Failed(f"rewrite: entries {bad} are not those that were signed")
        key = signer(note, self.keys)
        return f"{size} entries, signed by {key.id.hex()}"

    def bounds(self) -> Tuple[int, int]:
        """Between which entries the first one lies that does not fit."""
        fits = self.about["head_first"] - 1
        for size, root, _ in self.checkpoints():
            if size in self.heads and self.heads[size] != root:
                return fits + 1, size
            fits = size
        return fits + 1, self.about["size"]

    def checkpoints(self) -> List[Tuple[int, bytes, Note]]:
        """The checkpoints within the period, smallest first."""
        found = []
        for file in self.files("checkpoints/*.note"):
            note = read_note(file.read_text("utf-8"))
            _, size, root = read_checkpoint(note)
            found.append((size, root, note))
        return sorted(found, key=lambda one: one[0])

    def check_checkpoints(self) -> str:
        """Every checkpoint of the period is signed, and each grew out of the one before."""
        notes = self.checkpoints()
        if not notes:
            return "no checkpoint within the period but the last"
        for size, root, note in notes:
            signer(note, self.keys)
            if size in self.heads and self.heads[size] != root:
                raise Failed(f"fork: the checkpoint of {size} entries has another root")
        for file in self.files("consistency/*.txt"):
            old, _, new = file.stem.partition("-")
            roots = {size: root for size, root, _ in notes}
            roots.setdefault(self.about["size"], self.heads[self.about["size"]])
            proof = [base64.b64decode(one) for one in file.read_text("ascii").split()]
            try:
                ends = both(roots[int(old)], int(old), int(new), proof, True)
            except IndexError:
                ends = (b"", b"")
            if proof or ends != (roots[int(old)], roots[int(new)]):
                raise Failed(f"rewrite: {new} entries did not grow out of {old}")
        return f"{len(notes)} checkpoints"

    def check_your_copy(self) -> str:
        """The checkpoint that you kept is part of this log."""
        note = read_note(self.older or "")
        log, size, root = read_checkpoint(note)
        signer(note, self.keys)
        if log != self.about["log"]:
            raise Failed(f"your checkpoint is of the log {log}")
        if size > self.about["size"]:
            raise Failed(f"rollback: you have seen {size} entries")
        if size not in self.heads:
            raise NotChecked("it lies before the period; export from an earlier time")
        if self.heads[size] != root:
            shown = "\n{}\n{}".format(note.text, self.text("checkpoint"))
            raise Failed(f"rewrite with the key, or fork: yours has another root{shown}")
        return f"{size} entries that you have seen are the same"

    def check_tasks(self) -> str:
        """No entry of a task is missing between its first and its last one in the period."""
        counts: Dict[str, int] = {}
        closed = 0
        for raw in self.lines("headers.jsonl"):
            fields = json.loads(raw)
            task, number = fields.get("task"), fields.get("task_seq")
            if task is None or number is None:
                continue
            if task in counts and number != counts[task] + 1:
                raise Failed(f"deletion: task {task} has no entry {counts[task] + 1}")
            counts[task] = number
            if "entries" in fields:
                closed += 1
                if fields["entries"] != number:
                    raise Failed(f"task {task} says {fields['entries']} entries")
        return f"{len(counts)} tasks, {closed} ended"

    def check_values(self) -> str:
        """Every value that is disclosed is the one that its entry commits to."""
        count = 0
        for raw in self.lines("disclosures.jsonl"):
            one = json.loads(raw)
            message = (
                one["field"].encode() + b"\x00" + one["value"].encode("utf-8", "surrogatepass")
            )
            made = hmac.new(bytes.fromhex(one["salt"]), message, hashlib.sha256).hexdigest()
            if self.private.get(one["seq"], {}).get(one["field"]) != "hmac-sha256:" + made:
                raise Failed(f"edited disclosure: {one['field']} of entry {one['seq']}")
            count += 1
        kept = sum(len(fields) for fields in self.private.values())
        return f"{count} of {kept} private values are disclosed"

    def check_approvals(self) -> str:
        """Every request for approval is the one that the log knows, and is signed."""
        allowed = self.folder / "approvals" / "allowed_signers"
        program, count = shutil.which("ssh-keygen"), 0
        for file in self.files("approvals/*.json"):
            digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
            if self.requests.get(file.stem, digest) != digest:
                raise Failed(f"edit: the request {file.stem} is not the one of the log")
            count += 1
            signature = file.with_suffix(".sig")
            if signature.exists() and not program:
                raise NotChecked(f"ssh-keygen is not there; {count} digests fit")
            if signature.exists():
                verify_ssh(str(program), allowed, file, signature)
        return f"{count} requests"

    def check_git(self) -> str:
        """The manifests that decided are in bundles that git can read."""
        found = self.files("repo*.bundle")
        if not found:
            return "no repository was part of it"
        if not shutil.which("git"):
            raise NotChecked("git is not there")
        for file in found:
            with tempfile.TemporaryDirectory() as empty:
                subprocess.run(["git", "init", "-q", "--bare", empty], check=True)
                ran = subprocess.run(
                    ["git", "-C", empty, "bundle", "verify", "-q", str(file.resolve())],
                    capture_output=True,
                    check=False,
                )
            if ran.returncode:
                raise Failed(f"{file.name} is not whole")
        return f"{len(found)} bundles"

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file, one at a time."""
        path = self.folder / name
        if not path.exists():
            raise Failed(f"{TRUNCATION}: {name} is missing")
        with path.open("rb") as file:
            for line in file:
                yield line[:-1] if line.endswith(b"\n") else line


def verify_ssh(program: str, allowed: Path, file: Path, signature: Path) -> None:
    """Failed unless one of the allowed signers signed a file."""
    found = subprocess.run(
        [program, "-Y", "find-principals", "-s", str(signature), "-f", str(allowed)],
        capture_output=True,
        check=False,
    )
    for who in found.stdout.decode("utf-8", "replace").splitlines():
        with file.open("rb") as content:
            ran = subprocess.run(
                [program, "-Y", "verify", "-f", str(allowed), "-I", who, "-n"]
                + ["orloj-approval", "-s", str(signature)],
                stdin=content,
                capture_output=True,
                check=False,
            )
        if ran.returncode == 0:
            return
    raise Failed(f"stripped or wrong signature: {signature.name}")


def parsed(raw: bytes, seq: int) -> Dict[str, Any]:
    """The fields of an entry; Failed unless its bytes are the only ones for them."""
    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Failed(f"{EDIT}: entry {seq} is no entry ({error})") from None
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if not isinstance(fields, dict) or text.encode("utf-8", "backslashreplace") != raw:
        raise Failed(f"{EDIT}: entry {seq} is not in the one form that is written")
    return fields


def unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """A JSON object whose keys are all different."""
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def unpack(file: Path, into: Path) -> Path:
    """The folder of an export that came as one file; hostile members are refused."""
    with tarfile.open(str(file)) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if not member.isfile() or ".." in parts or os.path.isabs(member.name):
                raise Failed(f"{member.name} does not belong into an export")
            target = into.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            with target.open("xb") as opened:
                shutil.copyfileobj(source, opened)  # type: ignore[arg-type]
    folders = [one for one in into.iterdir() if one.is_dir()]
    if len(folders) != 1:
        raise Failed("the file holds no export")
    return folders[0]


def run(folder: Path, pinned: List[Key], older: str | None) -> int:
    """Make every check; the exit code."""
    try:
        bundle = Bundle(folder, pinned, older)
    except (Failed, ValueError, OSError) as error:
        print(f"FAIL         bundle       {error}")
        return 1
    names = [name for name in vars(Bundle) if name.startswith("check_")]
    if older is None:
        names.remove("check_your_copy")
    outcomes = []
    for name in names:
        shown = name[len("check_") :].replace("_", "-")
        try:
            outcome, reason = "PASS", getattr(bundle, name)()
        except Failed as error:
            outcome, reason = "FAIL", str(error)
        except NotChecked as error:
            outcome, reason = "NOT-CHECKED", str(error)
        except (ValueError, KeyError, TypeError, OSError) as error:
            outcome, reason = "FAIL", f"cannot be read: {error!r}"
        outcomes.append(outcome)
        print(f"{outcome:<12} {shown:<12} {reason}")
    return 1 if "FAIL" in outcomes else 2 if "NOT-CHECKED" in outcomes else 0


def main() -> int:
    """Read the arguments and verify."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("bundle", nargs="?", type=Path, default=here)
    parser.add_argument("--key", action="append", default=[], metavar="VKEY")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        try:
            pinned = [read_key(key) for key in given.key]
            older = given.checkpoint.read_text("utf-8") if given.checkpoint else None
            folder = given.bundle
            if folder.is_file():
                folder = unpack(folder, Path(temporary))
        except (Failed, ValueError, OSError, tarfile.TarError) as error:
            print(f"FAIL         bundle       {error}")
            return 1
        return run(folder, pinned, older)


if __name__ == "__main__":
    sys.exit(main())
