"""The drill of the reconciler: a daemon is killed at random moments of fetch, plan and apply.

    push ──> a daemon starts ──random wait──> SIGKILL ──> what is recorded is looked at

Each blow strikes a daemon that has work: a commit, sometimes broken, sometimes on a rewritten
history. After each, what is recorded must be one commit, whole; nothing may have happened
twice. The oracle knows the files of every commit. A daemon is forked from a process that has
everything imported and no database open, so that a blow costs a tenth of a second.

    python tests/reconcile_drill.py [--kills 500] [--seed 1] [--postgresql]
"""

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import postgresql_server
from home import opened
from repository import Repository, git

from reconciler import recorded
from reconciler.daemon import Daemon
from runner import decisions, evaluation_set
from runner.contract import audit_check, clock, database
from runner.contract.database import Database
from runner.contract.settings import Settings, Source

NAMES = tuple(f"agent-{number}" for number in range(12))
PATIENCE_S = 60.0
"""How long a daemon may take to apply what is there, before the drill calls it stuck."""

Files = dict[str, str]


def agent(name: str, version: int) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: Version {version}.\n"
    )


def task(name: str, subject: str, version: int) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Task\n"
        f"metadata:\n  name: {name}\nspec:\n  agent: {subject}\n"
        f"  input:\n    version: '{version}'\n"
    )


