"""verify.py names what was done to an export, with nothing but Python, whoever made it fit.

Each test changes one thing in a bundle, as somebody would who can make every hash outside the
log fit: the list of hashes is always written anew.
"""

import ast
import base64
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from bundles import DAY_US, Bundle, Log
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import Repository

from reconciler.proof import keys, note
from runner.contract import audit_entry, clock, merkle
from runner.contract.audit_entry import Entry, EntryType

SCRIPT = Path(__file__).parents[2] / "reconciler" / "evidence" / "verify.py"
REQUEST = b'{"call":"flag-issues"}'


@dataclass
class Made:
    """A home with a log, its export, and what an auditor has of it."""

    log: Log
    tar: Path
    folder: Path
    vkey: str
    since: str
    until: str


def period(log: Log, now_us: int, commit: str) -> None:
    """A task from its beginning to its end, with private values and an approval."""
    at_us = now_us - 2 * DAY_US
    facts = {"actor": "runner", "commit": commit, "task": "t1"}
    asked = f"sha256:{hashlib.sha256(REQUEST).hexdigest()}"
    log.add(
        Entry(type=EntryType.TASK_QUEUED, **facts),
        Entry(
            type=EntryType.ACTION_REQUESTED,
            private=(("arguments", {"name": "Grace"}), ("result", 1.5)),
            **facts,
        ),
        Entry(type=EntryType.APPROVAL_REQUESTED, approval="01req", digest=asked, **facts),
        Entry(
            type=EntryType.APPROVAL_GRANTED,
            approval="01req",
            digest=asked,
            reason="signature of ada, run by ada",
            **facts | {"actor": "approver:ada"},
        ),
        Entry(type=EntryType.TASK_FINISHED, **facts),
        at_us=at_us,
    )
    log.sign()
    with log.home.database.write() as connection:
        keys.rotate(log.settings, connection, "person:ada", at_us)
    keys.finish(log.settings)
    log.fill(260, at_us)
    log.sign()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """20 entries before the period, 266 in it under two keys, 5 after it."""
    folder = tmp_path_factory.mktemp("made")
    now_us, log = clock.now_us(), Log(folder / "home")
    log.fill(20, now_us - 3 * DAY_US)
    log.sign()
    repository = Repository(folder)
    repository.write("agent.yaml", "kind: Agent\n")
    commit = repository.commit("Add an agent")
    repository.push()
    log.follow(repository)
    period(log, now_us, commit)
    log.fill(5, now_us - DAY_US)
    log.sign()
    since, until = (clock.iso(now_us - days * DAY_US) for days in (2, 1))
    asked = ("--from", since, "--to", until, "--disclose", "arguments", "--disclose", "result")
    log.export(folder / "export.tar", *asked)
    bundle = Bundle.unpack(folder / "export.tar", folder / "unpacked")
    vkey = (bundle.folder / "keys").glob("*.vkey").__next__().read_text().splitlines()[-1]
    yield Made(log, folder / "export.tar", bundle.folder, vkey, since, until)
    log.home.close()


@pytest.fixture
def bundle(made: Made, tmp_path: Path) -> Path:
    """A copy to do with as one likes."""
    return Path(shutil.copytree(made.folder, tmp_path / "bundle"))


