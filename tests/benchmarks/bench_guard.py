"""What the guard costs: a decision alone, beside a peer's, and what it adds to a tool call.

    .ci/benchmarks guard [--rounds 5] [--form table|json|markdown]

Decisions are timed in this process, ours and Cedar's on the same grants in turn. The calls
are timed where they arrive: a local server notes the gaps between them, once from a process
that does nothing but call the tool, and once through the whole runner, where each call is
asked for, decided, written down and answered before it is made. With the home in memory the
sync of the log is free; the difference to a home on the disk is what it costs.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from home import Home  # noqa: E402
from local_server import Answer, LocalServer, Received  # noqa: E402
from report import FORMS, Report, middle, percentile  # noqa: E402

from runner import tools  # noqa: E402
from runner.contract import kinds  # noqa: E402
from runner.contract.kinds import Key, Metadata  # noqa: E402
from runner.governance import judge  # noqa: E402
from runner.governance.verdict import Call, Decision  # noqa: E402
from runner.manifest_set import ManifestSet, Placed  # noqa: E402

CALLS: Final = 60  # Of one reply: the most are 64.
MEMORY: Final = Path("/dev/shm")
ARGUMENTS: Final = {"database": "db-1", "query": "SELECT 1"}
Decide = Callable[[], object]


def placed(kind: str, name: str, spec: dict[str, Any]) -> Placed:
    body = kinds.canonical(Metadata(name=name), kinds.KINDS[kind].model_validate(spec))
    return Placed(Key("default", kind, name), body, f"{name}.yaml", 1, {})


def manifests(count: int) -> ManifestSet:
    """An agent with so many tools, and as many rules, roles and policies about them."""
    needs = [{"read": "{args.database}"}]
    grants = [
        {"name": f"tool-{n}", "permissions": [{"read": f"db-{n}"}, {"read": "shared"}]}
        for n in range(1, count + 1)
    ]
    roles = [f"role-{n}" for n in range(1, count // 10 + 1)]
    agent = placed("Agent", "clerk", {"model": "m", "tools": grants, "roles": roles})
    found = [agent]
    for n in range(1, count + 1):
        found.append(placed("Tool", f"tool-{n}", {"endpoint": "http://h/", "requires": needs}))
    for role in roles:
        found.append(placed("AgentRole", role, {"permissions": ["read:other"]}))
        found.append(placed("ToolPermission", role, {"tool_ref": f"tool-{role[5:]}"}))
        blocks = {"apply_mode": "global", "blocked_tools": [f"no-{role}"]}
        found.append(placed("AgentPolicy", role, blocks))
    return ManifestSet(agent.key, {one.key: one for one in found})


def ours(count: int) -> Decide:
    """Our decision on a call of the last tool, which is allowed."""
    known = manifests(count)
    agent = known.agent("clerk")
    call = Call(f"tool-{count}", {**ARGUMENTS, "database": f"db-{count}"})
    assert judge.decide(known, agent, call).decision is Decision.ALLOW
    return lambda: judge.decide(known, agent, call)


def cedar(count: int) -> Decide:
    """Cedar's decision on the same: a policy for each grant, parsed once."""
    import cedarpy

    text = "\n".join(
        f'permit(principal == Agent::"clerk", action == Action::"tool-{n}:read",'
        f' resource == Data::"{name}");'
        for n in range(1, count + 1)
        for name in (f"db-{n}", "shared")
    )
    policies, entities = cedarpy.PolicySet.from_str(text), cedarpy.Entities.from_json_str("[]")
    request = {
        "principal": 'Agent::"clerk"',
        "action": f'Action::"tool-{count}:read"',
        "resource": f'Data::"db-{count}"',
        "context": {},
    }
    assert cedarpy.is_authorized(request, policies, entities).allowed
    return lambda: cedarpy.is_authorized(request, policies, entities)


def rate(decide: Decide, seconds: float = 0.5) -> float:
    """Decisions a second of this process's own time, whatever else the machine does."""
    count, started = 0, time.process_time()
    while (taken := time.process_time() - started) < seconds:
        for _ in range(20):
            decide()
        count += 20
    return count / taken


def decisions(report: Report, rounds: int) -> None:
    """The first table."""
    rows = []
    for count in (2, 100, 1_000):
        contestants = {"orloj": ours(count), "cedarpy": cedar(count)}
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, decide in contestants.items():
                rates[name].append(rate(decide))
        mine, theirs = middle(rates["orloj"]), middle(rates["cedarpy"])
        rows.append((str(count), mine, 1e6 / mine, theirs, mine / theirs))
    report.table(
        "Decisions alone, one core",
        ("tools granted", "ours/s", "us each", "cedarpy/s", "ratio"),
        rows,
        "The call of the last tool, with a permission from an argument, allowed. A tenth as "
        "many roles, rules and policies as tools are looked at as well, which Cedar's side "
        "has none of. Both have their manifests parsed beforehand. In processor time.",
    )


