"""The runner of the benchmarks without an audit log: what is left is the rest of a task.

    python tests/benchmarks/unlogged_runner.py HOME [TALLY]

Only to measure against. Nothing else can switch the log off.
"""

import noop_runner

from runner.contract import audit


def main() -> None:
    """Run until a signal says stop."""
    audit.append = lambda _connection, _entries, _now_us: None  # type: ignore[assignment]
    noop_runner.main()


if __name__ == "__main__":
    main()
