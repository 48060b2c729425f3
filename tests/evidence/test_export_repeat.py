"""The same period is the same bytes: later, elsewhere, after whatever came meanwhile."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from bundles import DAY_US, Bundle, Log
from home import Home
from repository import Repository, git

from reconciler.evidence import notes
from reconciler.proof import keys
from runner.contract import audit, clock, settings, state_copy
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import connect

AGENT = "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata: {name: a}\nspec: {model: m}\n"
DISCLOSED = ("--disclose", "arguments")


class Period:
    """A log with a period that is over, with entries, values and commits, exported once."""

    def __init__(self, log: Log, folder: Path, *, pdf: bool = False) -> None:
        self.log, self.folder, self.pdf = log, folder, pdf
        self.repository = Repository(folder)
        commits = [self._commit(number) for number in range(8)]
        self.source = log.follow(self.repository)
        now_us = clock.now_us()
        log.fill(5, now_us - 3 * DAY_US)
        log.sign()
        for commit in commits[2:]:
            applied = EntryType.MANIFEST_APPLIED
            entry = Entry(type=applied, actor="git:default", commit=commit)
            log.add(entry, at_us=now_us - 2 * DAY_US)
        log.call("t1", now_us - 2 * DAY_US, arguments={"name": "Grace"})
        log.fill(300, now_us - 2 * DAY_US)
        log.sign()
        log.fill(3, now_us - DAY_US)
        log.sign()
        times = [clock.iso(now_us - days * DAY_US - 1) for days in (2, 1)]
        self._arguments = ("--from", times[0], "--to", times[1], *DISCLOSED)
        self.fields, self.first = self.again()

    def _commit(self, number: int) -> str:
        self.repository.write(f"agents/{number}.yaml", AGENT.replace("a}", f"a{number}}}"))
        self.repository.write("agents/a.yaml", AGENT + f"# {number}\n" * 50)
        commit = self.repository.commit(f"Change {number}")
        self.repository.push()
        return commit

    def again(self, log: Log | None = None) -> tuple[dict[str, Any], bytes]:
        out = self.folder / "again.tar"
        fields = (log or self.log).export(out, *self._arguments, pdf=self.pdf)
        content = out.read_bytes()
        out.unlink()
        return fields, content

    def assert_same(self, log: Log | None = None) -> None:
        fields, content = self.again(log)
        assert fields["sha256"] == self.fields["sha256"]
        assert content == self.first


@pytest.fixture
def period(log: Log, tmp_path: Path) -> Period:
    return Period(log, tmp_path)


ONCE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])


def test_it_is_the_same_after_more_entries_checkpoints_and_keys(period: Period) -> None:
    log = period.log
    assert period.fields["entries"] == 307
    assert period.fields["disclosed"] == 1
    period.assert_same()  # Each export adds an entry of its own.
    log.fill(700)
    log.sign()
    period.assert_same()
    with log.home.database.write() as connection:
        keys.rotate(log.settings, connection, "person:test", clock.now_us())
    keys.finish(log.settings)
    log.fill(70)
    log.sign()
    period.assert_same()


@ONCE
def test_a_key_that_signed_meanwhile_is_handed_over_in_the_bundle(
    log: Log, tmp_path: Path
) -> None:
    log.fill(5)
    log.sign()
    with log.home.database.write() as connection:
        keys.rotate(log.settings, connection, "person:test", clock.now_us())
    keys.finish(log.settings)
    log.fill(5)
    log.sign()
    log.export(tmp_path / "a.tar")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    (lines,) = [file.read_text() for file in bundle.folder.glob("keys/*.vkey")]
    assert len(lines.splitlines()) == 2
    assert sorted(file.name for file in bundle.folder.glob("keys/*.note")) == [
        "0.note",
        "1.note",
    ]
    assert lines.splitlines()[1] in bundle.text("keys/1.note")


@ONCE
def test_it_is_the_same_however_the_mirror_is_packed(period: Period) -> None:
    mirror = period.log.home.folder / "git" / "mirror.git"
    period.repository.write("more.yaml", AGENT.replace("a}", "more}"))
    commit = period.repository.commit("More")
    period.repository.push()
    period.source.fetch(commit)
    for arguments in (
        ("repack", "-q", "-a", "-d", "-f", "--depth=1", "--window=1"),
        ("repack", "-q", "-a", "-d", "-f", "--depth=40", "--window=80", "-b"),
        ("commit-graph", "write", "--reachable"),
        ("config", "pack.compression", "1"),
    ):
        git(*arguments, folder=mirror)
        period.assert_same()
    (pack,) = mirror.glob("objects/pack/*.pack")
    content = pack.read_bytes()
    for file in mirror.glob("objects/pack/*"):
        file.unlink()
    git("unpack-objects", "-q", folder=mirror, given=content)
    period.assert_same()


@ONCE
def test_it_is_the_same_from_a_copied_home(log: Log, tmp_path: Path) -> None:
    period = Period(log, tmp_path, pdf=True)
    period.log.home.close()
    shutil.copytree(period.log.home.folder, tmp_path / "copy", symlinks=True)
    copied = Log(tmp_path / "copy")
    period.assert_same(copied)
    copied.home.close()


@ONCE
def test_it_is_the_same_from_postgresql_after_a_move(
    period: Period, tmp_path: Path, postgresql_url: str
) -> None:
    folder, target = period.log.home.folder, connect(period.log.home.folder, postgresql_url)
    state_copy.copy(
        period.log.home.database, target, "person:test", clock.now_us(), lambda *_: None
    )
    target.close()
    moved = Log.__new__(Log)
    moved.home = Home(folder, postgresql_url, applied=False)
    moved.settings = settings.load(folder, {"ORLOJ_DATABASE_URL": postgresql_url})
    with moved.home.database.read() as connection:
        assert audit.end(connection)[0] > period.fields["last"]
    period.assert_same(moved)
    moved.home.close()


@ONCE
def test_git_knows_the_bundle_and_clones_it(period: Period, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(period.first)
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    file = str(bundle.folder / "repo.bundle")
    git("bundle", "verify", "-q", file, folder=period.repository.work)
    git("clone", "-q", "--mirror", file, str(tmp_path / "mirror"), folder=tmp_path)
    named = {e["commit"] for e in bundle.entries[1:-1] if e["type"] == "manifest.applied"}
    refs = git("for-each-ref", "--format=%(objectname)", folder=tmp_path / "mirror")
    assert named == set(refs.decode().split())
    git("fsck", "--strict", folder=tmp_path / "mirror")
    git("clone", "-q", file, str(tmp_path / "clone"), folder=tmp_path)
    assert (tmp_path / "clone/agents/7.yaml").is_file()
    assert "6 commits" in bundle.text("repositories.txt")
    assert f"{'a' * 40}  in no repository here" in bundle.text("repositories.txt")


@ONCE
def test_a_history_with_the_value_of_a_secret_is_left_out(log: Log, tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    secret = (
        "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata: {name: s}\nspec:\n  stringData: "
    )
    repository.write("s.yaml", secret + "{key: Hush-Value-1}\n")
    repository.commit("A secret")
    repository.write("s.yaml", AGENT)
    commit = repository.commit("None any more")
    repository.push()
    log.follow(repository)
    log.add(Entry(type=EntryType.MANIFEST_APPLIED, actor="git:default", commit=commit))
    log.sign()
    log.export(tmp_path / "a.tar")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    assert not (bundle.folder / "repo.bundle").exists()
    assert "the value of a Secret stands in its history" in bundle.text("repositories.txt")


@ONCE
@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_each_repository_has_a_bundle_of_its_own(log: Log, tmp_path: Path, form: str) -> None:
    for name in ("default", "extra"):
        (tmp_path / name).mkdir()
        repository = Repository(tmp_path / name, form)
        commit = repository.manifest(name)
        log.follow(repository, name)
        log.add(Entry(type=EntryType.MANIFEST_APPLIED, actor=f"git:{name}", commit=commit))
    log.sign()
    log.export(tmp_path / "a.tar")
    bundle = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    for name, file in (("default", "repo.bundle"), ("extra", "repo-extra.bundle")):
        target = tmp_path / f"clone-{name}"
        git("clone", "-q", str(bundle.folder / file), str(target), folder=tmp_path)
        assert [found.name for found in target.glob("*.yaml")] == [f"{name}.yaml"]


def test_of_a_long_period_a_bounded_number_of_checkpoints_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each part of it, the last one always; each is linked with the one before."""
    monkeypatch.setattr(notes, "NOTES_MAX", 10)
    log = Log(tmp_path / "home")
    for _ in range(60):
        log.fill(2)
        log.sign()
    log.export(tmp_path / "a.tar", "--no-git")
    folder = Bundle.unpack(tmp_path / "a.tar", tmp_path / "a").folder
    sizes = sorted(int(file.stem) for file in (folder / "checkpoints").iterdir())
    assert len(sizes) <= 12
    assert sizes[-1] == int((folder / "checkpoint").read_text().split("\n")[1])
    linked = {file.stem for file in (folder / "consistency").iterdir()}
    assert linked == {f"{old}-{new}" for old, new in itertools.pairwise(sizes)}
    log.home.close()
