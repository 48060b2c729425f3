"""What a tree of processes uses, as the kernel says."""

import contextlib
import os
from pathlib import Path


def tree(pids: list[int]) -> list[int]:
    """These processes and all their descendants."""
    found = list(pids)
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_s(pids: list[int]) -> float:
    """The processor time that processes have used."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pids: list[int], share: str = "Pss") -> float:
    """Memory of processes: `Pss` splits pages among all who share them, `Rss` does not."""
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{share}:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024