def fit(folder: Path) -> None:
    """Write the list of hashes anew, as whoever changes a file would."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n"
        for file in sorted(files)
        if file.name != "MANIFEST.sha256"
    ]
    (folder / "MANIFEST.sha256").write_text("".join(lines))


@dataclass
class Outcome:
    """What verify.py printed, by the name of the check."""

    code: int
    lines: dict[str, tuple[str, str]]
    text: str

    def failed(self) -> dict[str, str]:
        return {name: why for name, (what, why) in self.lines.items() if what == "FAIL"}


def verify(subject: Path, *arguments: str, python: str = sys.executable) -> Outcome:
    """Run it as a reviewer does: isolated, with nothing in the environment."""
    argv = [python, "-I", "-B", str(SCRIPT), str(subject), *arguments]
    done = subprocess.run(argv, env={}, cwd="/", capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    lines = {
        row[1]: (row[0], row[2])
        for row in rows
        if len(row) == 3 and row[0] in {"PASS", "FAIL", "NOT-CHECKED"}
    }
    return Outcome(done.returncode, lines, done.stdout + done.stderr)


def edit_entry(folder: Path, seq: int, change: Callable[[dict], dict]) -> None:
    """Change an entry, in the one form that is written."""
    head_first = json.loads((folder / "bundle.json").read_text())["head_first"]
    lines = (folder / "headers.jsonl").read_bytes().split(b"\n")
    fields = json.loads(lines[seq - head_first])
    lines[seq - head_first] = audit_entry.encoded(change(fields))
    (folder / "headers.jsonl").write_bytes(b"\n".join(lines))


def edit_lines(folder: Path, change: Callable[[list[bytes]], None]) -> None:
    """Change the entries as lines; the first is number 20."""
    lines = (folder / "headers.jsonl").read_bytes().splitlines(keepends=True)
    change(lines)
    (folder / "headers.jsonl").write_bytes(b"".join(lines))


# What holds.


def test_a_whole_export_passes_every_check(made: Made) -> None:
    found = verify(made.tar, "--key", made.vkey)
    assert found.code == 0, found.text
    assert {what for what, _ in found.lines.values()} == {"PASS"}
    assert found.lines["entries"][1] == "266 entries, number 21 to 286"
    assert found.lines["tasks"][1] == "1 tasks without a gap, 1 closed"
    assert found.lines["values"][1] == "2 of 2 private values are shown"
    assert found.lines["git"][1] == "1 of 2 commits that entries name are here"
    assert "--against" in found.text, "what was not asked for is said"


def test_without_a_key_of_ones_own_it_says_so(made: Made) -> None:
    found = verify(made.folder)
    assert found.code == 2
    assert found.lines["keys"][0] == "NOT-CHECKED"
    assert "the export's own word" in found.lines["keys"][1]


def test_it_is_written_for_python_3_8() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(SCRIPT.read_text()))
        for name in (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= sys.stdlib_module_names


OLDER = [
    Path(found)
    for name in ("python3.8", "python3.9", "python3.10", "python3.12", "python3.13")
    if (found := shutil.which(name))
]


@pytest.mark.parametrize("python", OLDER, ids=lambda path: path.parts[-3])
def test_every_python_that_is_here_says_the_same(made: Made, python: Path) -> None:
    if subprocess.run([python, "-V"], capture_output=True, check=False).returncode:
        pytest.skip("a name without a Python behind it")
    found = verify(made.tar, "--key", made.vkey, python=str(python))
    assert found.lines == verify(made.tar, "--key", made.vkey).lines
    assert found.code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")
def test_it_needs_no_network(made: Made) -> None:
    argv = ["unshare", "--net", sys.executable, "-I", str(SCRIPT), str(made.tar)]
    if subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody have a network of its own")
    done = subprocess.run([*argv, "--key", made.vkey], env={}, check=False)
    assert done.returncode == 0


def test_the_one_in_the_export_is_the_one_tested_and_leaves_nothing_behind(
    bundle: Path,
) -> None:
    before, script = sorted(bundle.rglob("*")), bundle / "verify.py"
    assert script.read_bytes() == SCRIPT.read_bytes()
    done = subprocess.run([sys.executable, script], cwd=bundle, env={}, check=False)
    assert done.returncode == 2
    assert sorted(bundle.rglob("*")) == before


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 512, 513])
def test_logs_of_every_shape_hold(tmp_path: Path, count: int) -> None:
    log = Log(tmp_path / "home")
    log.fill(count)
    log.sign()
    log.export(tmp_path / "a.tar")
    found = verify(tmp_path / "a.tar")
    assert not found.failed(), found.text
    log.home.close()


def test_a_period_in_which_nothing_happened_holds(made: Made, tmp_path: Path) -> None:
    since_us = clock.now_us() - 2 * DAY_US + 3_600_000_000
    asked = ("--from", clock.iso(since_us), "--to", clock.iso(since_us + 3_600_000_000))
    made.log.export(tmp_path / "a.tar", *asked)
    found = verify(tmp_path / "a.tar", "--key", made.vkey)
    assert found.code == 0, found.text
    assert found.lines["entries"][1].startswith("0 entries")


# What was done to it.


def test_every_field_of_an_entry_is_covered(made: Made, bundle: Path) -> None:
    raw = (made.folder / "headers.jsonl").read_bytes().splitlines()[3]
    fields = json.loads(raw)
    assert fields["seq"] == 23
    for name in fields:
        shutil.copy(made.folder / "headers.jsonl", bundle / "headers.jsonl")
        other = fields[name] + 1 if isinstance(fields[name], int) else "other"
        edit_entry(bundle, 23, lambda entry, name=name, other=other: entry | {name: other})
        fit(bundle)
        found = verify(bundle)
        assert found.code == 1, name
        reasons = " ".join(found.failed().values())
        assert "between 21 and 25" in reasons or "23" in reasons, found.text


TAMPERINGS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "entry-edited": (
        lambda at: edit_entry(at, 30, lambda entry: entry | {"decision": "deny"}),
        "tree",
        "edit or rewrite: the first bad entry is between 26 and 286",
    ),
    "two-swapped": (
        lambda at: edit_lines(at, lambda lines: lines.insert(4, lines.pop(5))),
        "entries",
        "reordering: entry 25 stands in place of 24",
    ),
    "one-left-out": (
        lambda at: edit_lines(at, lambda lines: lines.pop(5)),
        "entries",
        "deletion or reordering: entry 26 stands in place of 25",
    ),
    "the-last-left-out": (
        lambda at: edit_lines(at, lambda lines: lines.pop()),
        "entries",
        "truncation: entries after 286 are missing",
    ),
    "one-left-out-and-all-numbers-made-to-fit": (
        lambda at: renumber(at),
        "tree",
        "edit or rewrite: the first bad entry is between 21 and 25",
    ),
    "signed-by-somebody-else": (
        lambda at: sign_anew(at),
        "tree",
        "wrong key",
    ),
    "one-put-in": (
        lambda at: edit_lines(at, lambda lines: lines.insert(5, lines[4])),
        "entries",
        "insertion or reordering: entry 24 stands in place of 25",
    ),
    "one-put-at-the-end": (
        lambda at: edit_lines(
            at, lambda lines: lines.append(lines[-1].replace(b'"seq":287', b'"seq":288'))
        ),
        "entries",
        "insertion: entry 288",
    ),
    "cut-within-a-line": (
        lambda at: (at / "headers.jsonl").write_bytes(
            (at / "headers.jsonl").read_bytes()[:-100]
        ),
        "entries",
        "truncation: headers.jsonl ends within a line",
    ),
    "key-given-twice": (
        lambda at: edit_lines(
            at,
            lambda lines: lines.__setitem__(
                5, lines[5].replace(b'{"actor"', b'{"actor":"x","actor"')
            ),
        ),
        "entries",
        "edit: entry 25 is none that was written: a key is given twice",
    ),
    "not-the-one-form": (
        lambda at: edit_lines(
            at, lambda lines: lines.__setitem__(5, lines[5].replace(b'":"', b'": "', 1))
        ),
        "entries",
        "edit: entry 25",
    ),
    "entry-of-another-log": (
        lambda at: edit_entry(at, 30, lambda entry: entry | {"log": "orloj/other"}),
        "entries",
        "insertion: entry 30 is of another log",
    ),
    "time-to-come": (
        lambda at: edit_entry(at, 30, lambda entry: entry | {"time": 2**52}),
        "times",
        "back-dating: entry 30 says a time that is still to come",
    ),
    "hidden-behind-the-period": (
        lambda at: describe(at, last=285, head_last=286),
        "entries",
        "deletion: entry 286 is of the period and left out",
    ),
    "neighbour-left-out": (
        lambda at: describe(at, first=20),
        "entries",
        "deletion: the entry before the period is not there",
    ),
    "task-without-an-entry": (
        lambda at: edit_entry(at, 23, lambda entry: entry | {"task_seq": 4}),
        "tasks",
        "deletion: task t1 has no number 23: entry 23 is number 4 of it",
    ),
    "task-that-says-more": (
        lambda at: edit_entry(at, 25, lambda entry: entry | {"entries": 6}),
        "tasks",
        "closes task t1 and says 6 entries; it is number 25",
    ),
    "value-exchanged": (
        lambda at: replace(at / "disclosures.jsonl", b"Grace", b"Eve"),
        "values",
        "edited disclosure: arguments of entry 22",
    ),
    "value-said-to-be-erased": (
        lambda at: (at / "erased.jsonl").write_text('{"field":"result","seq":22}\n'),
        "values",
        "edited disclosure: result of entry 22 cannot have been erased",
    ),
    "value-of-no-entry": (
        lambda at: replace(at / "disclosures.jsonl", b'"seq":22', b'"seq":999'),
        "values",
        "edited disclosure: entry 999",
    ),
    "signature-stripped": (
        lambda at: (at / "checkpoint").write_text(
            (at / "checkpoint").read_text().split("\n\n")[0] + "\n\n"
        ),
        "tree",
        "stripped signature",
    ),
    "signature-of-another-text": (
        lambda at: replace(at / "checkpoints/25.note", b"\n25\n", b"\n24\n"),
        "checkpoints",
        "insertion",
    ),
    "checkpoint-left-out": (
        lambda at: (at / "checkpoints/286.note").unlink(),
        "checkpoints",
        "truncation: consistency/25-291.txt is missing",
    ),
    "the-last-checkpoint-left-out": (
        lambda at: (at / "checkpoints/291.note").unlink(),
        "checkpoints",
        "truncation: the last checkpoint is missing",
    ),
    "proof-edited": (
        lambda at: replace_line(at / "consistency/25-286.txt"),
        "checkpoints",
        "rewrite: 286 entries did not grow out of 25",
    ),
    "key-not-introduced": (
        lambda at: replace(at / "keys/1.note", b"\n1\n", b"\n2\n"),
        "keys",
        "wrong key",
    ),
    "leaves-cut": (
        lambda at: (at / "after.bin").write_bytes((at / "after.bin").read_bytes()[:-32]),
        "entries",
        "truncation: of 291 leaves 290",
    ),
    "roots-exchanged": (
        lambda at: describe(at, before=["ab" * 32] * 3),
        "tree",
        "edit or rewrite: the first bad entry is between 1 and 20",
    ),
    "other-commits": (
        lambda at: shutil.copy(at / "README.txt", at / "repo.bundle"),
        "git",
        "truncation: repo.bundle is not whole",
    ),
}


def describe(folder: Path, **fields: object) -> None:
    about = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(audit_entry.canonical(about | fields))


def renumber(folder: Path) -> None:
    """Leave an entry out, and make every number and count fit."""
    rows = [json.loads(row) for row in (folder / "headers.jsonl").read_bytes().splitlines()]
    del rows[4]
    fitting = [row | {"seq": 20 + at, "task_seq": 20 + at} for at, row in enumerate(rows)]
    lines = b"".join(audit_entry.encoded(row) + b"\n" for row in fitting)
    (folder / "headers.jsonl").write_bytes(lines)
    leaves = folder / "after.bin"
    leaves.write_bytes(merkle.leaf(b"x") + leaves.read_bytes())
    describe(folder, last=285, head_last=286)


def sign_anew(folder: Path) -> None:
    """Sign the checkpoint with a key that has the name of the log's."""
    found = note.parse((folder / "checkpoint").read_text())
    other = note.generate(found.text.split("\n")[0])
    (folder / "checkpoint").write_text(str(note.Note(found.text, (other.sign(found.text),))))


