"""The runner beside other queues: queueing, draining, and how soon an idle one begins.

    .venv-benchmarks/bin/python tests/benchmarks/bench_peers.py [--rounds 3] [--only NAMES]

Every queue has two worker processes and does nothing in its tasks but leave a mark. They are
measured in turn, round after round, each in processes of its own, so that a slow moment of
the machine falls on all alike; the table shows medians, and the pick-ups of all rounds.
`make benchmarks` makes the environment and runs this after bench_queue.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import limits  # noqa: E402
import postgresql_server  # noqa: E402
import redis  # noqa: E402
import redis_server  # noqa: E402
from postgresql_server import Server  # noqa: E402
from report import FORMS, Report, middle, percentile  # noqa: E402

OURS = "orloj"
FSYNC = "redisfsync"
ROUND_TIMEOUT_S = 180


@dataclass
class Contestant:
    """A queue on a store.

    `bars` are the ratios of drains that ours is to reach on the same kind of store,
    `embedded_bars` those that ours on SQLite is to reach.
    """

    module: str
    store: str
    count: int
    bars: tuple[float, ...] = ()
    embedded_bars: tuple[float, ...] = ()
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its name on the command line."""
        return f"{self.module.partition('_')[0]}-{self.store}"

    def middle(self, name: str) -> float | None:
        """The median of a figure over the rounds; None where the queue has none."""
        values = [found[name] for found in self.rounds if name in found]
        return middle(values) if values else None

    def pick_ups(self) -> list[float]:
        """Of all rounds."""
        return [wait for found in self.rounds for wait in found["pick_ups_ms"]]


# How many tasks: so many that the slowest drains for a second and more.
CONTESTANTS = (
    Contestant("orloj_tasks", "sqlite", 8_000),
    Contestant("huey_sqlite", "sqlite", 3_000, (1.1, 5)),
    Contestant("localqueue_sqlite", "sqlite", 3_000, (4,)),
    Contestant("dbos_workflows", "sqlite", 400, (12,)),
    Contestant("orloj_tasks", "postgresql", 4_000),
    Contestant("dbos_workflows", "postgresql", 1_500, (2,), (3.5,)),
    Contestant("procrastinate_postgresql", "postgresql", 1_000, (2, 3.5), (6,)),
    Contestant("celery_redis", "redis", 1_500, (5,)),
    Contestant("celery_redis", "redisfsync", 1_000),  # As durable as the databases.
    Contestant("dramatiq_redis", "redis", 5_000, (1.1,)),
)


class Stores:
    """The servers, started once; each measurement gets an empty store."""

    def __init__(self, contestants: list[Contestant], stack: ExitStack) -> None:
        wanted = {contestant.store for contestant in contestants}
        self._postgresql = stack.enter_context(Server()) if "postgresql" in wanted else None
        redis_wanted = any(store.startswith("redis") for store in wanted)
        self._redis = stack.enter_context(redis_server.server()) if redis_wanted else ""
        self._number = 0

    def empty(self, store: str) -> str:
        """The address of a store with nothing in it; empty for a queue in a file."""
        if store.startswith("redis"):
            with redis.Redis.from_url(self._redis) as client:
                client.flushall()
                client.config_set("appendfsync", "always" if store == FSYNC else "everysec")
            return self._redis
        if self._postgresql is None or store == "sqlite":
            return ""
        self._number += 1
        if self._number > 1:
            self._postgresql.drop(f"bench_{self._number - 1}")
        return self._postgresql.create(f"bench_{self._number}")


