"""Measure one queue once, in a process of its own: python measure.py MODULE COUNT SAMPLES.

    prepare -> queue COUNT tasks -> start two workers -> drained -> SAMPLES single tasks, idle

Prints one JSON object. The drain counts from the moment a fifth of the tasks has begun, so
that the start of the workers is no part of it, until the last one has.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from peers import place
from peers.peer import Peer
from processes import cpu_s, memory_mb, tree

SINGLE_MAX = 1_000
TIMEOUT_S = 120.0
HERE = Path(__file__).parent


def enqueue(peer: Peer, count: int) -> dict[str, float]:
    """Queue tasks: some one by one, the rest in batches where there is such a call."""
    singles = min(count, SINGLE_MAX) if peer.batch else count
    started = time.perf_counter()
    for _ in range(singles):
        peer.enqueue()
    rates = {"enqueue": singles / (time.perf_counter() - started)}
    if peer.batch and count > singles:
        batches = -(-(count - singles) // peer.batch)
        started = time.perf_counter()
        for _ in range(batches):
            peer.enqueue_batch()
        rates["batches"] = batches * peer.batch / (time.perf_counter() - started)
        singles += batches * peer.batch
    return {**rates, "count": singles}


@contextlib.contextmanager
def working(peer: Peer) -> Iterator[list[int]]:
    """The workers while they run: the ids of the processes that were started."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with (place.FOLDER / "workers.log").open("ab") as log:
        started = [
            subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            for command in peer.workers()
        ]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            # Each is a session of its own: nothing of it is left behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def drain(peer: Peer, count: int) -> float:
    """Tasks a second, of the last four fifths."""
    tally = peer.tally()
    tally.wait(count, TIMEOUT_S)
    ended = tally.marks()[count - 1][1]
    peer.settle(count)
    settled = time.monotonic_ns()
    first = count // 5
    begun = tally.marks()[first][1]
    # What keeps a record of its endings is measured by it; the others by the last beginning.
    last = settled if type(peer).settle is not Peer.settle else ended
    return (count - first) * 1e9 / (last - begun)


def pick_ups(peer: Peer, samples: int) -> list[float]:
    """Milliseconds from the call that queues a task until its function begins, being idle."""
    tally, waits = peer.tally(), []
    chance = random.Random(samples)
    for _ in range(samples + 1):
        time.sleep(chance.uniform(0.1, 0.3))
        sent_ns, seen = time.monotonic_ns(), tally.count()
        peer.enqueue(sent_ns)
        begun: list[int] = []
        while not begun:  # Not just any task: some systems begin an earlier one again.
            known = tally.count()
            begun = [at for sent, at in tally.marks(seen) if sent == sent_ns]
            if not begun:
                tally.wait(known + 1, TIMEOUT_S)
        waits.append((begun[0] - sent_ns) / 1e6)
    return waits[1:]  # The first opened connections.


def main() -> None:
    """Measure and print."""
    module, count, samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    peer: Peer = importlib.import_module(f"peers.{module}").PEER
    peer.prepare()
    figures = enqueue(peer, count)
    count = int(figures["count"])
    with working(peer) as started:
        rate = drain(peer, count)
        processes = tree(started)
        before_s, at = cpu_s(processes), time.monotonic()
        waits = pick_ups(peer, samples)
        idle = 100 * (cpu_s(processes) - before_s) / (time.monotonic() - at)
        memory = memory_mb(processes)
    repeated = sum(sent == 0 for sent, _ in peer.tally().marks()) - count
    peer.close()
    about = {"name": peer.name, "promise": peer.promise, "setting": peer.setting}
    versions = {package: metadata.version(package) for package in peer.packages}
    print(
        json.dumps(
            about
            | {"versions": versions, "drain": rate, "pick_ups_ms": waits}
            | {"idle_percent": idle, "memory_mb": memory, "repeated": repeated}
            | figures
        )
    )
    sys.stdout.flush()
    os._exit(0)  # A client's background threads are no part of the measurement.


if __name__ == "__main__":
    main()
