"""A home whose log is signed, exports of it, and a second reader of what is in them."""

import base64
import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from home import Home
from repository import Repository

from reconciler.cli import group
from reconciler.git.mirror import mirror_folder
from reconciler.git.source import GitSource
from reconciler.proof.keeper import Keeper
from runner.contract import audit, clock, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.errors import OrlojError
from runner.contract.settings import DEFAULT_SOURCE

FACTS: dict[str, Any] = {"actor": "worker:1", "commit": "a" * 40}
DAY_US = 86_400_000_000


class Log:
    """A home with a log and the key that signs it."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.home = Home(folder, url)
        self.settings = settings.load(folder, {"ORLOJ_DATABASE_URL": url})

    def add(self, *entries: Entry, at_us: int | None = None) -> None:
        with self.home.database.write() as connection:
            audit.append(connection, entries, clock.now_us() if at_us is None else at_us)

    def fill(self, count: int, at_us: int | None = None) -> None:
        entry = Entry(type=EntryType.ACTION_DECIDED, task="t1", decision="allow", **FACTS)
        self.add(*[entry] * count, at_us=at_us)

    def call(self, task: str, at_us: int | None = None, **private: Any) -> None:
        """A call with values that the log only commits to."""
        pairs = tuple(private.items())
        self.add(
            Entry(type=EntryType.ACTION_REQUESTED, task=task, private=pairs, **FACTS),
            at_us=at_us,
        )

    def sign(self) -> None:
        Keeper(self.settings, self.home.database, clock.now_us).step(at_once=True)

    def export(self, out: Path, *arguments: str, pdf: bool = False) -> dict[str, Any]:
        """What `orloj audit export --json` says of a bundle; a PDF takes most of its time."""
        wanted = () if pdf else ("--no-pdf",)
        done = self._run(out, "--json", *wanted, *arguments)
        assert done.exception is None, done.exception
        fields: dict[str, Any] = json.loads(done.stdout)
        return fields

    def refused(self, out: Path, *arguments: str) -> str:
        """What the command says when it does not export."""
        done = self._run(out, *arguments)
        assert isinstance(done.exception, OrlojError), done.output
        assert not out.exists()
        return str(done.exception)

    def _run(self, out: Path, *arguments: str) -> Result:
        # In this process: a command of its own takes a second, and there are many.
        runner = CliRunner(env={"ORLOJ_DATABASE_URL": self.home.url})
        argv = ["--home", str(self.home.folder), "audit", "export", "--out", str(out)]
        return runner.invoke(group, [*argv, *arguments], standalone_mode=False)

    def follow(self, repository: Repository, name: str = DEFAULT_SOURCE) -> GitSource:
        """A repository as the daemon mirrors it."""
        folder = mirror_folder(self.home.folder, name)
        source = GitSource(repository.url, "main", "", folder, 30.0)
        source.fetch(source.resolve())
        return source


@dataclass(frozen=True)
class Bundle:
    """An export, unpacked by the program everybody has."""

    folder: Path

    @staticmethod
    def unpack(tar: Path, target: Path) -> "Bundle":
        with tarfile.open(tar) as opened:
            opened.extractall(target, filter="data")
        (folder,) = target.iterdir()
        return Bundle(folder)

    @property
    def description(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.text("bundle.json"))
        return fields

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text("headers.jsonl").splitlines()]

    def text(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def root(self) -> bytes:
        """The root over all that is in it, as RFC 6962 defines it, by no code of ours."""
        about = self.description
        lines = (self.folder / "headers.jsonl").read_bytes().split(b"\n")[:-1]
        leaves = [hashlib.sha256(b"\x00" + line).digest() for line in lines]
        rest = (self.folder / "after.bin").read_bytes()
        leaves += [rest[at : at + 32] for at in range(0, len(rest), 32)]
        stack: list[tuple[int, bytes]] = []
        count = about["head_first"] - 1
        sizes = [1 << bit for bit in reversed(range(64)) if count & 1 << bit]
        known = list(zip(sizes, map(bytes.fromhex, about["before"]), strict=True))
        for size, digest in known + [(1, leaf) for leaf in leaves]:
            stack.append((size, digest))
            while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
                right, left = stack.pop(), stack.pop()
                joined = hashlib.sha256(b"\x01" + left[1] + right[1]).digest()
                stack.append((2 * left[0], joined))
        digest = stack.pop()[1]
        while stack:
            digest = hashlib.sha256(b"\x01" + stack.pop()[1] + digest).digest()
        return digest

    def signed_root(self) -> bytes:
        return base64.b64decode(self.text("checkpoint").split("\n")[2])
