"""What a plan and a push cost, against the same git commands and the same parse done raw.

    .venv/bin/python tests/benchmarks/bench_plan.py [--sizes 100,1000,10000] [--pushes 200]

Run by hand on a quiet machine. The floor is measured in the same run, so that only the
ratio counts: `diff-tree`, `cat-file --batch` and the parse of what changed, with no
recorded state, no cache, no checks and no plan.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from repository import Repository, git

from reconciler import manifest, preview
from reconciler.change import Plan
from reconciler.desired import Scope
from reconciler.reconcile import INVENTORY_EVERY_US, Outcome, Reconciler
from runner.contract import clock, seal
from runner.contract.database import open_database
from runner.contract.settings import Settings, Source

MANIFEST = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: agent-{number}
  labels:
    team: support
    tier: gold
spec:
  model: gpt-4
  prompt: |
    You triage the claims of customers, version {version}.
    Escalate when the amount exceeds 100 EUR.
    Be brief, be kind, and never promise a date.
  tools:
    - name: scan-documents
      permissions:
        - read: compliance_docs
    - name: flag-issues
      permissions:
        - write: issues
  limits:
    max_steps: 12
    timeout: 60s
  governance:
    maxTokensPerMinute: 10000
"""
TOOLS = """\
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: scan-documents
spec:
  endpoint: https://tools.example.com/scan
  requires:
    - read: compliance_docs
---
apiVersion: orloj.dev/v1
kind: Tool
metadata:
  name: flag-issues
spec:
  endpoint: https://tools.example.com/flag
  requires:
    - write: issues
"""


