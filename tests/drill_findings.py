"""What is wrong after a drill: every promise that was broken, in words; nothing is good.

    .venv/bin/python tests/drill_findings.py --kills 500 --tasks 2000

carries out a whole drill and says what it found; `--postgresql --hosts 2` shares a server
among two runners.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import postgresql_server
from drill import STAGES, Drill, Plan, drilled, line_of

from runner.contract import audit_check


def findings(drill: Drill) -> list[str]:
    """Every broken promise; empty when all of them were kept."""
    return [
        *_tasks(drill),
        *_pushed(drill),
        *_effects(drill),
        *_notices(drill),
        *_attempts(drill),
        *_log(drill),
        *_processes(drill),
    ]


def report(drill: Drill, wrong: list[str]) -> str:
    """What was done, what it took, and what is wrong; the end of the story if anything is."""
    plan = drill.plan
    struck = ", ".join(f"{count} x {what}" for what, count in sorted(drill.strikes.items()))
    attempts = drill.home.rows("SELECT outcome, count(*) FROM attempt GROUP BY 1 ORDER BY 1")
    lines = [
        f"seed {plan.seed}: {plan.tasks} tasks, {len(drill.pushed)} of them pushed",
        f"struck: {struck}",
        f"claims: {', '.join(f'{count} {outcome}' for outcome, count in attempts)}",
        f"looked up by a person: {dict(drill.resolved)}",
        f"took {drill.took_s:.1f} s; {drill.settling_s:.1f} s from the last blow to the end",
    ]
    if wrong:
        lines += [f"WRONG: {len(wrong)} findings", *wrong[:40]]
        lines += ["the story:", *drill.story]
    else:
        lines.append("0 lost, 0 twice, 0 stuck")
    return "\n".join(lines)


def _tasks(drill: Drill) -> Iterator[str]:
    rows = drill.home.rows(
        "SELECT id, state, input, output, holder, lease_until, error FROM task ORDER BY id"
    )
    if len(rows) != drill.plan.tasks:
        yield f"{len(rows)} tasks are there, {drill.plan.tasks} were asked for"
    orders = Counter(json.loads(row[2])["order"] for row in rows)
    yield from (f"order {order} was queued {n} times" for order, n in orders.items() if n > 1)
    for task, state, input, output, holder, until, error in rows:
        if state != "succeeded":
            yield f"task {task} is {state}: {error}"
        elif output != f"{json.loads(input)['order']} is done":
            yield f"task {task} answered {output!r}"
        if state != "leased" and (holder is not None or until is not None):
            yield f"task {task} is {state} and held by {holder}"
    missing = set(drill.tasks) - {row[0] for row in rows}
    yield from (f"task {task} is lost" for task in sorted(missing))


def _pushed(drill: Drill) -> Iterator[str]:
    rows = drill.home.rows("SELECT task_name FROM task WHERE task_name IS NOT NULL")
    times = Counter(row[0] for row in rows)
    for order in drill.pushed:
        if times[f"order-{order}"] != 1:
            yield f"pushed order {order} was queued {times[f'order-{order}']} times"


def _effects(drill: Drill) -> Iterator[str]:
    times = Counter(drill.effects)
    wanted = {
        line_of({"order": str(order), "stage": stage})
        for order in range(1, drill.plan.tasks + 1)
        for stage in STAGES
    }
    yield from (f"done {times[line]} times: {line}" for line in times if times[line] > 1)
    yield from (f"never done: {line}" for line in sorted(wanted - set(times)))
    yield from (f"done for nothing: {line}" for line in sorted(set(times) - wanted))


def _notices(drill: Drill) -> Iterator[str]:
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for order, key in drill.depot.notified:
        keys[order].add(key)
    rows = drill.home.rows("SELECT id, input FROM task")
    for task, input in rows:
        order = json.loads(input)["order"]
        if keys[order] != {f"{task}:4"}:
            yield f"order {order} of task {task} was notified under {sorted(keys[order])}"


def _attempts(drill: Drill) -> Iterator[str]:
    claims: defaultdict[str, list[tuple[int, str | None, int | None]]] = defaultdict(list)
    for task, fence, outcome, ended in drill.home.rows(
        "SELECT task_id, fence, outcome, ended_at FROM attempt ORDER BY task_id, fence"
    ):
        claims[task].append((fence, outcome, ended))
    for task, fence in drill.home.rows("SELECT id, fence FROM task"):
        mine = claims[task]
        if [claim[0] for claim in mine] != list(range(1, fence + 1)):
            yield f"task {task} has fence {fence} and claims {[claim[0] for claim in mine]}"
        outcomes = [claim[1] for claim in mine]
        if any(claim[2] is None for claim in mine):
            yield f"task {task} has a claim that never ended: {outcomes}"
        if outcomes.count("succeeded") != 1 or outcomes[-1] != "succeeded":
            yield f"task {task} did not succeed in its last claim only: {outcomes}"


def _log(drill: Drill) -> Iterator[str]:
    with drill.home.database.read() as connection:
        verdict = audit_check.verify(connection)
    if not verdict.holds:
        yield f"the log does not hold at entry {verdict.bad_seq}: {verdict.problem}"
    ids = [row[0] for row in drill.home.rows("SELECT id FROM task")]
    for kind in ("task.queued", "task.finished"):
        times = Counter(
            row[0]
            for row in drill.home.rows("SELECT task FROM audit_entry WHERE type = ?", kind)
        )
        for task in ids:
            if times[task] != 1:
                yield f"the log has {times[task]} entries {kind} of task {task}"
    steps = Counter(
        (entry["task"], entry["step"])
        for entry in drill.home.entries()
        if entry["type"] == "action.executed"
    )
    for (task, step), count in steps.items():
        if count > 1:
            yield f"step {step} of task {task} has {count} results in the log"


def _processes(drill: Drill) -> Iterator[str]:
    for process in drill.seen:
        if process.alive:
            yield f"process {process.pid} is left over"
    for service in drill.services:
        odd = {code: n for code, n in service.exits.items() if code not in (0, -9)}
        if odd:
            yield f"a {service.role} ended by itself: exit codes {odd}"


def main() -> int:
    """Carry out one drill from the command line; 1 when it finds something."""
    parser = argparse.ArgumentParser(description="Kill processes at random, and count.")
    for name, default in (("kills", 500), ("tasks", 2_000), ("hosts", 1), ("stops", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    asked = parser.parse_args()
    plan = Plan(
        seed=asked.seed,
        kills=asked.kills,
        tasks=asked.tasks,
        stops=asked.stops,
        pushed=asked.tasks // 5,
        hosts=asked.hosts,
        patience_s=3_600.0,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-")))
        if asked.postgresql:
            server = stack.enter_context(postgresql_server.Server())
            plan = replace(plan, url=server.create("drill"))
        drill = stack.enter_context(drilled(plan, folder))
        wrong = findings(drill)
        print(report(drill, wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