def replace(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))


def replace_line(file: Path) -> None:
    lines = file.read_text().splitlines()
    lines[0] = base64.b64encode(bytes(32)).decode()
    file.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("tamper", "check", "reason"), TAMPERINGS.values(), ids=list(TAMPERINGS)
)
def test_tampering_is_named(
    made: Made, bundle: Path, tamper: Callable[[Path], None], check: str, reason: str
) -> None:
    tamper(bundle)
    fit(bundle)
    found = verify(bundle, "--key", made.vkey)
    assert found.code == 1, found.text
    assert reason in found.failed()[check], found.text
    assert "files" not in found.failed(), "the list of hashes was made to fit"


def test_a_file_that_was_changed_added_or_removed_is_named(made: Made, bundle: Path) -> None:
    (bundle / "README.txt").write_text("All is well.")
    assert verify(bundle).failed() == {"files": "edit: README.txt is not what was exported"}
    shutil.copy(made.folder / "README.txt", bundle)
    (bundle / "extra").write_text("")
    assert verify(bundle).failed() == {"files": "insertion: extra was not exported"}
    (bundle / "extra").unlink()
    (bundle / "README.txt").unlink()
    assert verify(bundle).failed() == {"files": "truncation: README.txt is missing"}


def test_a_key_that_the_reader_got_elsewhere_decides(made: Made) -> None:
    other = str(note.generate("orloj/other").verifier)
    assert "wrong key" in verify(made.folder, "--key", other).failed()["keys"]
    assert verify(made.folder, "--key", "nonsense").code == 2