class Bench:
    """A repository of so many manifests, applied, and a warm reconciler on it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.repository = Repository(folder)
        for number in range(size):
            self.repository.write(self.path(number), MANIFEST.format(number=number, version=0))
        self.repository.write("tools.yaml", TOOLS)
        self.repository.commit("First")
        self.repository.push()
        self.home = folder / "home"
        self.database = open_database(self.home)
        self.held = self.database.connect()
        settings = Settings(home=self.home, source=Source(url=self.repository.url))
        self.sealer = seal.sealer(self.home)
        self.reconciler = Reconciler(settings, self.database)
        started = time.perf_counter()
        assert self.reconciler.run(clock.now_us()).outcome is Outcome.APPLIED
        self.first_ms = (time.perf_counter() - started) * 1_000
        self.version = 0

    def path(self, number: int) -> str:
        return f"teams/t{number % 20}/agent-{number}.yaml"

    def change(self, count: int) -> str:
        """Commit and push `count` changed manifests; the commit, fetched."""
        self.version += 1
        for number in range(count):
            text = MANIFEST.format(number=number, version=self.version)
            self.repository.write(self.path(number), text)
        commit = self.repository.commit(f"Change {count}")
        self.repository.push()
        self.reconciler._git.fetch(commit)
        return commit

    def plan(self, commit: str) -> Plan:
        reconciler = self.reconciler
        state = reconciler._conditions.state()
        seen = preview.preview(
            reconciler._place, commit, state, Scope.CHANGES, now_us=clock.now_us()
        )
        assert seen.plan is not None
        return seen.plan

    def floor(self, base: str, commit: str) -> None:
        """The same work with nothing around it."""
        arguments = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, commit)
        parts = git("diff-tree", *arguments, folder=self.repository.origin).split(b"\0")
        blobs = [head.split(b" ")[3] for head in parts[0::2] if head]
        if not blobs:
            return
        given = b"".join(blob + b"\n" for blob in blobs)
        output = git(
            "cat-file", "--batch", "--buffer", folder=self.repository.origin, given=given
        )
        at = 0
        while at < len(output):
            end = output.index(b"\n", at)
            size = int(output[at:end].rpartition(b" ")[2])
            parsed = manifest.parse(
                output[end + 1 : end + 1 + size], "x.yaml", self.sealer.seal
            )
            assert parsed.resources
            at = end + size + 2

    def close(self) -> None:
        self.held.close()
        self.database.close()


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1_000


def measure_plan(bench: Bench, changed: int, repeats: int) -> tuple[float, float, Plan]:
    """Medians in ms of our plan and of the floor; each repeat has blobs nobody has seen."""
    base = bench.reconciler._conditions.state()
    assert base is not None
    assert base.applied_commit is not None
    ours, floors = [], []
    for _ in range(repeats):
        commit = bench.change(changed)
        floors.append(timed(lambda: bench.floor(base.applied_commit, commit)))  # noqa: B023
        ours.append(timed(lambda: bench.plan(commit)))  # noqa: B023
    planned = bench.plan(commit)
    assert len(planned.changes) == changed
    return statistics.median(ours), statistics.median(floors), planned


def measure_nothing(bench: Bench, repeats: int) -> tuple[float, float]:
    """Medians in ms of a pass that finds nothing new, and of one `ls-remote`."""
    assert bench.reconciler.run(clock.now_us()).outcome is not Outcome.FAILED
    now_us = clock.now_us()
    ours = [
        timed(lambda: bench.reconciler.run(now_us + INVENTORY_EVERY_US // 2))
        for _ in range(repeats)
    ]
    floors = [
        timed(lambda: git("ls-remote", str(bench.repository.origin), "main", folder=bench.home))
        for _ in range(repeats)
    ]
    return statistics.median(ours), statistics.median(floors)


def plans(sizes: list[int]) -> None:
    print("plan in a warm process, ms (medians)")
    print(f"{'manifests':>10} {'changed':>8} {'ours':>9} {'floor':>9} {'ratio':>6}")
    one: dict[int, float] = {}
    for size in sizes:
        folder = Path(tempfile.mkdtemp(prefix="orloj-bench-"))
        bench = Bench(folder, size)
        nothing, look = measure_nothing(bench, 30)
        print(f"{size:>10} {0:>8} {nothing:>9.1f} {look:>9.1f} {nothing / look:>6.2f}")
        for changed, repeats in ((1, 20), (size, 3 if size > 1_000 else 5)):
            ours, floor, _ = measure_plan(bench, changed, repeats)
            print(f"{size:>10} {changed:>8} {ours:>9.1f} {floor:>9.1f} {ours / floor:>6.2f}")
            if changed == 1:
                one[size] = ours
        applied = timed(lambda: bench.reconciler.run(clock.now_us()))  # noqa: B023
        each = bench.first_ms / size
        print(f"{size:>10} first pass {bench.first_ms:.0f} ms ({each:.2f} each), ", end="")
        print(f"all changed applied in {applied:.0f} ms")
        bench.close()
        shutil.rmtree(folder)
    small, large = one[min(one)], one[max(one)]
    print(f"1 changed of {max(one)} costs {large / small:.2f} times 1 changed of {min(one)}")


def pushes(count: int, size: int) -> None:
    """From the return of `git push` until the commit is applied, with a real daemon."""
    folder = Path(tempfile.mkdtemp(prefix="orloj-bench-"))
    bench = Bench(folder, size)
    environment = {
        "PATH": os.environ["PATH"],
        "ORLOJ_HOME": str(bench.home),
        "ORLOJ_SOURCE_URL": bench.repository.url,
        "ORLOJ_SOURCE_INTERVAL_S": "3600",
    }
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "daemon"], env=environment, stderr=log
        )
    while b"daemon_started" not in (folder / "daemon.log").read_bytes():
        time.sleep(0.01)
    waits = []
    for number in range(count):
        bench.repository.write(bench.path(0), MANIFEST.format(number=0, version=f"p{number}"))
        commit = bench.repository.commit("Push")
        bench.repository.push()
        waits.append(timed(lambda: await_applied(bench, commit)))  # noqa: B023
    daemon.terminate()
    daemon.wait()
    bench.close()
    shutil.rmtree(folder)
    waits.sort()
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(f"push -> applied, {count} pushes to {size} manifests: ", end="")
    print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {waits[-1]:.1f} ms")


def await_applied(bench: Bench, commit: str) -> None:
    query = "SELECT applied_commit FROM source"
    while bench.held.exec_driver_sql(query).scalar_one() != commit:
        time.sleep(0.0002)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--pushes", type=int, default=200)
    options = parser.parse_args()
    plans([int(size) for size in options.sizes.split(",")])
    if options.pushes:
        pushes(options.pushes, 1_000)


if __name__ == "__main__":
    main()
