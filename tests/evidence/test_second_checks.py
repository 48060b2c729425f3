"""What other people's tools say of an export is what the documents promise, line by line."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import FACTS, Bundle, Log
from repository import Repository

from runner.contract.audit_entry import Entry, EntryType

DOCUMENT = Path(__file__).parents[2] / "docs/verification.md"


def promised(folder: Path) -> str:
    """The commands of the document, with a folder of the test's in the place of /tmp."""
    section = DOCUMENT.read_text(encoding="utf-8").split("## By other hands")[1]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.S)
    return "set -eu\n" + block.replace("/tmp/", f"{folder}/")


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    log, repository = Log(tmp_path / "home"), Repository(tmp_path)
    repository.write("agent.yaml", "kind: Agent\n")
    commit = repository.commit("Declare")
    repository.push()
    log.follow(repository)
    applied = {**FACTS, "commit": commit}
    log.add(Entry(type=EntryType.MANIFEST_APPLIED, **applied))
    log.fill(20)
    log.sign()
    log.export(tmp_path / "a.tar", "--no-pdf")
    yield Bundle.unpack(tmp_path / "a.tar", tmp_path / "a")
    log.home.close()


def run(bundle: Bundle, scratch: Path) -> subprocess.CompletedProcess[str]:
    scratch.mkdir()
    return subprocess.run(
        ["/bin/sh", "-c", promised(scratch)],
        cwd=bundle.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_line_of_the_document_holds(bundle: Bundle, tmp_path: Path) -> None:
    done = run(bundle, tmp_path / "scratch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signature Verified Successfully" in done.stdout
    first = (bundle.folder / "headers.jsonl").read_bytes().split(b"\n")[0]
    assert hashlib.sha256(b"\x00" + first).hexdigest() in done.stdout


@pytest.mark.parametrize("name", ["headers.jsonl", "checkpoint", "repo.bundle"])
def test_they_find_what_was_changed(bundle: Bundle, tmp_path: Path, name: str) -> None:
    file = bundle.folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    assert run(bundle, tmp_path / "scratch").returncode != 0


def test_openssl_finds_a_root_that_nobody_signed(bundle: Bundle, tmp_path: Path) -> None:
    """The list of hashes made to fit."""
    file = bundle.folder / "checkpoint"
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[1] = str(int(lines[1]) + 1)
    file.write_text("\n".join(lines), encoding="utf-8")
    listed = bundle.folder / "MANIFEST.sha256"
    fitting = hashlib.sha256(file.read_bytes()).hexdigest()
    listed.write_text(
        re.sub(r"[0-9a-f]{64}(?=  checkpoint\n)", fitting, listed.read_text()), encoding="utf-8"
    )
    done = run(bundle, tmp_path / "scratch")
    assert done.returncode != 0
    assert "Signature Verification Failure" in done.stdout + done.stderr