def measure(contestant: Contestant, address: str, samples: int) -> dict[str, Any]:
    """The figures of one round; what went wrong is shown and raised."""
    with tempfile.TemporaryDirectory(prefix="orloj-bench-") as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HERE),
            "BENCH_FOLDER": folder,
            "BENCH_STORE": address,
            "BENCH_TALLY": str(Path(folder) / "tally"),
            "BENCH_FSYNC": str(int(contestant.store == FSYNC)),
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "measure.py"), contestant.module]
            + [str(contestant.count), str(samples)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=ROUND_TIMEOUT_S,
        )
        if done.returncode:
            log = Path(folder) / "workers.log"
            words = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
            raise RuntimeError(f"{contestant.key}: {done.stderr[-2_000:]}\n{words}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def chosen(names: str) -> list[Contestant]:
    """The contestants that were asked for, by key or by the start of it."""
    wanted = tuple(name for name in names.split(",") if name)
    found = [item for item in CONTESTANTS if not wanted or item.key.startswith(wanted)]
    if postgresql_server.missing():
        print(f"Left out: PostgreSQL ({postgresql_server.missing()})", file=sys.stderr)
        found = [item for item in found if item.store != "postgresql"]
    return found


def report(contestants: list[Contestant], commits_ms: list[float]) -> Report:
    """The tables and the targets."""
    found = Report()
    ours = {item.store: item for item in contestants if item.key.startswith(OURS)}
    rows = []
    for item in contestants:
        waits = item.pick_ups()
        mine = ours.get(item.store) or ours.get("sqlite")
        ratio = (
            mine.middle("drain") / item.middle("drain") if mine and mine is not item else None
        )
        rows.append(
            (item.rounds[0]["name"], item.middle("enqueue"), item.middle("batches"))
            + (item.middle("drain"), ratio, percentile(waits, 0.5), percentile(waits, 0.99))
            + (item.middle("idle_percent"), item.middle("memory_mb"))
            + (sum(found["repeated"] for found in item.rounds),)
        )
    found.table(
        "No-op tasks, two worker processes",
        ("queue", "enqueue/s", "batched/s", "drain/s", "ratio", "p50 ms", "p99 ms")
        + ("CPU %", "PSS MB", "twice"),
        rows,
        "enqueue: one durable call a task, nobody else at work. batched: 100 a call. drain: "
        "the last four fifths of what was queued. ratio: our drain on the same kind of "
        "store, on SQLite beside Redis, by theirs. p50, p99: pick-up, from the call that "
        "queues a task until its function begins, all idle, about five a second; CPU: of the "
        "workers, meanwhile. A durable commit of one row by bare sqlite3 took p50 "
        f"{percentile(commits_ms, 0.5):.2f}, p99 {percentile(commits_ms, 0.99):.2f} ms after "
        "such a pause: ours waits for two of them, Redis for none. twice: tasks that began "
        "again without any failure.",
    )
    found.table(
        "What each promises, and how it was set up",
        ("queue", "versions", "promise", "setting"),
        [
            (item.rounds[0]["name"], " ".join(item.rounds[0]["versions"].values()))
            + (item.rounds[0]["promise"], item.rounds[0]["setting"])
            for item in contestants
        ],
    )
    _targets(found, contestants, ours)
    return found


def _targets(found: Report, contestants: list[Contestant], ours: dict[str, Contestant]) -> None:
    for item in contestants:
        mine = ours.get(item.store) or ours.get("sqlite")
        if mine is None or mine is item:
            continue
        embedded = ours.get("sqlite", mine)
        for queue, bars in (mine, item.bars), (embedded, item.embedded_bars):
            ratio = queue.middle("drain") / item.middle("drain")
            for bar in bars:
                name = f"drain on {queue.store} by {item.rounds[0]['name']}'s"
                found.check(name, ratio, bar, above=True, unit="times")
    for store, item in ours.items():
        p99 = percentile(item.pick_ups(), 0.99)
        found.check(f"pick-up on {store}, p99", p99, 10, above=False, unit="ms")
        # On PostgreSQL a pick-up is a message through the server, for all that use it.
        rest = [
            other
            for other in contestants
            if not other.key.startswith(OURS) and store in ("sqlite", other.store)
        ]
        if rest:
            best = min(percentile(other.pick_ups(), 0.99) for other in rest)
            found.check(
                f"pick-up on {store}, p99, by the best peer's",
                p99,
                best,
                above=False,
                unit="ms",
            )


def run(names: str, rounds: int, samples: int) -> Report:
    """Measure in turn, round after round."""
    contestants = chosen(names)
    commits_ms: list[float] = []
    with ExitStack() as stack:
        stores = Stores(contestants, stack)
        for number in range(rounds):
            with tempfile.TemporaryDirectory(prefix="orloj-bench-") as folder:
                commits_ms += limits.commits_ms(Path(folder), 5 * samples)
            for item in contestants:
                print(f"round {number + 1} of {rounds}: {item.key}", file=sys.stderr)
                item.rounds.append(measure(item, stores.empty(item.store), samples))
    return report(contestants, commits_ms)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--samples", type=int, default=12, help="pick-ups a round")
    keys = ", ".join(item.key for item in CONTESTANTS)
    parser.add_argument("--only", default="", help=f"starts of names, with commas, of {keys}")
    parser.add_argument("--form", choices=FORMS, default="table", help="what to print")
    parser.add_argument("--json", dest="form", action="store_const", const="json")
    given = parser.parse_args()
    if not chosen(given.only):
        parser.error(f"nothing is called {given.only}; there are {keys}")
    run(given.only, given.rounds, given.samples).show(given.form)


if __name__ == "__main__":
    main()
