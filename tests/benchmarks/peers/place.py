"""Where a measurement takes place, as told to every process of it by the environment."""

import os
from pathlib import Path

from tally import Tally

FOLDER = Path(os.environ["BENCH_FOLDER"])
"""An empty folder of this measurement's own; a queue in a file is kept in it."""
STORE = os.environ["BENCH_STORE"]
"""The address of an empty database, or of an empty Redis; empty for a queue in a file."""
FSYNC = os.environ.get("BENCH_FSYNC") == "1"
"""Whether Redis makes each command durable, and not each second's."""
TALLY = Path(os.environ["BENCH_TALLY"])
"""The file in which tasks leave their marks."""

_tally = Tally(TALLY)


def noop(sent_ns: int = 0) -> None:
    """The task of every system: leave a mark, and nothing else."""
    _tally.note(sent_ns)
