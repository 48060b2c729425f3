"""A bare repository with Orloj's hook, a home, and a person who pushes.

    pushing = Pushing(tmp_path)
    pushing.change({"a.yaml": agent("a")})
    pushed = pushing.push("-o", "plan-only")
    assert "Only planned" in pushed.words

Settings stand in the home's file, since that is all that a hook reads.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from home import opened
from repository import ENVIRONMENT, Repository

from reconciler import recorded
from reconciler.push import followed, receive
from reconciler.push import options as push_options
from reconciler.push.installation import Hook, HookFolder
from runner.contract import audit, audit_check, settings
from runner.contract.database import Database


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


@dataclass(frozen=True)
class Pushed:
    """What became of a push; `words` is all that the remote said, its lines joined again."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        found = [
            line.removeprefix("remote:").rstrip()
            for line in self.output.splitlines()
            if line.startswith("remote:")
        ]
        return [line.removeprefix(" ") for line in found]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.lines).split())

    @property
    def plan(self) -> str:
        """The id of the plan that was shown."""
        found = re.search(r"^Plan ([0-9a-f]{12}) ", "\n".join(self.lines), re.MULTILINE)
        assert found, self.output
        return found[1]


class Pushing:
    """A repository, a home whose source it is, and the hook between them."""

    def __init__(self, folder: Path, url: str = "", **source: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.url = url
        self.repository = Repository(folder)
        self.home = folder / "home"
        self.database: Database = opened(self.home, url)
        self.configure(**source)
        self.hooks = HookFolder(self.repository.origin, self.home / "hook" / "default")
        self.hook = Hook(python=sys.executable, home=self.home, source="default")
        self.hooks.install(self.hook, chain=False)

    def configure(self, **source: Any) -> None:
        """Write the home's settings."""
        values = {"url": self.repository.url, "interval_s": 3600.0} | source
        lines = ["[source]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        if self.url:
            lines += ["[database]", f"url = {json.dumps(self.url)}"]
        (self.home / "orloj.toml").write_text("\n".join(lines) + "\n")

    def change(self, files: dict[str, str | None], message: str = "Change") -> str:
        """Commit in the clone; the commit's hash."""
        for path, text in files.items():
            if text is None:
                self.repository.remove(path)
            else:
                self.repository.write(path, text)
        return self.repository.commit(message)

    def push(
        self, *arguments: str, to: str = "origin", ref: str = "HEAD:refs/heads/main", **env: str
    ) -> Pushed:
        """Push as a person does, over whatever transport the remote's address names."""
        return self.git("push", *arguments, to, ref, **env)

    def git(self, *arguments: str, **env: str) -> Pushed:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.repository.work,
            env=ENVIRONMENT | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        return Pushed(done.returncode, done.stdout.decode("utf-8", "replace"))

    def stands(self, ref: str = "refs/heads/main") -> str:
        """What a ref of the bare repository names; empty if there is none."""
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", ref],
            cwd=self.repository.origin,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def orloj(self, *arguments: str, given: str = "", **env: str) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "--home", str(self.home), *arguments],
            env={"PATH": os.environ["PATH"], **env},
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def look(self, pushed: str, *options: str, **update: Any) -> Any:
        """The answer to a push of an object that is in the bare repository already."""
        made = {"old": "0" * 40, "new": pushed, "ref": "refs/heads/main"} | update
        push = receive.Push(
            repository=self.repository.origin,
            quarantine="",
            update=followed.Update(**made),
            options=push_options.parse(options),
            pusher="dana",
        )
        return receive.receive(settings.load(self.home, {}), self.database, "default", push)

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """A daemon on the home; it is stopped at the end."""
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", "--home", str(self.home), "daemon"],
                env={"PATH": os.environ["PATH"]},
                stderr=log,
            )
        try:
            self.until(lambda: b"daemon_started" in (self.folder / "daemon.log").read_bytes())
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    def state(self) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection)

    def applied(self, commit: str) -> None:
        """Wait until a commit is applied."""
        self.until(
            lambda: (state := self.state()) is not None and state.applied_commit == commit
        )

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]

    def overrides(self) -> list[dict[str, Any]]:
        """What the log says was let pass."""
        with self.database.read() as connection:
            assert audit_check.verify(connection).holds
            found = audit.read(connection, type_prefix="manifest.overridden")
            return [entry.fields for entry in found]

    def until(self, true: Callable[[], bool], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            log = self.folder / "daemon.log"
            assert time.monotonic() < deadline, log.read_text() if log.exists() else ""
            time.sleep(0.005)

    def close(self) -> None:
        self.database.close()