@dataclass
class Tally:
    """What the blows met: how far the daemon was. `groups` took git down with it."""

    kills: int = 0
    groups: int = 0
    before_fetch: int = 0
    before_apply: int = 0
    applied: int = 0
    broken: int = 0
    rewritten: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class ReconcileDrill:
    """One home, one repository, and a daemon that is killed again and again."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.url = url
        self.home = folder / "home"
        self.repository = Repository(folder)
        self.commits: dict[str, Files] = {}
        self.valid: list[str] = []
        self.version = 0
        self.tally = Tally()
        self.settings = Settings(
            home=self.home,
            source=Source(url=self.repository.url, prune_max_percent=100, timeout_s=2.0),
        )
        opened(self.home, url).close()

    # What is pushed.

    def push(self) -> None:
        """A commit that changes a few files, and never none."""
        if self.random.random() < 0.1 and len(self.valid) > 2:
            self.rewrite()
        self.version += 1
        old = self.commits.get(self.repository_head(), {})
        files = {path: text for path, text in old.items() if path.startswith("agent")}
        for path in self.random.sample(
            sorted(files), min(len(files), self.random.randint(0, 2))
        ):
            del files[path]
        for name in self.random.sample(NAMES, self.random.randint(1, 4)):
            files[f"{name}.yaml"] = agent(name, self.version)
        agents = [path.removesuffix(".yaml") for path in sorted(files)]
        for number in range(2):
            subject = self.random.choice(agents)
            files[f"task-{number}.yaml"] = task(f"task-{number}", subject, self.version)
        if self.random.random() < 0.1:
            files["broken.yaml"] = agent("broken", self.version).replace("model:", "modle:")
            self.tally.broken += 1
        self.write(files)

    def write(self, files: Files) -> None:
        for old in self.repository.work.glob("*.yaml"):
            old.unlink()
        for path, text in files.items():
            self.repository.write(path, text)
        sha = self.repository.commit(f"Version {self.version}")
        self.repository.push(force=True)
        self.commits[sha] = files
        if "broken.yaml" not in files:
            self.valid.append(sha)

    def rewrite(self) -> None:
        """Go back a commit, so that the next one lies on another history."""
        self.repository.git("reset", "--quiet", "--hard", "HEAD~1")
        self.tally.rewritten += 1

    def repository_head(self) -> str:
        try:
            return self.repository.head()
        except AssertionError:
            return ""

    # The daemon and the blow.

    def daemon(self) -> int:
        """The process id of a daemon in a process group of its own."""
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.setpgid(0, 0)
            sink = os.open(self.folder / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(sink, 2)
            held = opened_again(self.home, self.url)
            Daemon(self.settings, held, decisions.cancel, evaluation_set.pinned).run()
            code = 0
        finally:
            os._exit(code)

    def strike(self, longest_s: float) -> None:
        """Start a daemon, let it work for a random while, and kill it."""
        child = self.daemon()
        time.sleep(self.random.uniform(0.0, longest_s))
        group = self.random.random() < 0.2
        (os.killpg if group else os.kill)(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.tally.kills += 1
        self.tally.groups += group

    def run_until_applied(self) -> float:
        """How long a daemon that nobody kills takes to apply the newest valid commit."""
        started = time.monotonic()
        child = self.daemon()
        try:
            while self.applied() != self.valid[-1]:
                if time.monotonic() - started > PATIENCE_S:
                    self.tally.wrong.append(f"{self.valid[-1]} is not applied: stuck")
                    break
                time.sleep(0.02)
            took = time.monotonic() - started
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
        return took

    def note_how_far(self) -> None:
        """Count how far the daemon had come when it was struck."""
        head = self.repository_head()
        if self.applied() == head:
            self.tally.applied += 1
        elif self.readable(head):
            self.tally.before_apply += 1
        else:
            self.tally.before_fetch += 1

    # What is looked at.

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.looking() as held, held.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    @contextlib.contextmanager
    def looking(self) -> Any:
        """A look at the database that leaves no handle to fork with."""
        held = opened_again(self.home, self.url)
        try:
            yield held
        finally:
            held.close()

    def applied(self) -> str | None:
        found = self.rows("SELECT applied_commit FROM source WHERE name = 'default'")
        return found[0][0] if found else None

    def check(self) -> None:
        """Whole commits only, and each of them once."""
        with self.looking() as held, held.read() as connection:
            state = recorded.source(connection)
            have = {item.path: item for item in recorded.resources(connection)}
            if not audit_check.verify(connection).holds:
                self.tally.wrong.append("the log does not verify")
            dangling = connection.exec_driver_sql(
                "SELECT count(*) FROM reference LEFT JOIN resource"
                " ON (namespace, kind, name) = (from_namespace, from_kind, from_name)"
                " WHERE name IS NULL"
            ).scalar_one()
        commit = state.applied_commit if state else None
        files = self.commits.get(commit or "", {})
        if set(files) != set(have):
            self.tally.wrong.append(f"{commit}: {sorted(have)} is recorded")
        for path, item in have.items():
            version = json.loads(item.body)["spec"]
            if files.get(path) and not same(files[path], version):
                self.tally.wrong.append(f"{commit}: {path} is of another commit")
        if dangling:
            self.tally.wrong.append(f"{dangling} references of resources that are gone")
        self.check_history()

    def check_history(self) -> None:
        """Each revision follows the one before, with one entry, one event and its tasks."""
        revisions = self.rows("SELECT commit_sha, previous_commit FROM revision ORDER BY id")
        entries = self.rows("SELECT count(*) FROM audit_entry WHERE type = 'manifest.applied'")
        events = self.rows("SELECT sum(count) FROM event WHERE reason = 'Applied'")
        previous = None
        queued: Counter[str] = Counter()
        for commit, before in revisions:
            if before != previous:
                self.tally.wrong.append(f"revision {commit} follows {before}, not {previous}")
            old, new = self.commits.get(before or "", {}), self.commits[commit]
            queued.update(
                path.removesuffix(".yaml")
                for path in new
                if path.startswith("task") and old.get(path) != new[path]
            )
            previous = commit
        if entries[0][0] != len(revisions) or (events[0][0] or 0) != len(revisions):
            self.tally.wrong.append(f"{len(revisions)} revisions, {entries} entries, {events}")
        have = Counter(name for (name,) in self.rows("SELECT task_name FROM task"))
        if {name.rpartition("/")[2]: count for name, count in have.items()} != dict(queued):
            self.tally.wrong.append(f"tasks {dict(have)}, and {dict(queued)} were asked for")

    def check_pins(self) -> None:
        """Every commit that was ever applied can still be read."""
        for (commit,) in self.rows("SELECT DISTINCT commit_sha FROM revision"):
            if not self.readable(commit):
                self.tally.wrong.append(f"{commit} was applied and cannot be read")

    def readable(self, commit: str) -> bool:
        """Whether the mirror has a commit with its files."""
        try:
            git("cat-file", "-e", f"{commit}^{{tree}}", folder=self.home / "git" / "mirror.git")
        except (AssertionError, OSError):
            return False
        return True


def same(text: str, spec: dict[str, Any]) -> bool:
    if "kind: Task" in text:
        return f"version: '{spec['input']['version']}'" in text
    return f"prompt: {spec['prompt']}\n" in text


def opened_again(home: Path, url: str) -> Database:
    return database.open_database(home, url)


def drill(folder: Path, url: str, seed: int, kills: int) -> Tally:
    """Strike `kills` daemons, and say what was wrong with what they left."""
    made = ReconcileDrill(folder, url, seed)
    started_us = clock.boot_us()
    made.push()
    while made.repository_head() not in made.valid:
        made.push()
    took_s = made.run_until_applied()
    for _ in range(kills):
        made.push()
        made.strike(1.5 * took_s)
        made.note_how_far()
        made.check()
        if made.tally.wrong:
            break
    while made.repository_head() not in made.valid:
        made.push()
    made.run_until_applied()
    made.check()
    made.check_pins()
    made.tally.seconds = (clock.boot_us() - started_us) / 1_000_000
    return made.tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", default="")
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.url
        if given.postgresql:
            server = stack.enter_context(postgresql_server.Server())
            url = server.create("drill")
        tally = drill(Path(folder), url, given.seed, given.kills)
    print(tally)
    return 1 if tally.wrong else 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


if __name__ == "__main__":
    raise SystemExit(main())
