"""A real Git repository to push to and to read from: a bare origin and a working clone.

    repository = Repository(tmp_path)
    repository.write("agents/a.yaml", "...")
    sha = repository.commit("Add an agent")
    repository.push()
    GitSource(repository.url, "main", "", tmp_path / "source", 10.0)

Git runs with an environment of its own, so that no setting of the person who runs the tests
changes what they see.
"""

import subprocess
from pathlib import Path

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}
AUTHOR = "Ada Author <ada@example.com>"


def git(*arguments: str, folder: Path, given: bytes | None = None, **variables: str) -> bytes:
    """What git prints; CalledProcessError, with its complaint, if it refuses."""
    completed = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env=ENVIRONMENT | variables,
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if completed.returncode:
        raise AssertionError(f"git {arguments[0]}: {completed.stderr.decode(errors='replace')}")
    return completed.stdout


class Repository:
    """A bare origin in `folder/origin.git`, and a clone in `folder/work` on branch main."""

    def __init__(self, folder: Path, object_format: str = "sha1") -> None:
        self.origin = folder / "origin.git"
        self.work = folder / "work"
        form = f"--object-format={object_format}"
        for arguments in (
            ("init", "--quiet", "--bare", "--initial-branch=main", form, str(self.origin)),
            ("init", "--quiet", "--initial-branch=main", form, str(self.work)),
        ):
            git(*arguments, folder=folder)
        self.git("remote", "add", "origin", str(self.origin))

    @property
    def url(self) -> str:
        """What to put into `source.url`."""
        return str(self.origin)

    def git(self, *arguments: str, given: bytes | None = None, **variables: str) -> str:
        """Run git in the clone."""
        return git(*arguments, folder=self.work, given=given, **variables).decode().strip()

    def write(self, path: str | bytes, text: str | bytes) -> None:
        """Write a file into the clone, with its folders."""
        name = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
        file = self.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    def remove(self, path: str) -> None:
        """Remove a file from the clone."""
        (self.work / path).unlink()

    def commit(self, message: str, author: str = AUTHOR) -> str:
        """Commit everything that is in the clone; the hash of the commit."""
        name, _, mail = author.rstrip(">").partition(" <")
        self.git("add", "--all")
        self.git(
            "commit", "--quiet", "--allow-empty", "--cleanup=verbatim", f"--message={message}",
            GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=mail,
            GIT_COMMITTER_NAME="Carl Committer", GIT_COMMITTER_EMAIL="carl@example.com",
        )  # fmt: skip
        return self.head()

    def push(self, ref: str = "main", *, force: bool = False) -> None:
        """Push the clone's HEAD to a branch of the origin."""
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        self.git("push", "--quiet", *(["--force"] if force else []), "origin", f"HEAD:{full}")

    def head(self) -> str:
        """The hash of the clone's commit."""
        return self.git("rev-parse", "HEAD")

    def manifest(self, name: str, *, text: str = "x") -> str:
        """Write, commit and push one file that passes for a manifest; the commit's hash."""
        self.write(f"{name}.yaml", f"name: {name}\ntext: {text}\n")
        commit = self.commit(f"Write {name}")
        self.push()
        return commit
