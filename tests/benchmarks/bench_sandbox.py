"""What it costs to start a program at each level, against bare fork and exec of the same.

    .venv/bin/python tests/benchmarks/bench_sandbox.py [--rounds 60]

All in one run and in turn, so that the ratios hold on a busy machine: a round starts each
once. The floor is `asyncio.create_subprocess_exec` of the program with nothing around it;
the other floors are `bwrap` and a new interpreter by hand. The processor time, ours and that of
all that was started, says more than the clock where others use the machine too.
"""

import argparse
import asyncio
import os
import resource
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


def cpu_s() -> float:
    """Processor time of this process and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


async def measure(
    starts: dict[str, Start], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of each start, by the clock and of a processor."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in starts}
    for number in range(rounds + 1):
        for name, start in starts.items():
            began, used = time.perf_counter(), cpu_s()
            await start()
            if number:  # The first reads everything from the disk.
                took[name].append(((time.perf_counter() - began) * 1e3, (cpu_s() - used) * 1e3))
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
    middles = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in took.items()
    }
    floor, floor_cpu = middles["bare: true"]
    print("| what is started | p50 ms | to bare true | cpu ms | to bare true |")
    print("|---|---|---|---|---|")
    for name, (clock, cpu) in middles.items():
        ratios = (clock / floor, cpu / floor_cpu)
        print(f"| {name} | {clock:.1f} | {ratios[0]:.1f} | {cpu:.1f} | {ratios[1]:.1f} |")


if __name__ == "__main__":
    main()