def test_a_clock_that_was_put_back_is_for_a_person_to_judge(tmp_path: Path) -> None:
    log, now_us = Log(tmp_path / "home"), clock.now_us()
    for hours in (5, 3, 4):
        log.fill(3, now_us - hours * 3_600_000_000)
    log.sign()
    log.export(tmp_path / "a.tar")
    outcome, reason = verify(tmp_path / "a.tar").lines["times"]
    assert (outcome, "entry 7, 8, 9" in reason) == ("NOT-CHECKED", True), reason
    log.home.close()


# What only a checkpoint shows that somebody kept.


def forged(made: Made, folder: Path, *, sign: bool) -> Path:
    """An export of the same log, every entry of it written anew by whoever has the home."""
    home = folder / "home"
    shutil.copytree(made.log.home.folder, home)
    log = Log(home)
    with log.home.database.write() as connection:
        raw = connection.exec_driver_sql("SELECT raw FROM audit_entry WHERE seq = 30").scalar()
        other = raw.replace(b'"allow"', b'"deny"')
        statement = "UPDATE audit_entry SET raw = ?, leaf = ?, decision = ? WHERE seq = 30"
        connection.exec_driver_sql(statement, (other, merkle.leaf(other), "deny"))
        connection.exec_driver_sql("DELETE FROM checkpoint WHERE size > 25")
        connection.exec_driver_sql("DELETE FROM audit_subtree")
        if not sign:
            connection.exec_driver_sql("DELETE FROM checkpoint")
            connection.exec_driver_sql("DELETE FROM audit_key")
            (home / "audit.key").write_text(note.generate(made.vkey.split("+")[0]).secret)
    log.sign()
    log.export(folder / "forged.tar", "--from", made.since, "--to", made.until)
    log.home.close()
    return folder / "forged.tar"