class Arrivals:
    """A tool's server that notes when each call arrived."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.server = LocalServer(self._answer)

    def _answer(self, _: Received) -> Answer:
        self.at.append(time.perf_counter())
        return Answer(200, b"ok")

    def gaps_ms(self) -> list[float]:
        """Between the calls of one series, which is forgotten; its first is to warm up."""
        times, self.at = self.at[1:], []
        return [1_000 * (b - a) for a, b in pairwise(times)]


async def bare(url: str, count: int) -> None:
    """Call the tool so often with nothing around it, in this process."""
    tool = kinds.Tool.model_validate({"type": "http", "endpoint": url})
    bounds = tools.Bounds(files=Path("/"), commands=(), output_bytes_max=65_536)
    for number in range(count):
        await tools.call(tool, ARGUMENTS, tools.Call(f"bare:{number}", None, bounds))


class Guarded:
    """A home whose agent makes sixty calls in one task."""

    def __init__(self, folder: Path, url: str) -> None:
        self.home = Home(folder / "home")
        calls = [{"tool": "query", "arguments": ARGUMENTS}] * CALLS
        script = {"clerk": [{"calls": calls}, {"reply": "done"}]}
        endpoint = {"provider": "mock", "default_model": "m", "script": script}
        self.home.record("ModelEndpoint", "default", endpoint)
        needs = [{"read": "{args.database}"}]
        self.home.record("Tool", "query", {"endpoint": url, "requires": needs})
        grant = [{"name": "query", "permissions": [{"read": "db-*"}]}]
        self.agent = self.home.record("Agent", "clerk", {"model": "m", "tools": grant})

    def run(self) -> None:
        """One task to its end."""
        (task,) = self.home.submit(self.agent)
        self.home.wait([task], {"succeeded", "failed"})
        assert self.home.state(task) == "succeeded"


def calls(report: Report, rounds: int) -> None:
    """The second table, and the target."""
    arrivals = Arrivals()
    gaps: dict[str, list[float]] = {"bare": [], "memory": [], "disk": []}
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
        tempfile.TemporaryDirectory() as disk,
        arrivals.server.running(),
    ):
        url = arrivals.server.url
        homes = {
            "memory": Guarded(Path(memory), url),
            "disk": Guarded(Path(disk), url),
        }
        with (
            homes["memory"].home.runner(workers=1, slots=1),
            homes["disk"].home.runner(workers=1, slots=1),
        ):
            for guarded in homes.values():  # To start workers and to warm them up.
                guarded.run()
            for _ in range(rounds):
                arrivals.at.clear()
                subprocess.run([sys.executable, __file__, "--bare", url], check=True)
                gaps["bare"] += arrivals.gaps_ms()
                for name, guarded in homes.items():
                    guarded.run()
                    gaps[name] += arrivals.gaps_ms()
        for guarded in homes.values():
            assert guarded.home.orloj("audit", "verify").returncode == 2, "whole, and unsigned"
            guarded.home.close()
    _compared(report, gaps)


def _compared(report: Report, gaps: dict[str, list[float]]) -> None:
    p50, p99 = (
        {name: percentile(values, share) for name, values in gaps.items()}
        for share in (0.5, 0.99)
    )
    rows = [
        (title, p50[name], p99[name], p50[name] - p50["bare"], p99[name] - p99["bare"])
        for title, name in (
            ("the tool alone", "bare"),
            ("through the guard, home in memory", "memory"),
            ("through the guard, home on the disk", "disk"),
        )
    ]
    report.table(
        "From one tool call to the next, ms",
        ("how", "p50", "p99", "added p50", "added p99"),
        rows,
        f"{len(gaps['disk'])} gaps of each, in turn, at the tool's server on this host. "
        "Through the guard: the end of the last call written, the next one asked for over a "
        "socket, decided, all with three entries in one transaction, answered, "
        "called. In memory the transaction costs no sync.",
    )
    added = p50["memory"] - p50["bare"]
    report.check("added to a call without the sync, p50", added, 1, above=False, unit="ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--form", choices=FORMS, default="table")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        asyncio.run(bare(options.bare, CALLS))
        return
    report = Report()
    decisions(report, options.rounds)
    calls(report, options.rounds)
    report.show(options.form)


if __name__ == "__main__":
    main()
