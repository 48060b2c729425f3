"""What docs/verification.md types to check an export with the programs of others works.

Nothing of ours runs here but what made the export. Every command of the section "By other
hands" is run as it stands there, on a real export, and fails when the export is changed.
"""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import Bundle, Log
from repository import Repository

from runner.contract.audit_entry import Entry, EntryType

DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"


def commands() -> list[str]:
    """The blocks of shell in that section, in their order."""
    text = DOCUMENT.read_text(encoding="utf-8").split("## By other hands")[1]
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder of an export, and the database that it is of."""
    folder = tmp_path_factory.mktemp("second")
    log, repository = Log(folder / "home"), Repository(folder)
    repository.write("agent.yaml", "kind: Agent\n")
    commit = repository.commit("Add an agent")
    repository.push()
    log.follow(repository)
    log.add(Entry(type=EntryType.TASK_QUEUED, actor="runner", commit=commit, task="t"))
    log.call("t", arguments={"name": "Grace"})
    log.sign()
    log.export(folder / "a.tar", "--disclose", "arguments")
    bundle = Bundle.unpack(folder / "a.tar", folder / "unpacked").folder
    approvals = bundle / "approvals"
    approvals.mkdir(exist_ok=True)
    key = folder / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True
    )
    public = key.with_suffix(".pub").read_text()
    (approvals / "allowed_signers").write_text(f'ada namespaces="orloj-approval" {public}')
    (approvals / "01req.json").write_text("{}")
    sign = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", "orloj-approval"]
    subprocess.run([*sign, str(approvals / "01req.json")], check=True)
    (approvals / "01req.json.sig").rename(approvals / "01req.sig")
    yield bundle, log.home.folder / "orloj.db"
    log.home.close()


@pytest.fixture
def bundle(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "bundle"))


def run(command: str, folder: Path, database: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "DATABASE": str(database),
        "HOME": str(folder),
        "WHO": "ada",
        "ID": "01req",
    }
    argv = ["sh", "-eu", "-c", command]
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


SPOILT = {
    "sha256sum": ("README.txt", b"AUDIT LOG", b"AUDIT FOG"),
    "openssl": ("checkpoint", b"\n2\n", b"\n1\n"),
    "ssh-keygen": ("approvals/01req.json", b"{}", b"{ }"),
    "git bundle": ("repo.bundle", b"PACK", b"PICK"),
    "sqlite3": ("headers.jsonl", b"task.queued", b"task.parked"),
}


def program(command: str) -> str:
    """What a block is about; the last one hashes as well."""
    return next(name for name in reversed(SPOILT) if name in command)


def programs() -> list[str]:
    return [program(command) for command in commands()]


def test_every_second_program_is_documented() -> None:
    assert programs() == list(SPOILT)


@pytest.mark.parametrize("command", commands(), ids=programs())
def test_a_documented_command_tells_right_from_wrong(
    made: tuple[Path, Path], bundle: Path, command: str
) -> None:
    name = program(command)
    if shutil.which(name.split()[0]) is None:
        pytest.skip(f"{name} is not on this machine")
    done = run(command, bundle, made[1])
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(bundle)
    shutil.copytree(made[0], bundle)
    file, old, new = SPOILT[name]
    content = (bundle / file).read_bytes()
    size = str(len((bundle / "headers.jsonl").read_bytes().splitlines())).encode()
    if name == "openssl":
        old, new = b"\n" + size + b"\n", b"\n9" + size + b"\n"
    assert old in content
    (bundle / file).write_bytes(content.replace(old, new))
    spoilt = run(command, bundle, made[1])
    assert spoilt.returncode != 0, spoilt.stdout + spoilt.stderr


def test_the_database_in_the_test_is_a_real_one(made: tuple[Path, Path]) -> None:
    with sqlite3.connect(made[1]) as opened:
        assert opened.execute("SELECT count(*) FROM audit_entry").fetchone()[0] >= 2


def test_the_page_in_the_export_says_how_openssl_checks_it(
    made: tuple[Path, Path], bundle: Path
) -> None:
    """For whoever has the file and not the documents."""
    text = (bundle / "README.txt").read_text(encoding="utf-8")
    shown = text.split("CHECKS WITH THE TOOLS OF OTHERS")[1].split("git bundle")[0]
    command = "\n".join(line.removeprefix("    ") for line in shown.splitlines())
    assert "Verified Successfully" in run(command, bundle, made[1]).stdout
    said = (bundle / "checkpoint").read_text(encoding="utf-8")
    (bundle / "checkpoint").write_text("x" + said, encoding="utf-8")
    assert run(command, bundle, made[1]).returncode != 0