def test_a_rewrite_without_the_key_is_not_signed_by_the_key(made: Made, tmp_path: Path) -> None:
    tar = forged(made, tmp_path, sign=False)
    assert not verify(tar).failed(), "an export vouches for itself"
    assert "wrong key" in verify(tar, "--key", made.vkey).failed()["keys"]


def test_a_rewrite_with_the_key_is_shown_by_a_checkpoint_that_was_kept(
    made: Made, tmp_path: Path
) -> None:
    tar = forged(made, tmp_path, sign=True)
    kept = str(made.folder / "checkpoints" / "286.note")
    assert verify(tar, "--key", made.vkey).code == 0, "the key signed it"
    found = verify(tar, "--key", made.vkey, "--against", kept)
    assert "rewrite with the key" in found.failed()["against"]
    assert "\u2014 orloj/" in found.text, "both notes are shown"
    assert verify(made.tar, "--key", made.vkey, "--against", kept).code == 0


def test_two_checkpoints_of_one_size_are_the_proof_of_a_fork(
    made: Made, bundle: Path, tmp_path: Path
) -> None:
    key = note.parse_signer((made.log.home.folder / "audit.key").read_text())
    lines = (bundle / "checkpoint").read_text().split("\n")
    text = "\n".join([*lines[:2], base64.b64encode(bytes(32)).decode(), ""])
    kept = tmp_path / "kept"
    kept.write_text(str(note.Note(text, (key.sign(text),))))
    found = verify(bundle, "--against", str(kept))
    assert "fork: the log's key signed two histories" in found.failed()["against"]
    assert lines[2] in found.text
    shutil.copy(kept, bundle / "checkpoints" / "291.note")
    fit(bundle)
    assert "fork" in verify(bundle).failed()["checkpoints"]


