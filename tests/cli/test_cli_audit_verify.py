"""`orloj audit verify` says what holds, compared with what a real Git remote keeps of the log.

Whoever has the database and the key of a home can make it hold by itself; not against what was
published before.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from home import COMMIT, Home
from repository import git

from reconciler.proof import note, remote
from reconciler.proof.keeper import Keeper
from reconciler.proof.publisher import Publisher
from runner.contract import audit, clock, merkle, settings
from runner.contract.audit_entry import Entry, EntryType


class Published:
    """A home whose log is signed, and published to a bare repository, three entries a time."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.origin = home, folder / "audit.git"
        git("init", "--quiet", "--bare", str(self.origin), folder=folder)
        (home.folder / "orloj.toml").write_text(f'[audit]\nremote = "{self.origin}"\n')
        for _ in range(2):
            self.grow()

    def grow(self) -> None:
        entry = Entry(type=EntryType.ACTION_DECIDED, decision="allow", actor="runner",
                      commit=COMMIT, task="t")  # fmt: skip
        with self.home.database.write() as connection:
            audit.append(connection, [entry] * 3, clock.now_us())
        self.sign()
        place = remote.place(self.settings)
        assert place is not None
        Publisher(self.settings, self.home.database, place).publish()

    @property
    def settings(self) -> settings.Settings:
        return settings.load(self.home.folder, {})

    def sign(self) -> None:
        Keeper(self.settings, self.home.database, clock.now_us).step(at_once=True)

    def rewrite(self) -> None:
        """Make a denial of entry 2, and everything in the home fit it."""
        with self.home.database.write() as connection:
            raw = connection.exec_driver_sql("SELECT raw FROM audit_entry WHERE seq = 2")
            other = raw.scalar_one().replace(b'"decision":"allow"', b'"decision":"deny"')
            connection.exec_driver_sql(
                "UPDATE audit_entry SET raw = ?, leaf = ?, decision = 'deny' WHERE seq = 2",
                (other, merkle.leaf(other)),
            )
            for table in ("checkpoint", "audit_subtree"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
        shutil.rmtree(self.home.folder / "audit")
        self.sign()


@pytest.fixture
def log(home: Home, tmp_path: Path) -> Published:
    return Published(home, tmp_path)


def found(orloj, *arguments: str) -> tuple[int, dict]:
    done = orloj("audit", "verify", "--json", *arguments)
    return done.code, json.loads(done.out)


def test_a_log_agrees_with_what_its_remote_keeps(log: Published, orloj) -> None:
    code, said = found(orloj, "--against", "published")
    assert (code, said["holds"], said["told"]) == (0, True, True)
    assert (said["entries"], said["signed"], said["kept"], said["witnessed"]) == (6, 6, 6, 2)
    shown = orloj("audit", "verify", "--against", str(log.origin))
    assert "Kept elsewhere: 2 checkpoints up to entry 6" in shown.out


def test_a_rewrite_with_the_key_holds_until_it_is_compared(log: Published, orloj) -> None:
    log.rewrite()
    assert found(orloj)[0] == 0, "the home vouches for itself"
    code, said = found(orloj, "--against", "published")
    assert (code, said["findings"][0]["attack"]) == (1, "rewrite-with-key")
    assert (said["findings"][0]["seq"], said["findings"][0]["until"]) == (1, 3)
    assert said["findings"][1]["attack"] == "fork"
    shown = orloj("audit", "verify", "--against", "published")
    assert shown.code == 1
    assert "Keep the database file as it is." in shown.out
    assert shown.out.count("\u2014 orloj/") >= 2, "the notes are shown as proof"


def test_an_old_copy_is_known_by_what_this_host_published(log: Published, orloj) -> None:
    """Without asking anybody: the mirror stands beside the database."""
    copy = log.home.folder / "copy.db"
    with closing(sqlite3.connect(log.home.folder / "orloj.db")) as opened:
        opened.execute("VACUUM INTO ?", (str(copy),))
    log.grow()
    log.home.close()
    for file in log.home.folder.glob("orloj.db*"):
        file.unlink()
    copy.rename(log.home.folder / "orloj.db")
    for asked in ((), ("--against", "published")):
        code, said = found(orloj, *asked)
        assert (code, said["findings"][0]["attack"], said["bad_seq"]) == (1, "rollback", 7)


def test_a_checkpoint_that_was_kept_in_a_file_is_one_to_compare_with(
    log: Published, orloj, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    with log.home.database.read() as connection:
        text = connection.exec_driver_sql("SELECT note FROM checkpoint WHERE size = 6").scalar()
    kept.write_text(text)
    assert found(orloj, "--against", str(kept))[0] == 0
    log.rewrite()
    code, said = found(orloj, "--against", str(kept))
    assert (code, said["findings"][0]["attack"]) == (1, "fork")


def test_what_cannot_be_told_ends_with_2(log: Published, orloj, tmp_path: Path) -> None:
    nowhere = orloj("audit", "verify", "--against", str(tmp_path / "nowhere.git"))
    assert nowhere.code == 2
    assert "Error:" in nowhere.err
    empty = tmp_path / "empty.git"
    git("init", "--quiet", "--bare", str(empty), folder=tmp_path)
    done = orloj("audit", "verify", "--against", str(empty))
    assert (done.code, "has no checkpoint of orloj/" in done.err) == (2, True)
    with log.home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoint")
    shutil.rmtree(log.home.folder / "audit")
    code, said = found(orloj)
    assert (code, said["holds"], said["told"]) == (2, True, False)


def test_an_empty_log_holds(home: Home, orloj) -> None:
    assert found(orloj)[0] == 0


def test_a_key_and_a_policy_of_ones_own_are_asked_for(
    log: Published, orloj, tmp_path: Path
) -> None:
    ours = note.parse_signer((log.home.folder / "audit.key").read_text()).verifier
    assert found(orloj, "--key", str(ours))[0] == 0
    other = note.generate(ours.name).verifier
    assert found(orloj, "--key", str(other))[1]["findings"][0]["attack"] == "wrong-key"
    assert orloj("audit", "verify", "--key", "nonsense").code == 1
    witness = note.generate("w.example", note.COSIGNATURE).verifier
    (tmp_path / "policy").write_text(f"witness w {witness}\nquorum w\n")
    code, said = found(orloj, "--policy", str(tmp_path / "policy"))
    assert (code, said["findings"][0]["attack"]) == (1, "stripped-signature")
    assert said["cosigned"] == 0
    assert orloj("audit", "verify", "--policy", str(tmp_path / "none")).code == 1
