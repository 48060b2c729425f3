"""Keys made for a test, and commits signed with them, as git signs or as an attacker would.

dana = signing.ssh(folder, "dana@example.com")
world.push({"a.yaml": AGENT}, signer=dana)
signing.inserted(raw, armour)        a commit's bytes with a signature of our own making
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repository import ENVIRONMENT, Repository

from reconciler import recorded
from reconciler.override import Override, OverrideKind, give
from reconciler.reconcile import INVENTORY_EVERY_US, Reconciler
from reconciler.recorded import SourceState
from runner.contract import audit, audit_check
from runner.contract.database import Database, open_database
from runner.contract.settings import Settings, Source

SEAL = "Seal\n\nOrloj-Seal: true\n"


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


def run(*argv: str, given: bytes = b"", **variables: str) -> bytes:
    done = subprocess.run(
        argv, input=given, env=ENVIRONMENT | variables, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@dataclass(frozen=True)
class Signer:
    """Somebody with a key: `options` make git sign with it, `public` is what others need."""

    name: str
    public: str
    options: tuple[str, ...]
    home: Path

    @property
    def line(self) -> str:
        """The line of an allowed_signers file."""
        return f'{self.name} namespaces="git" {self.public}\n'

    def armour(self, payload: bytes, *more: str, namespace: str = "git") -> bytes:
        """A detached signature over any bytes, made by the program itself."""
        if self.options[1].endswith("=ssh"):
            given = ("-Y", "sign", "-q", "-f", str(self.home), "-n", namespace)
            return run("ssh-keygen", *given, given=payload)
        argv = ("gpg", "-q", "--batch", *more, "-u", self.name, "--detach-sign", "--armor")
        return run(*argv, given=payload, GNUPGHOME=str(self.home))


def ssh(folder: Path, name: str, *more: str) -> Signer:
    """A new SSH key; ed25519 unless `more` says otherwise."""
    key = folder / name.partition("@")[0]
    kind = more or ("-t", "ed25519")
    run("ssh-keygen", "-q", *kind, "-N", "", "-C", "", "-f", str(key))
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    return Signer(name, public, ("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}"), key)


@contextmanager
def gnupg() -> Iterator[Path]:
    """A folder for OpenPGP keys, with a path short enough for the agent's socket."""
    folder = Path(tempfile.mkdtemp(prefix="pgp-"))
    try:
        yield folder
    finally:
        run("gpgconf", "--kill", "all", GNUPGHOME=str(folder))
        shutil.rmtree(folder)


def openpgp(folder: Path, name: str, kind: str = "ed25519", *more: str) -> Signer:
    """A new OpenPGP key in the folder. `more` are options of gpg, then the expiry."""
    *options, expiry = more or ("never",)
    user = f"{name.partition('@')[0].title()} <{name}>"
    run(
        *("gpg", "-q", "--batch", *options, "--passphrase", "", "--quick-generate-key"),
        *(user, kind, "sign", expiry),
        GNUPGHOME=str(folder),
    )
    return Signer(
        name,
        run("gpg", "--armor", "--export", name, GNUPGHOME=str(folder)).decode(),
        ("-c", "gpg.format=openpgp", "-c", f"user.signingkey={name}"),
        folder,
    )


def inserted(raw: bytes, armour: bytes, header: str = "gpgsig") -> bytes:
    """The bytes of a commit with a signature header at the end of its headers."""
    head, _, message = raw.partition(b"\n\n")
    folded = armour.rstrip(b"\n").replace(b"\n", b"\n ")
    return head + f"\n{header} ".encode() + folded + b"\n\n" + message


class World:
    """A repository, a home, and a reconciler with the trust that the settings say."""

    def __init__(self, folder: Path, object_format: str = "sha1", **source: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.repository = Repository(folder, object_format)
        self.home = folder / "home"
        self.database: Database = open_database(self.home)
        self.now_us = 1_000 * INVENTORY_EVERY_US
        self.source = source
        self.reconciler = self.started()

    def started(self, **source: Any) -> Reconciler:
        """A reconciler as a new process has it, from now on with these settings."""
        self.source = {"url": self.repository.url, **self.source, **source}
        settings = Settings(home=self.home, source=Source(**self.source))
        self.reconciler = Reconciler(settings, self.database)
        return self.reconciler

    def trusting(self, *signers: Signer, mode: str = "range", **source: Any) -> None:
        """Trust these SSH keys of the host."""
        file = self.folder / "allowed_signers"
        file.write_text("".join(signer.line for signer in signers))
        self.started(verify=mode, allowed_signers=str(file), **source)

    def commit(
        self, files: dict[str, str | None], signer: Signer | None = None, message: str = "Go"
    ) -> str:
        """A commit in the clone, signed or not."""
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        self.repository.git("add", "--all")
        self.signed("commit", "--quiet", "--allow-empty", f"--message={message}", by=signer)
        return self.repository.head()

    def signed(self, *arguments: str, by: Signer | None) -> str:
        """A git command that makes a commit, in the name of the signer."""
        name = by.name if by else "mallory@example.com"
        sign = ("--gpg-sign",) if by else ("--no-gpg-sign",)
        more = {"GNUPGHOME": str(by.home)} if by and by.home.is_dir() else {}
        return self.repository.git(
            *(by.options if by else ()),
            *(arguments[0], *sign, *arguments[1:]),
            GIT_AUTHOR_NAME=name.partition("@")[0],
            GIT_AUTHOR_EMAIL=name,
            GIT_COMMITTER_NAME=name.partition("@")[0],
            GIT_COMMITTER_EMAIL=name,
            **more,
        )

    def push(
        self, files: dict[str, str | None], signer: Signer | None = None, message: str = "Go"
    ) -> str:
        """Commit and push; the commit's hash."""
        commit = self.commit(files, signer, message)
        self.repository.push(force=True)
        return commit

    def push_raw(self, raw: bytes) -> str:
        """Push a commit whose bytes are these."""
        stored = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
        commit = self.repository.git(*stored, given=raw)
        self.repository.git("reset", "--quiet", "--hard", commit)
        self.repository.push(force=True)
        return commit

    def raw(self, commit: str = "HEAD") -> bytes:
        """The bytes of a commit."""
        return run(
            "git", "-C", str(self.repository.work), "cat-file", "commit", commit
        )  # Not through `git`, which strips.

    def look(self, **more: Any) -> Any:
        self.now_us += 1_000_000
        return self.reconciler.run(self.now_us, **more)

    def reasons(self, **more: Any) -> list[str]:
        """The reasons for which a look was blocked; empty when the commit was applied."""
        result = self.look(**more)
        assert (result.outcome == "applied") is not bool(result.blocks), result
        return [block.reason for block in result.blocks]

    def accept_rewrite(self, commit: str) -> None:
        accepted = Override(OverrideKind.REWRITE, "person:dana", "I did it")
        with self.database.write() as connection:
            give(connection, "default", commit, [accepted], self.now_us)

    def state(self) -> SourceState:
        with self.database.read() as connection:
            state = recorded.source(connection)
        assert state is not None
        return state

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def log(self, type_prefix: str | None = None) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            assert audit_check.verify(connection).holds
            return [e.fields for e in audit.read(connection, type_prefix=type_prefix)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def mirror(self, *arguments: str) -> str:
        """What git prints about the mirror."""
        path = self.home / "git" / "mirror.git"
        return run("git", f"--git-dir={path}", *arguments).decode().strip()

    def close(self) -> None:
        self.database.close()