def test_a_checkpoint_that_the_export_does_not_reach_is_not_checked(
    made: Made, tmp_path: Path
) -> None:
    early = tmp_path / "early.tar"
    with made.log.home.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT size, note FROM checkpoint").all()
    for size, text in rows:
        (tmp_path / f"{size}.note").write_text(text)
    until = clock.iso(clock.now_us() - 5 * DAY_US // 2)
    made.log.export(early, "--to", until)
    found = verify(early, "--key", made.vkey, "--against", str(tmp_path / "291.note"))
    assert found.lines["against"][0] == "NOT-CHECKED", found.text
    assert "the one of then" in found.failed()["keys"], "it was rotated since"
    found = verify(made.tar, "--against", str(tmp_path / "20.note"))
    assert found.lines["against"][0] == "PASS", found.text


# Witnesses.


def cosign(folder: Path, witness: note.SigningKey) -> None:
    found = note.parse((folder / "checkpoint").read_text())
    signature = witness.sign(found.text, 1_790_000_000)
    more = note.Note(found.text, (*found.signatures, signature))
    (folder / "checkpoint").write_text(str(more))
    fit(folder)


def test_a_quorum_of_witnesses_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    first, second = (note.generate(f"w.example/{n}", note.COSIGNATURE) for n in (1, 2))
    newer = note.generate("w.example/3", note.ML_DSA_44)
    policy = tmp_path / "policy"

    def write(count: str) -> None:
        witnesses = "".join(
            f"witness w{n} {key.verifier}\n" for n, key in enumerate((first, second, newer), 1)
        )
        policy.write_text(f"{witnesses}group g {count} w1 w2 w3\nquorum g\n")

    asked = ("--policy", str(policy))
    write("1")
    assert "stripped cosignature" in verify(bundle, *asked).failed()["witnesses"]
    cosign(bundle, first)
    assert verify(bundle, *asked).lines["witnesses"][0] == "PASS"
    write("2")
    assert "w1 cosigned, no quorum" in verify(bundle, *asked).failed()["witnesses"]
    cosign(bundle, newer)
    assert verify(bundle, *asked).lines["witnesses"][0] == "NOT-CHECKED"
    cosign(bundle, second)
    assert verify(bundle, *asked).lines["witnesses"][0] == "PASS"
    shutil.copy(policy, bundle / "policy")
    fit(bundle)
    assert "the export's own policy" in verify(bundle).lines["witnesses"][1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum none\nquorum none\n",
        "quorum w\n",
        "group g 1 w\nquorum g\n",
        "witness w {0}\nwitness v {0}\nquorum w\n",
        "witness w {0}\ngroup g 2 w\nquorum g\n",
        "witness w {0}\ngroup g any w w\nquorum g\n",
        "nonsense\nquorum none\n",
    ],
    ids=range(8),
)
def test_a_policy_that_cannot_be_read_lets_nothing_pass(
    bundle: Path, tmp_path: Path, text: str
) -> None:
    key = note.generate("w", note.COSIGNATURE).verifier
    (tmp_path / "policy").write_text(text.format(key))
    found = verify(bundle, "--policy", str(tmp_path / "policy"))
    assert "witnesses" in found.failed(), found.text


