"""How exactly a limit is kept, how much of it can be used, and what looking at it costs.

    python tests/benchmarks/bench_limits.py [seconds] [workers]

First one limit and many worker processes for a minute: the worst window, recomputed from the
audit log, over the limit. Then the dispatcher's statements for a model call, from question to
settlement, in a transaction each, with a limit and without one, in turn on the same disk.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from home import Home

from runner.claim import Held, Slots
from runner.contract import clock
from runner.contract.kinds import Key
from runner.ledger import Ledger
from runner.limit.worst_window import worst_windows

LIMIT: Final = 60_000
CALLS: Final = 400
TURN: Final = {"reply": "ok", "input_tokens": 60, "output_tokens": 40, "delay": "5ms"}


def agent(home: Home, name: str, **rules: Any) -> Key:
    script = {"provider": "mock", "default_model": "m", "script": {name: [TURN]}}
    home.record("ModelEndpoint", f"{name}-model", script)
    return home.record("Agent", name, {"model_ref": f"{name}-model", "governance": rules})


def a_minute(seconds: int, workers: int) -> None:
    """Worker processes against one limit."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        tasks = home.submit(agent(home, "clerk", maxTokensPerMinute=LIMIT), 4 * LIMIT // 100)
        with home.runner(workers=workers, slots=4):
            home.until(lambda: home.rows("SELECT 1 FROM reservation LIMIT 1"), 120)
            time.sleep(seconds)
            parked = home.rows("SELECT count(*) FROM audit_entry WHERE type = 'task.parked'")
        (worst,) = worst_windows(home.entries())
        done = home.rows("SELECT count(*) FROM task WHERE state = 'succeeded'")[0][0]
        print(f"{workers} processes, {seconds} s, {len(tasks)} tasks, {LIMIT} tokens a minute")
        print(f"  worst window / limit   {worst.used / LIMIT:.4f}  (holds: {worst.holds})")
        print(f"  calls made             {done}; tasks parked {parked[0][0]} times")
        home.close()


def calls(ledger: Ledger, home: Home, claims: list[tuple[str, Held]]) -> dict[str, list[float]]:
    """The time of each call's two transactions, by agent."""
    took: dict[str, list[float]] = {}
    connection = ledger._connection
    for name, held in claims:
        facts = {"step": 1, "agent": name, "model": "m"}
        tokens = {"input": 60, "likely": 60, "output": 40}
        ask = {**facts, "endpoint": "e", "request": {}, "tokens": tokens}
        end = {**facts, "outcome": "executed", "result": {}, "duration_us": 1}
        end |= {"tokens_in": 60, "tokens_out": 40, "charge": "usage"}
        started = time.perf_counter()
        for write in (
            lambda now, held=held, ask=ask: ledger.journal.begin_model(held, ask, now),
            lambda now, held=held, end=end: ledger.journal.end(held, end, now),
        ):
            with home.database.writing(connection):
                now_us = clock.now_us()
                write(now_us)
                ledger.flush(now_us)
        took.setdefault(name, []).append(time.perf_counter() - started)
    return took


def a_call() -> None:
    """The same call with a limit and without, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        agents = {
            "free": agent(home, "free"),
            "bound": agent(home, "bound", maxTokensPerMinute=10**9),
        }
        connection = home.database.connect()
        ledger = Ledger(connection, "host", crashes_max=3)
        claims = []
        for _ in range(CALLS):
            for name, key in agents.items():
                home.submit(key)
                with home.database.writing(connection):
                    now_us = clock.now_us()
                    ((_, held),) = ledger.claim(Slots([("w", 0, 1)]), "host", 2**60, now_us)
                    ledger.flush(now_us)
                claims.append((name, held))
        took = calls(ledger, home, claims)
        for name, times in took.items():
            cut = quantiles(times, n=100)[98]
            print(f"  {name:6} p50 {median(times) * 1e3:6.2f} ms   p99 {cut * 1e3:6.2f} ms")
        added = median(took["bound"]) - median(took["free"])
        print(f"  added at the median    {added * 1e3:.2f} ms")
        print(f"  guarded calls a second {1 / median(took['bound']):.0f}, one by one")
        connection.close()
        home.close()


if __name__ == "__main__":
    arguments = [int(one) for one in sys.argv[1:]]
    a_minute(*([*arguments, *(60, 8)[len(arguments) :]]))
    print("a model call, question and settlement in a transaction each")
    a_call()
