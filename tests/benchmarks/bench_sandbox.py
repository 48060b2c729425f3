"""What it costs to start a program at each level, against bare fork and exec of the same.

    .venv/bin/python tests/benchmarks/bench_sandbox.py [--rounds 60]

All in one run and in turn, so that the ratios hold on a busy machine: a round starts each
once. The floor is `asyncio.create_subprocess_exec` of the program with nothing around it;
the other floors are the same program under `bwrap` and under a new interpreter, by hand.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from runner import sandbox, tools
from runner.contract.kinds import Tool
from runner.sandbox import Confinement, Level
from runner.tools import Bounds, Call

TRUE = "/bin/true"
PYTHON = os.path.realpath(sys.executable)
Start = Callable[[], Awaitable[object]]
BWRAP = "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev"


def bare(*argv: str) -> Start:
    """A start with nothing around it."""

    async def start() -> None:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=-1, stdout=-1, stderr=-1, env={}
        )
        await process.communicate(b"")

    return start


def at(level: Level) -> Start:
    """A start at a level."""

    async def start() -> None:
        done = await sandbox.run(
            [TRUE], b"", Confinement(), output_bytes_max=9, error_bytes_max=9, level=level
        )
        assert done.code == 0, done

    return start


def tool(folder: Path) -> Start:
    """A whole call of a function, as a task makes it."""
    (folder / "a").write_text("x", encoding="utf-8")
    spec = Tool.model_validate({"type": "python", "function": "read_file"})
    call = Call("t:1", None, Bounds(folder, (), 1_024))

    async def start() -> None:
        assert (await tools.call(spec, {"file": "a"}, call)).text == "x"

    return start


async def measure(starts: dict[str, Start], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each start."""
    took: dict[str, list[float]] = {name: [] for name in starts}
    for number in range(rounds + 1):
        for name, start in starts.items():
            began = time.perf_counter()
            await start()
            if number:  # The first reads everything from the disk.
                took[name].append((time.perf_counter() - began) * 1e3)
    return took


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        starts = {"bare: true": bare(TRUE), "bare: python -I -S": bare(PYTHON, "-ISc", "")}
        if not sandbox.why_not(Level.BUBBLEWRAP):
            starts["bwrap by hand: true"] = bare("/usr/bin/bwrap", *BWRAP.split()[1:], TRUE)
        for level in Level:
            if level is Level.NONE or not sandbox.why_not(level):
                starts[f"{level}: true"] = at(level)
        starts[f"read_file, {sandbox.available().level}"] = tool(Path(folder))
        took = asyncio.run(measure(starts, rounds))
    floor = statistics.median(took["bare: true"])
    print("| what is started | p50 ms | p95 ms | to bare true |\n|---|---|---|---|")
    for name, times in took.items():
        middle = statistics.median(times)
        late = statistics.quantiles(times, n=20)[-1]
        print(f"| {name} | {middle:.1f} | {late:.1f} | {middle / floor:.1f} |")


if __name__ == "__main__":
    main()