# Approvals.


def approve(bundle: Path, folder: Path, who: str = "ada", asked: bytes = REQUEST) -> None:
    """What the export holds of an approval that was signed."""
    key, approvals = folder / "key", bundle / "approvals"
    shutil.rmtree(approvals, ignore_errors=True)
    approvals.mkdir()
    (approvals / "01req.json").write_bytes(asked)
    key.unlink(missing_ok=True)
    run = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(run, check=True)
    public = key.with_suffix(".pub").read_text().strip()
    line = f'{who} namespaces="orloj-approval" {public}\n'
    (approvals / "allowed_signers").write_text(line)
    request = approvals / "01req.json"
    sign = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", "orloj-approval"]
    subprocess.run([*sign, str(request)], check=True)
    request.with_suffix(".json.sig").rename(request.with_suffix(".sig"))
    fit(bundle)


def test_an_approval_is_of_what_was_asked_and_of_who_decided(
    bundle: Path, tmp_path: Path
) -> None:
    approve(bundle, tmp_path)
    assert verify(bundle).lines["approvals"] == (
        "PASS",
        "1 requests are the ones that were asked",
    )
    approve(bundle, tmp_path, asked=b'{"call":"wire-money"}')
    assert "edit: approvals/01req.json" in verify(bundle).failed()["approvals"]
    approve(bundle, tmp_path, who="eve")
    assert "is not of ada" in verify(bundle).failed()["approvals"]
    approve(bundle, tmp_path)
    (bundle / "approvals" / "01req.sig").unlink()
    fit(bundle)
    assert "stripped signature" in verify(bundle).failed()["approvals"]
    approve(bundle, tmp_path)
    (bundle / "approvals" / "01req.json").rename(bundle / "approvals" / "01other.json")
    fit(bundle)
    assert "no entry asks for" in verify(bundle).failed()["approvals"]


