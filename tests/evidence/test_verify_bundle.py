"""`verify.py` names what was done to an export, alone, offline, with nothing installed.

Each test changes one thing and makes the list of hashes fit again, as a forger would.
"""

import ast
import hashlib
import hmac
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import DAY_US, Bundle, Log

from reconciler.evidence import verify
from reconciler.proof import checkpoint, keys, note
from runner.contract import audit, audit_entry, clock, merkle
from runner.contract.audit_entry import Entry, EntryType

SCRIPT = Path(verify.__file__)


def run(bundle: Path, *arguments: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, and outcome and reason of each check; in an empty environment."""
    argv = [sys.executable, "-I", "-B", str(SCRIPT), str(bundle), *arguments]
    if os.geteuid() == 0:  # Without any network at all.
        argv = ["/usr/bin/unshare", "-n", *argv]
    done = subprocess.run(
        argv, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    told = {line[1]: (line[0], line[2]) for line in lines if len(line) == 3}
    return done.returncode, told, done.stdout


class Export:
    """Three days under four checkpoints, of which the second day is exported."""

    def __init__(self, folder: Path) -> None:
        self.log = Log(folder / "home")
        now_us = clock.now_us()
        self.log.fill(5, now_us - 3 * DAY_US)
        self.log.sign()
        self.log.call("t2", now_us - 2 * DAY_US, arguments={"file": "a"})
        self.log.call("t2", now_us - 2 * DAY_US, arguments={"file": "b"})
        self.log.fill(6, now_us - 2 * DAY_US)
        self.log.sign()
        ended = Entry(
            type=EntryType.TASK_FINISHED, task="t2", actor="worker:1", commit="a" * 40
        )
        self.log.add(ended, at_us=now_us - 2 * DAY_US + 1)
        self.log.fill(3, now_us - 2 * DAY_US + 2)
        self.log.sign()
        self.log.fill(4, now_us - DAY_US)
        self.log.sign()
        self.tar = folder / "export.tar"
        self.log.export(
            self.tar, "--from", "60h", "--to", "36h", "--disclose", "arguments", "--json"
        )
        self.bundle = Bundle.unpack(self.tar, folder / "unpacked")
        self.folder = self.bundle.folder
        with self.log.home.database.read() as connection:
            self.keys = [str(one.key) for one in keys.known(connection)]
            self.name = audit.name(connection)
        self.signer = keys.signing(self.log.settings, self.name)

    def seal(self) -> None:
        """Make the list of hashes fit what is there."""
        listed = self.folder / "MANIFEST.sha256"
        files = sorted(
            str(file.relative_to(self.folder))
            for file in self.folder.rglob("*")
            if file.is_file() and file != listed
        )
        listed.write_text(
            "".join(
                f"{hashlib.sha256((self.folder / name).read_bytes()).hexdigest()}  {name}\n"
                for name in files
            )
        )

    def rows(self) -> list[bytes]:
        return (self.folder / "headers.jsonl").read_bytes().splitlines()

    def write(self, rows: list[bytes]) -> None:
        (self.folder / "headers.jsonl").write_bytes(b"".join(row + b"\n" for row in rows))

    def edit(self, at: int, **fields: object) -> None:
        rows = self.rows()
        rows[at] = audit_entry.encoded({**json.loads(rows[at]), **fields})
        self.write(rows)

    def about(self, **fields: object) -> None:
        file = self.folder / "bundle.json"
        file.write_text(audit_entry.canonical({**json.loads(file.read_text()), **fields}))

    def sign(self, size: int, root: bytes) -> str:
        text = checkpoint.Checkpoint(self.name, size, root).text
        return str(note.Note(text, (self.signer.sign(text),)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(tmp_path_factory.mktemp("export"))


@pytest.fixture
def export(made: Export, tmp_path: Path) -> Export:
    """The same export, in a folder that the test may spoil."""
    copy = object.__new__(Export)
    copy.__dict__.update(made.__dict__)
    copy.folder = Path(shutil.copytree(made.folder, tmp_path / "spoilt"))
    return copy


def test_an_export_passes_as_a_file_and_as_a_folder(made: Export) -> None:
    for bundle in (made.tar, made.folder):
        code, told, out = run(bundle, "--key", made.keys[0])
        assert code == 0, out
        assert {outcome for outcome, _ in told.values()} == {"PASS"}
    assert told["entries"][1] == "12 entries, number 6 to 17"
    assert told["values"][1] == "2 of 2 private values are disclosed"
    assert told["tasks"][1] == "2 tasks, 1 ended"


def test_without_a_key_of_ones_own_it_says_that_the_export_vouches_for_itself(
    made: Export,
) -> None:
    code, told, _ = run(made.tar)
    assert (code, told["keys"][0]) == (2, "NOT-CHECKED")


def test_it_is_python_3_8_and_imports_only_what_python_brings() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for found in ast.walk(tree)
        for name in (
            [alias.name for alias in found.names]
            if isinstance(found, ast.Import)
            else [found.module or ""]
            if isinstance(found, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_the_script_in_the_export_is_the_one_that_is_tested(made: Export) -> None:
    assert (made.folder / "verify.py").read_bytes() == SCRIPT.read_bytes()


def drop(at: int) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        rows = export.rows()
        del rows[at]
        export.write(rows)

    return change


def swap(export: Export) -> None:
    rows = export.rows()
    rows[2], rows[3] = rows[3], rows[2]
    export.write(rows)


def renumbered(export: Export) -> None:
    """Without an entry, every number made to fit."""
    rows = [json.loads(row) for row in export.rows()]
    del rows[4]
    first = rows[0]["seq"]
    fitting = [{**row, "seq": first + at} for at, row in enumerate(rows)]
    export.write([audit_entry.encoded(row) for row in fitting])
    after = (export.folder / "after.bin").read_bytes()
    (export.folder / "after.bin").write_bytes(merkle.leaf(b"x") + after)
    export.about(head_last=fitting[-1]["seq"], last=fitting[-2]["seq"])


def doubled_key(export: Export) -> None:
    rows = export.rows()
    rows[3] = rows[3].replace(b'{"', b'{"decision":"deny","', 1)
    export.write(rows)


def other_root(export: Export) -> None:
    (export.folder / "checkpoint").write_text(export.sign(21, merkle.leaf(b"other")))


def stripped(export: Export) -> None:
    text = (export.folder / "checkpoint").read_text()
    (export.folder / "checkpoint").write_text(text[: text.index("\u2014")])


def another_signer(export: Export) -> None:
    other = note.generate(export.name)
    text = note.parse((export.folder / "checkpoint").read_text()).text
    (export.folder / "checkpoint").write_text(str(note.Note(text, (other.sign(text),))))


def forked(export: Export) -> None:
    """Another root for a size within, signed with the log's own key."""
    file = export.folder / "checkpoints" / "13.note"
    file.write_text(export.sign(13, merkle.leaf(b"other")))


def another_proof(export: Export) -> None:
    file = next((export.folder / "consistency").glob("13-*.txt"))
    file.write_text(file.read_text().splitlines()[0] + "\n")


def uncounted(export: Export) -> None:
    rows = export.rows()
    at = next(at for at, row in enumerate(rows) if b'"entries":' in row)
    export.edit(at, entries=9)


def disclosed(export: Export) -> None:
    file = export.folder / "disclosures.jsonl"
    file.write_text(file.read_text().replace('\\"a\\"', '\\"c\\"'))


ATTACKS = [
    pytest.param(drop(4), "entries", "deletion", id="an entry dropped"),
    pytest.param(drop(-1), "entries", "truncation", id="the last entry dropped"),
    pytest.param(swap, "entries", "reordering", id="two swapped"),
    pytest.param(renumbered, "tree", "rewrite: entries 6 to 13", id="dropped, renumbered"),
    pytest.param(
        lambda export: export.edit(3, decision="deny"),
        "tree",
        "rewrite: entries 6 to 13",
        id="a decision edited",
    ),
    pytest.param(doubled_key, "entries", "a key is given twice", id="a key twice"),
    pytest.param(
        lambda export: export.edit(3, time=1),
        "entries",
        "back-dating: entry 8",
        id="back-dated",
    ),
    pytest.param(
        lambda export: export.edit(3, log="orloj/other"),
        "entries",
        "insertion: entry 8",
        id="of another log",
    ),
    pytest.param(other_root, "tree", "rewrite", id="another root, signed"),
    pytest.param(stripped, "tree", "stripped", id="signature stripped"),
    pytest.param(another_signer, "tree", "wrong key", id="signed by another"),
    pytest.param(forked, "checkpoints", "fork", id="a fork"),
    pytest.param(another_proof, "checkpoints", "did not grow", id="a proof replaced"),
    pytest.param(uncounted, "tasks", "says 9 entries", id="a count changed"),
    pytest.param(disclosed, "values", "edited disclosure: arguments of entry 6", id="a value"),
    pytest.param(
        lambda export: (export.folder / "after.bin").write_bytes(b""),
        "tree",
        "shorter than the checkpoint",
        id="leaves dropped",
    ),
    pytest.param(
        lambda export: next((export.folder / "keys").glob("*.note")).unlink(),
        "keys",
        "truncation",
        id="key dropped",
    ),
]


@pytest.mark.parametrize(("change", "check", "words"), ATTACKS)
def test_what_was_done_is_named(
    export: Export, change: Callable[[Export], None], check: str, words: str
) -> None:
    change(export)
    code, told, _ = run(export.folder)
    assert (code, told["files"][0]) == (1, "FAIL"), "the list of hashes shows it at once"
    export.seal()
    code, told, out = run(export.folder)
    assert (code, told[check][0]) == (1, "FAIL"), out
    assert words in told[check][1]


@pytest.mark.parametrize("name", ["log", "seq", "time", "type", "code", "actor", "commit", "v"])
def test_every_field_of_a_header_is_covered(export: Export, name: str) -> None:
    value = json.loads(export.rows()[5])[name]
    export.edit(5, **{name: value + 1 if isinstance(value, int) else "other"})
    export.seal()
    assert run(export.folder)[0] == 1


def test_a_file_that_is_missing_or_too_much_is_named(export: Export) -> None:
    (export.folder / "csv/entries.csv").unlink()
    assert "truncation: csv/entries.csv" in run(export.folder)[1]["files"][1]
    export.seal()
    (export.folder / "more").write_text("x")
    assert "insertion: more" in run(export.folder)[1]["files"][1]


def test_a_key_that_you_know_otherwise_must_be_one_of_the_log(made: Export) -> None:
    other = str(note.generate(made.name).verifier)
    code, told, _ = run(made.tar, "--key", other)
    assert (code, told["keys"][0]) == (1, "FAIL")
    assert "wrong key" in told["keys"][1]


def test_a_checkpoint_that_you_kept_must_be_part_of_the_log(
    made: Export, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    key = ("--key", made.keys[0], "--checkpoint", str(kept))
    kept.write_text((made.folder / "checkpoints/13.note").read_text())
    assert run(made.tar, *key)[0] == 0
    kept.write_text(made.sign(13, merkle.leaf(b"other")))
    code, told, out = run(made.tar, *key)
    assert (code, told["your-copy"][0]) == (1, "FAIL")
    assert out.count(f"{made.name}\n") >= 2, "both are shown: they prove the fork"
    kept.write_text(made.sign(99, merkle.leaf(b"other")))
    assert "rollback" in run(made.tar, *key)[1]["your-copy"][1]


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_a_file_that_wants_to_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    code, _, out = run(hostile)
    assert code == 1
    assert "does not belong" in out
    assert not (tmp_path.parent / "outside").exists()


def test_a_link_in_an_export_is_refused(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        member = tarfile.TarInfo("top/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    assert run(hostile)[0] == 1


def test_a_key_that_was_rotated_within_is_followed(tmp_path: Path) -> None:
    log = Log(tmp_path / "home")
    log.fill(3)
    log.sign()
    with log.home.database.write() as connection:
        keys.rotate(log.settings, connection, "person:ada", clock.now_us())
    keys.finish(log.settings)
    log.fill(3)
    log.sign()
    log.export(tmp_path / "a.tar")
    with log.home.database.read() as connection:
        both = [str(one.key) for one in keys.known(connection)]
    for key in both:
        code, told, out = run(tmp_path / "a.tar", "--key", key)
        assert (code, told["keys"][1]) == (0, "2 keys, one of them yours"), out
    log.home.close()


# RFC 8032, section 7.1: the first three tests and the one of 1023 bytes would do the same.
ED25519 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39"
        "701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
        "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7"
        "60984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), ED25519)
def test_signatures_are_those_of_rfc_8032(public: str, message: str, signature: str) -> None:
    key, text, value = (bytes.fromhex(part) for part in (public, message, signature))
    assert verify.signed(key, text, value)
    assert not verify.signed(key, text + b"x", value)
    for at in (0, 31, 32, 63):
        assert not verify.signed(
            key, text, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        )
    high = int.from_bytes(value[32:], "little") + verify.ORDER
    assert not verify.signed(key, text, value[:32] + high.to_bytes(32, "little"))


def test_the_commitments_are_those_of_the_log() -> None:
    salt, field, text = b"s" * 32, "arguments", '{"a":"\u00e9"}'
    message = field.encode() + b"\x00" + text.encode()
    made = "hmac-sha256:" + hmac.new(salt, message, hashlib.sha256).hexdigest()
    assert audit_entry.commitment(salt, field, text) == made
