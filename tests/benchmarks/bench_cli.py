"""What it costs to start the command line, against the bare interpreter in the same run.

.venv/bin/python tests/benchmarks/bench_cli.py [--runs 40]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ORLOJ = str(Path(sys.executable).parent / "orloj")


def run_ms(command: list[str], home: str) -> float:
    started = time.perf_counter()
    environment = {"PATH": "/usr/bin:/bin", "ORLOJ_HOME": home}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - started) * 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "orloj --help": [ORLOJ, "--help"],
        "orloj status": [ORLOJ, "status"],
        "orloj tasks": [ORLOJ, "tasks"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(runs + 1):
            # In turn, so that a slow moment of the machine falls on all of them alike.
            for name, command in commands.items():
                times[name].append(run_ms(command, home))
    bare = statistics.median(times["python -c pass"][1:])
    for name, values in times.items():
        median = statistics.median(values[1:])
        print(f"{name:16} {median:7.1f} ms   {median - bare:+7.1f} ms over the interpreter")


if __name__ == "__main__":
    main()