def test_where_ssh_and_git_are_not_it_says_what_to_type_elsewhere(
    bundle: Path, tmp_path: Path
) -> None:
    approve(bundle, tmp_path)
    argv = [sys.executable, "-I", "-B", str(SCRIPT), str(bundle)]
    done = subprocess.run(
        argv, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "ssh-keygen -Y verify -f approvals/allowed_signers -I ada" in done.stdout
    assert "git bundle verify" in done.stdout


# Erasure.


def test_what_was_erased_breaks_nothing_and_is_reported(tmp_path: Path) -> None:
    log = Log(tmp_path / "home")
    log.call("t1", arguments={"name": "Grace"}, result=1)
    log.sign()
    with log.home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM disclosure WHERE field = 'arguments'")
    log.export(tmp_path / "a.tar", "--disclose", "arguments", "--disclose", "result")
    found = verify(tmp_path / "a.tar")
    assert not found.failed(), found.text
    said = "1 of 2 private values are shown; 1 were erased, first of entry 1"
    assert found.lines["values"] == ("PASS", said)
    log.home.close()


# Hostile files.


def packed(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    tar = tmp_path / "hostile.tar"
    with tarfile.open(tar, "w") as opened:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            opened.addfile(member, io.BytesIO(content))
    return tar


def member(name: str, type: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = type, target
    return found


@pytest.mark.parametrize(
    "one",
    [
        member("../escaped"),
        member("audit/../../escaped"),
        member("/tmp/escaped"),
        member("audit/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("audit/link", tarfile.LNKTYPE, "/etc/passwd"),
        member("audit/pipe", tarfile.FIFOTYPE),
        member("audit/device", tarfile.CHRTYPE),
        member("loose"),
    ],
    ids=lambda one: f"{one.name}-{one.type!r}",
)
def test_a_member_that_reaches_out_is_refused(tmp_path: Path, one: tarfile.TarInfo) -> None:
    found = verify(packed(tmp_path, (one, b"x")))
    assert found.code == 1
    assert "does not belong into an export" in found.text
    assert not (tmp_path / "escaped").exists()


def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    twice = packed(tmp_path, (member("audit/a"), b"x"), (member("audit/a"), b"y"))
    for content in (twice.read_bytes(), b"", b"x" * 5_000):
        file = tmp_path / "file"
        file.write_bytes(content)
        found = verify(file)
        assert (found.code, list(found.failed())) == (1, ["bundle"]), found.text
    assert verify(tmp_path / "missing").code == 1


def test_a_tar_that_was_cut_is_named_wherever_it_was(made: Made, tmp_path: Path) -> None:
    whole = made.tar.read_bytes()
    cut = tmp_path / "cut.tar"
    for part in (0.05, 0.3, 0.6, 0.9):
        cut.write_bytes(whole[: int(len(whole) * part)])
        found = verify(cut)
        assert found.code == 1
        assert "truncation" in found.text, found.text
    with tarfile.open(made.tar) as opened:
        at = opened.getmembers()[10].offset
    cut.write_bytes(whole[:at])
    assert "truncation" in verify(cut).text


def test_a_link_in_a_folder_is_refused(bundle: Path) -> None:
    (bundle / "README.txt").unlink()
    (bundle / "README.txt").symlink_to("/etc/passwd")
    assert "does not belong" in verify(bundle).failed()["files"]


def test_nothing_that_a_stranger_wrote_steers_the_terminal(bundle: Path) -> None:
    (bundle / "\x1b]0;owned\x07").write_text("")
    found = verify(bundle)
    assert "\x1b" not in found.text
    assert "?]0;owned?" in found.text


# The signature, without any library.


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("carried_verify", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["carried_verify"] = module
    spec.loader.exec_module(module)
    return module


RFC_8032 = {
    "one": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "two": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "three": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
}


@pytest.mark.parametrize(
    ("public", "message", "signature"), RFC_8032.values(), ids=list(RFC_8032)
)
def test_the_vectors_of_rfc_8032_verify(
    script: ModuleType, public: str, message: str, signature: str
) -> None:
    values = [bytes.fromhex(value) for value in (public, message, signature)]
    assert script.signed(*values)
    for at in range(0, 64, 7):
        other = bytearray(values[2])
        other[at] ^= 1
        assert not script.signed(values[0], values[1], bytes(other))


ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = 2**255 - 19
SMALL = [
    bytes(32),
    bytes([1]) + bytes(31),
    CURVE.to_bytes(32, "little"),
    (CURVE - 1).to_bytes(32, "little"),
    (CURVE + 1).to_bytes(32, "little"),
    (1 | 1 << 255).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]


@settings(max_examples=60, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=80), data=st.data())
def test_it_says_of_a_signature_what_openssl_says(
    script: ModuleType, seed: bytes, message: bytes, data: st.DataObject
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    s = int.from_bytes(signature[32:], "little")
    kind = data.draw(
        st.sampled_from(["right", "bit", "s+order", "small-r", "small-key", "s=0"])
    )
    if kind == "bit":
        bit = data.draw(st.integers(0, 511))
        number = int.from_bytes(signature, "little") ^ 1 << bit
        signature = number.to_bytes(64, "little")
    elif kind == "s+order":
        signature = signature[:32] + (s + ORDER).to_bytes(32, "little")
    elif kind == "small-r":
        signature = data.draw(st.sampled_from(SMALL)) + signature[32:]
    elif kind == "small-key":
        public = data.draw(st.sampled_from(SMALL))
    elif kind == "s=0":
        public, signature = data.draw(st.sampled_from(SMALL[:2])), SMALL[1] + bytes(32)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        expected = True
    except (InvalidSignature, ValueError):
        expected = False
    canonical = int.from_bytes(public, "little") & (1 << 255) - 1 < CURVE
    assert script.signed(public, message, signature) == (expected and canonical)
