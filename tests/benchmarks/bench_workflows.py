"""Systems of agents: 100 tasks of three in a line, 1 000 of one, and one that fans out to 100.

    .venv/bin/python tests/benchmarks/bench_workflows.py [--rounds 3]

Each runs on the mock model, which answers at once, and over HTTP on a stub that answers after
50 ms, through the openai package. *Ideal* is the time that the waits alone take with the slots
there are; *bare client* is the same number of questions asked by two processes with the openai
package and nothing around it, as many at once. The Go peer does 4.9 three-agent tasks a second
on the mock model, on another day on the same kind of machine.
"""

import argparse
import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from home import Home

from runner.contract.kinds import Key

DELAY_S = 0.05
WORKERS, SLOTS = 2, 64
BRANCHES = 100
PEER_RATE = 4.9


@contextmanager
def stub() -> Iterator[str]:
    """The address of a stub in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("stub_model.py")), str(DELAY_S)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def declare(home: Home, url: str | None) -> dict[str, Key]:
    """What is to run, by name."""
    endpoint: dict[str, Any] = {"provider": "mock", "default_model": "m"}
    if url is not None:
        endpoint |= {"provider": "openai-compatible", "base_url": url}
    home.record("ModelEndpoint", "default", endpoint)
    branches = [f"branch-{number:03d}" for number in range(BRANCHES)]
    for name in ("one", "two", "three", *branches, "join"):
        home.record("Agent", name, {"model": "m"})
    fan: dict[str, Any] = {name: {"next": "join"} for name in branches}
    fan["one"] = {"edges": [{"to": name} for name in branches]}
    line = home.record("AgentSystem", "line", {"agents": ["one", "two", "three"]})
    spec = {"agents": ["one", *branches, "join"], "graph": fan}
    wide = home.record("AgentSystem", "wide", spec)
    return {"line": line, "one": Key("default", "Agent", "one"), "wide": wide}


def wall_s(home: Home, key: Key, count: int) -> float:
    """Seconds from submission to the last of so many tasks."""
    started = time.perf_counter()
    tasks = home.submit(key, count)
    query = "SELECT count(*) FROM task WHERE state = 'succeeded' AND id >= ?"
    while home.rows(query, tasks[0])[0][0] < count:
        assert time.perf_counter() - started < 120
        time.sleep(0.002)
    return time.perf_counter() - started


def ideal_s(name: str, count: int) -> float:
    """What the waits alone take."""
    if name == "wide":
        return 3 * DELAY_S
    rounds = math.ceil(count / (WORKERS * SLOTS))
    return rounds * DELAY_S * (3 if name == "line" else 1)


async def _ask(url: str, count: int) -> None:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    room = asyncio.Semaphore(SLOTS)

    async def one() -> None:
        async with room:
            message: Any = {"role": "user", "content": "Begin."}
            await client.chat.completions.create(model="m", messages=[message])

    await asyncio.gather(*(one() for _ in range(count)))
    await client.close()


def _asked(url: str, count: int) -> None:
    asyncio.run(_ask(url, count))


def bare_s(url: str, questions: int) -> float:
    """Seconds for so many questions, by the client alone in two warm processes."""
    with ProcessPoolExecutor(WORKERS) as pool:
        list(pool.map(_asked, [url] * WORKERS, [SLOTS] * WORKERS))
        started = time.perf_counter()
        list(pool.map(_asked, [url] * WORKERS, [questions // WORKERS] * WORKERS))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    work = (("line", 100, 300), ("one", 1_000, 1_000), ("wide", 1, BRANCHES + 2))
    for over_http in (False, True):
        with tempfile.TemporaryDirectory() as folder, stub() as url:
            home = Home(Path(folder) / "home")
            keys = declare(home, url if over_http else None)
            with home.runner(workers=WORKERS, slots=SLOTS):
                for name, count, questions in work:
                    wall_s(home, keys[name], max(2, count // 10))
                    took = median(wall_s(home, keys[name], count) for _ in range(rounds))
                    line = f"{'http' if over_http else 'mock'} {name:<5} x{count:<5}"
                    line += f"{took * 1000:8.0f} ms {count / took:8.0f} tasks/s"
                    if over_http:
                        bare = bare_s(url, questions)
                        line += f"  {took / ideal_s(name, count):.2f} of ideal"
                        line += f"  {took / bare:.2f} of the bare client"
                    elif name == "line":
                        line += f"  {count / took / PEER_RATE:.0f} times the Go peer"
                    print(line, flush=True)
            home.close()


if __name__ == "__main__":
    main()
