"""Whatever happens to a repository, the recorded state is the newest valid commit, whole.

Histories are drawn at random: writes, deletions, renames, merges, reverts, force-pushes,
broken commits, folders that vanish, remotes and refs that are lost, daemons that start anew.
The oracle knows the files of each commit and nothing of how a pass works: after each look
what is recorded is either what stood before, or exactly what the commit declares.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from repository import Repository, git

from reconciler import recorded
from reconciler.reconcile import INVENTORY_EVERY_US, Outcome, Reconciler
from runner.contract import audit_check
from runner.contract.database import open_database
from runner.contract.settings import Settings, Source

Files = dict[str, str]
"""The prompt of the agent in each file; `!` where the file has a mistake."""
NAMES = ("a", "b", "c", "d", "e")
BROKEN = "!"
EPOCH_US = 1_000 * INVENTORY_EVERY_US
SECOND_US = 1_000_000


def manifest(name: str, prompt: str) -> str:
    model = "modle" if prompt == BROKEN else "model"
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  {model}: gpt-4\n  prompt: {prompt}\n"
    )


def agent_of(path: str) -> str:
    """The agent that a file declares: a renamed file declares the same one."""
    return Path(path).stem.split("-")[0]


def valid(files: Files) -> bool:
    names = [agent_of(path) for path in files]
    return bool(files) and BROKEN not in files.values() and len(set(names)) == len(names)


class History:
    """A repository, what each of its commits holds, and a reconciler that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder)
        self.database = open_database(folder / "home")
        self.commits: dict[str, Files] = {}
        self.line: list[str] = []
        self.ref_gone = self.remote_gone = False
        self.applied: tuple[str | None, Files] = (None, {})
        self.now_us = EPOCH_US
        self.start()
        self.commit({"a.yaml": "first"})
        self.look()

    def start(self) -> None:
        # More than a budget for deletions is not what this is about.
        source = Source(url=self.repository.url, prune_max_percent=100)
        self.reconciler = Reconciler(
            Settings(home=self.folder / "home", source=source), self.database
        )

    @property
    def tip(self) -> Files:
        return dict(self.commits[self.line[-1]])

    def commit(self, files: Files, *parents: str) -> None:
        """Make and push a commit that holds exactly these files, by plumbing."""
        listing = []
        for path, prompt in sorted(files.items()):
            blob = self.git(
                "hash-object", "-w", "--stdin", given=manifest(agent_of(path), prompt).encode()
            )
            listing.append(f"100644 blob {blob}\t{path}\n")
        tree = self.tree(listing)
        flags = [part for parent in (parents or self.line[-1:]) for part in ("-p", parent)]
        sha = self.git("commit-tree", tree, *flags, "-m", f"Commit {len(self.commits)}", **WHO)
        self.commits[sha] = files
        self.line.append(sha)
        self.move(sha)

    def tree(self, listing: list[str]) -> str:
        """A tree of files and of folders one deep."""
        folders: dict[str, list[str]] = {}
        flat = []
        for entry in listing:
            head, _, path = entry.partition("\t")
            folder, slash, name = path.partition("/")
            if slash:
                folders.setdefault(folder, []).append(f"{head}\t{name}")
            else:
                flat.append(entry)
        for folder, entries in sorted(folders.items()):
            sha = self.git("mktree", given="".join(entries).encode())
            flat.append(f"040000 tree {sha}\t{folder}\n")
        return self.git("mktree", given="".join(flat).encode())

    def git(self, *arguments: str, given: bytes | None = None, **variables: str) -> str:
        folder = self.repository.origin if not self.remote_gone else self.lost
        return git(*arguments, folder=folder, given=given, **variables).decode().strip()

    def move(self, sha: str) -> None:
        self.git("update-ref", "refs/heads/main", sha)
        self.ref_gone = False

    @property
    def lost(self) -> Path:
        return self.folder / "elsewhere.git"

    # What may happen.

    def write(self, name: str, prompt: str) -> None:
        files = self.tip
        path = next((path for path in files if agent_of(path) == name), f"{name}.yaml")
        self.commit({**files, path: prompt})

    def delete(self, name: str) -> None:
        self.commit({path: text for path, text in self.tip.items() if agent_of(path) != name})

    def rename(self, name: str, to: str) -> None:
        moved = {
            (f"{to}/{name}-moved.yaml" if agent_of(path) == name else path): text
            for path, text in self.tip.items()
        }
        self.commit(moved)

    def duplicate(self, name: str) -> None:
        self.commit({**self.tip, f"teams/{name}-copy.yaml": "twice"})

    def revert(self, back: int) -> None:
        """A new commit with the files of an old one."""
        self.commit(self.commits[self.line[-1 - back % len(self.line)]])

    def merge(self, back: int, name: str) -> None:
        """A branch off an earlier commit, merged: the union, the branch's file on top."""
        base = self.line[-1 - back % len(self.line)]
        main = self.line[-1]
        side = {**self.commits[base], f"{name}.yaml": "from a branch"}
        self.commit(side, base)
        branch = self.line.pop()
        union = {**self.commits[main], f"{name}.yaml": "from a branch"}
        union = {p: t for p, t in union.items() if p == f"{name}.yaml" or agent_of(p) != name}
        self.commit(union, main, branch)

    def rewrite(self, back: int, name: str) -> None:
        """The branch is forced to an earlier commit, and goes on from there otherwise."""
        keep = max(1, len(self.line) - back % len(self.line))
        del self.line[keep:]
        self.commit({**self.tip, f"{name}.yaml": "rewritten"})

    def empty(self) -> None:
        self.commit({})

    def lose_ref(self) -> None:
        self.git("update-ref", "-d", "refs/heads/main")
        self.ref_gone = True

    def find_ref(self) -> None:
        self.move(self.line[-1])

    def lose_remote(self) -> None:
        if not self.remote_gone:
            self.repository.origin.rename(self.lost)
            self.remote_gone = True

    def find_remote(self) -> None:
        if self.remote_gone:
            self.lost.rename(self.repository.origin)
            self.remote_gone = False

    def restart(self) -> None:
        self.start()

    def collect(self) -> None:
        """The remote forgets at once whatever no ref names."""
        if not self.ref_gone:  # Else nothing at all would be left to go on from.
            self.git("gc", "--quiet", "--prune=now")

    def drop_mirror(self) -> None:
        shutil.rmtree(self.folder / "home" / "git")
        self.start()

    def look(self) -> None:
        """A pass; what is recorded then is what the oracle says."""
        self.now_us += SECOND_US
        result = self.reconciler.run(self.now_us)
        reachable = not (self.ref_gone or self.remote_gone)
        if reachable and valid(self.tip):
            assert result.outcome in (Outcome.APPLIED, Outcome.UNCHANGED), result
            self.applied = (self.line[-1], self.tip)
        else:
            assert result.outcome is not Outcome.APPLIED, result
        self.check()

    def check(self) -> None:
        commit, files = self.applied
        with self.database.read() as connection:
            state = recorded.source(connection)
            have = recorded.resources(connection)
            assert audit_check.verify(connection).holds
        assert state is not None
        assert state.applied_commit == commit
        assert {item.path: (item.key.name, prompt_of(item.body)) for item in have} == {
            path: (agent_of(path), prompt) for path, prompt in files.items()
        }


