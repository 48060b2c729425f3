"""A witness can work with files alone, and an entry is proved to who has neither of us."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from witnessing import LOG, StoredLog, asked, leaves

from reconciler.proof import note, proof_file
from runner.contract.database import Database

KEY = note.generate("w.example/1", note.COSIGNATURE)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[StoredLog]:
    made = StoredLog(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, which is not the home."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def make_witness(orloj, log: StoredLog) -> tuple[str, ...]:
    """A witness, which the policy of the log then asks for; the options that it signs with."""
    made = orloj("audit", "witness", "key", "--name", "w.example/1", "--out", "w.key")
    assert made.code == 0
    (log.folder / "witnesses").write_text(f"witness w {made.out.strip()}\nquorum w\n")
    (log.folder / "orloj.toml").write_text('[audit]\npolicy = "witnesses"\n')
    return ("--key", "w.key", "--state", "w.json", "--log", log.vkey)


# Files to and from a witness.


def test_files_go_to_a_witness_behind_an_air_gap_and_back(
    orloj, log: StoredLog, files: Path
) -> None:
    log.grow(3)
    options = make_witness(orloj, log)
    assert (files / "w.key").stat().st_mode & 0o777 == 0o600
    assert orloj("audit", "witness", "request", "--out", "request").code == 0
    cosigned = orloj("audit", "witness", "sign", "request", *options)
    assert (cosigned.code, cosigned.err) == (0, f"Cosigned 3 entries of {_name(log)}.\n")
    (files / "cosigned").write_text(cosigned.out)
    added = orloj("audit", "witness", "add", "cosigned")
    assert added.out == "3 entries, cosigned by w\n"

    log.grow(2)
    orloj("audit", "witness", "request", "--out", "request")
    refused = orloj("audit", "witness", "sign", "request", *options)
    assert refused.code == 1
    assert re.search(r"had 3 entries; .*--old 3", refused.err)
    orloj("audit", "witness", "request", "--old", "3", "--out", "request")
    assert orloj("audit", "witness", "sign", "request", *options).code == 0
    assert "cannot go on from 9" in orloj("audit", "witness", "request", "--old", "9").err


def _name(log: StoredLog) -> str:
    return note.parse_verifier(log.vkey).name


def test_a_note_that_nobody_cosigned_is_not_added(orloj, log: StoredLog, files: Path) -> None:
    made = log.grow(3)
    make_witness(orloj, log)
    (files / "note").write_text(str(made.note))
    refused = orloj("audit", "witness", "add", "note")
    assert (refused.code, "no witness" in refused.err) == (1, True)


def test_a_note_of_another_log_is_not_added(orloj, log: StoredLog, files: Path) -> None:
    log.grow(3)
    make_witness(orloj, log)
    (files / "note").write_text(str(asked(leaves(3)).signed))
    assert "is of the log orloj/test" in orloj("audit", "witness", "add", "note").err


def test_a_key_is_never_written_over(orloj, files: Path) -> None:
    (files / "w.key").write_text("kept")
    refused = orloj("audit", "witness", "key", "--name", "w", "--out", "w.key")
    assert (refused.code, (files / "w.key").read_text()) == (1, "kept")


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (KEY.secret, 0o644, "chmod 600"),
        (LOG.secret, 0o600, "no key of a witness"),
        ("", 0o600, "no key of a witness"),
        (KEY.secret[:-4], 0o600, "no signing key"),
    ],
    ids=["others-can-read-it", "the-log's", "empty", "cut"],
)
def test_a_key_that_is_none_of_a_witness_signs_nothing(
    orloj, files: Path, content: str, mode: int, problem: str
) -> None:
    (files / "w.key").write_text(content)
    (files / "w.key").chmod(mode)
    (files / "request").write_text(str(asked(leaves(3))))
    options = ("--key", "w.key", "--state", "w.json", "--log", LOG.verifier)
    refused = orloj("audit", "witness", "sign", "request", *map(str, options))
    assert (refused.code, problem in refused.err) == (1, True)
    assert KEY.secret[30:60] not in refused.err
    assert not (files / "w.json").exists()


# The proof of one entry.


@pytest.fixture
def proof(orloj, log: StoredLog, files: Path) -> proof_file.Proof:
    """The file 300.tlog-proof, of a log whose first checkpoint covers 300 of its entries."""
    log.grow(300)
    log.grow(7)
    made = orloj("audit", "prove", "300")
    assert made.out.startswith("300.tlog-proof: entry 300 is one of the 300 that were signed")
    log.close()
    return proof_file.parse((files / "300.tlog-proof").read_text())


def test_an_entry_is_proved_without_the_database(
    orloj, log: StoredLog, files: Path, proof: proof_file.Proof
) -> None:
    for file in log.folder.glob("state*"):
        file.unlink()
    checked = orloj("audit", "prove", "--check", "300.tlog-proof", "--key", log.vkey, "--json")
    found = json.loads(checked.out)
    assert (found["seq"], found["size"], found["cosigned"]) == (300, 300, [])
    assert found["entry"] == json.loads(proof.entry)
    shown = orloj("audit", "prove", "--check", "300.tlog-proof", "--key", log.vkey)
    assert shown.out.startswith("Proved: entry 300 of orloj/")
    assert not list(log.folder.glob("state*"))


def test_the_file_is_read_as_it_was_written(proof: proof_file.Proof, files: Path) -> None:
    text = (files / "300.tlog-proof").read_text()
    assert str(proof_file.parse(text)) == text
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")


def changed(proof: proof_file.Proof, **fields) -> proof_file.Proof:
    return proof_file.Proof(
        **{
            name: fields.get(name, getattr(proof, name))
            for name in ("entry", "index", "path", "signed")
        }
    )


def test_nothing_of_a_proof_can_be_changed(
    orloj, log: StoredLog, files: Path, proof: proof_file.Proof
) -> None:
    text, signatures = proof.signed.text, proof.signed.signatures
    other = note.generate(_name(log))
    for wrong, problem in (
        (changed(proof, entry=proof.entry.replace(b"drill", b"drilL")), "does not lead"),
        (changed(proof, index=298), "does not lead"),
        (changed(proof, path=proof.path[1:]), "does not lead"),
        (changed(proof, path=(bytes(32), *proof.path[1:])), "does not lead"),
        (changed(proof, signed=note.Note(text, (other.sign(text),))), "no key given"),
        (
            changed(proof, signed=note.Note(text.replace("\n300\n", "\n301\n"), signatures)),
            "",
        ),
    ):
        (files / "wrong").write_text(str(wrong))
        refused = orloj("audit", "prove", "--check", "wrong", "--key", log.vkey)
        assert (refused.code, refused.out) == (1, "")
        assert f"wrong proves nothing: {problem}" in refused.err.replace("the entry in it ", "")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v2\nextra AA==\nindex 0\n\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nindex 0\n\na\n",
        "c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\na\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex 00\n\na\n",
        "c2sp.org/tlog-proof@v1\nextra AA==\nindex 0\nAA==\n\na\n",
    ],
)
def test_what_is_no_proof_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        proof_file.parse(content)


def test_a_proof_is_checked_for_somebody(orloj, proof: proof_file.Proof, files: Path) -> None:
    """Whoever trusts nobody is told nothing, and so is who names only witnesses."""
    refused = orloj("audit", "prove", "--check", "300.tlog-proof")
    assert (refused.code, "say whom you trust" in refused.err) == (1, True)
    (files / "policy").write_text("quorum none\n")
    refused = orloj("audit", "prove", "--check", "300.tlog-proof", "--policy", "policy")
    assert (refused.code, "names no log" in refused.err) == (1, True)
    refused = orloj("audit", "prove", "--check", "300.tlog-proof", "--key", str(KEY.verifier))
    assert (refused.code, "key of a witness" in refused.err) == (1, True)


def test_a_policy_that_is_not_met_is_said(
    orloj, log: StoredLog, proof: proof_file.Proof, files: Path
) -> None:
    witnesses = f"witness w {KEY.verifier}\nquorum w\n"
    (files / "policy").write_text(f"log {log.vkey}\n{witnesses}")
    refused = orloj("audit", "prove", "--check", "300.tlog-proof", "--policy", "policy")
    assert (refused.code, "policy is not met" in refused.err) == (1, True)
    text = proof.signed.text
    cosigned = note.Note(text, (*proof.signed.signatures, KEY.sign(text, 1_790_000_000)))
    (files / "more").write_text(str(changed(proof, signed=cosigned)))
    found = orloj("audit", "prove", "--check", "more", "--policy", "policy", "--json")
    assert json.loads(found.out)["cosigned"] == ["w"]


def test_what_no_checkpoint_covers_is_not_proved(orloj, log: StoredLog, files: Path) -> None:
    _append(log.database)
    refused = orloj("audit", "prove", "1")
    assert (refused.code, "no checkpoint covers entry 1 yet" in refused.err) == (1, True)
    refused = orloj("audit", "prove", "2")
    assert (refused.code, "1 entries, and no entry 2" in refused.err) == (1, True)
    assert list(files.iterdir()) == []


def test_an_entry_that_was_changed_since_is_not_proved(
    orloj, log: StoredLog, files: Path
) -> None:
    log.grow(3)
    with log.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE audit_entry SET raw = (SELECT raw FROM audit_entry WHERE seq = 1)"
            " WHERE seq = 2"
        )
    for seq in ("2", "3"):
        refused = orloj("audit", "prove", seq)
        assert (refused.code, "not those that were signed" in refused.err) == (1, True)


def _append(database: Database) -> None:
    from runner.contract import audit
    from runner.contract.audit_entry import Entry, EntryType

    with database.write() as connection:
        one = Entry(type=EntryType.DRILL_DONE, actor="a", commit="none")
        audit.append(connection, [one], 1)