WHO = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}


def prompt_of(body: str) -> str:
    return str(json.loads(body)["spec"]["prompt"])


name = st.sampled_from(NAMES)
back = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("write"), name, st.sampled_from(["one", "two", "three", BROKEN])),
    st.tuples(st.just("write"), name, st.sampled_from(["one", "two"])),
    st.tuples(st.just("delete"), name),
    st.tuples(st.just("rename"), name, st.sampled_from(["teams", "other"])),
    st.tuples(st.just("duplicate"), name),
    st.tuples(st.just("revert"), back),
    st.tuples(st.just("merge"), back, name),
    st.tuples(st.just("rewrite"), back, name),
    st.tuples(st.just("empty")),
    st.tuples(st.sampled_from(["lose_ref", "find_ref", "lose_remote", "find_remote"])),
    st.tuples(st.sampled_from(["restart", "collect", "drop_mirror"])),
    st.tuples(st.just("look")),
    st.tuples(st.just("look")),
)


@pytest.mark.timeout(300)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    derandomize=True,
)
@given(history=st.lists(steps, min_size=6, max_size=24))
def test_the_recorded_state_is_the_newest_valid_commit(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]]
) -> None:
    world = History(tmp_path_factory.mktemp("history"))
    try:
        for step, *arguments in history:
            getattr(world, step)(*arguments)
        world.find_remote()
        world.find_ref()
        world.commit({"a.yaml": "last"})
        world.look()
        assert world.applied[0] == world.line[-1]
    finally:
        world.database.close()
        shutil.rmtree(world.folder)
