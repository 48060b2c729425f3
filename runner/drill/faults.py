"""What a drill lets go wrong. Each fault is real, and strikes the runner process itself.

`strike` comes while the model is asked, so that the next thing the runner does is decide on
a tool call; `prepare` comes before the task is queued. `met` says by what is seen that the
runner has met the fault.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runner.contract import settings
from runner.drill import clockless, scratch
from runner.drill.rehearsal import Rehearsal
from runner.drill.scratch import RUNNER, Runner, Scratch
from runner.manifest_set import Placed

OVER: Final = frozenset({"succeeded", "failed", "dead", "waiting_approval"})
_LOCK_HOLDER: Final = (
    "import fcntl, sys, time\n"
    "held = open(sys.argv[1], 'a')\n"
    "fcntl.flock(held, fcntl.LOCK_EX)\n"
    "print('held', flush=True)\n"
    "time.sleep(3600)\n"
)


@dataclass
class Stage:
    """Where a fault strikes. `ends` undoes what must not outlive it."""

    home: Scratch
    rehearsal: Rehearsal
    runner: Runner
    ends: ExitStack = field(default_factory=ExitStack)

    def restart(self) -> None:
        """End the runner, and start another one on the same home."""
        self.runner.kill()
        self.runner = self.ends.enter_context(scratch.running(RUNNER, self.home.folder))

    @property
    def over(self) -> bool:
        """Whether the task is, or waits for a person."""
        return self.home.task()[0] in OVER


def _nothing(_: Stage) -> None:
    """Let everything be."""


def _same(rehearsal: Rehearsal) -> Rehearsal:
    return rehearsal


@dataclass(frozen=True)
class Fault:
    """A fault by its name on the command line; `tried` is what the agent then does."""

    name: str
    tried: str
    met: Callable[[Stage], bool]
    prepare: Callable[[Stage], None] = _nothing
    strike: Callable[[Stage], None] = _nothing
    rehearsed: Callable[[Rehearsal], Rehearsal] = _same
    command: tuple[str, ...] = RUNNER


def _waits(stage: Stage) -> bool:
    return bool(stage.runner.said("database_waiting")) or stage.runner.ended


def _over_or_ended(stage: Stage) -> bool:
    return stage.over or stage.runner.ended


def _fill_disk(stage: Stage) -> None:
    # No file of the runner may grow: writing fails as on a full disk.
    _, hard = resource.prlimit(stage.runner.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stage.runner.pid, resource.RLIMIT_FSIZE, (1, hard))


def _refuse_entries(stage: Stage) -> None:
    stage.home.change(
        "CREATE TRIGGER refused BEFORE INSERT ON audit_entry"
        " BEGIN SELECT RAISE(ABORT, 'the drill refuses entries'); END"
    )


def _spoil_policy(stage: Stage) -> None:
    tool = stage.rehearsal.tool()
    key = tool._replace(kind="ToolPermission")
    stage.home.change(
        f"DELETE FROM resource WHERE kind = '{key.kind}' AND name = '{key.name}'"  # noqa: S608
        f" AND namespace = '{key.namespace}'"
    )
    stage.home.record(Placed(key, '{"spec": {"required_permi', "drill.yaml", 1, {}))


def _lock_store(stage: Stage) -> None:
    lock = stage.home.folder / Path(stage.home.database.name).with_suffix(".lock").name
    holder = subprocess.Popen(  # noqa: S603 - our own lines.
        [sys.executable, "-c", _LOCK_HOLDER, str(lock)],
        env=settings.process_environment(),
        stdout=subprocess.PIPE,
    )
    stage.ends.callback(holder.wait)
    stage.ends.callback(holder.kill)
    assert holder.stdout is not None
    stage.ends.callback(holder.stdout.close)
    assert holder.stdout.readline() == b"held\n", "the other process did not get the lock"


def _lose_set(stage: Stage) -> None:
    stage.runner.kill()
    stage.home.change("DELETE FROM manifest_set")
    stage.restart()


def _cut_off(stage: Stage) -> None:
    scratch.stop(stage.runner.pid)


def _worker_gone(stage: Stage) -> bool:
    return all(scratch.gone(line["pid"]) for line in stage.runner.said("worker_started"))


FAULTS: Final = (
    Fault("log-full", "a call while the disk of the log is full", _waits, strike=_fill_disk),
    Fault(
        "log-refused",
        "a call while the log takes no entry",
        _over_or_ended,
        strike=_refuse_entries,
    ),
    Fault(
        "policy-unreadable",
        "a call under a policy that cannot be read",
        _over_or_ended,
        prepare=_spoil_policy,
    ),
    Fault(
        "approvals-locked",
        "a call that needs an approval, the store locked by another process",
        _waits,
        strike=_lock_store,
        rehearsed=Rehearsal.wanting_approval,
    ),
    Fault(
        "clock-unreadable",
        "a call while the clock cannot be read",
        _waits,
        strike=lambda stage: clockless.break_clock(stage.home.folder),
        command=clockless.RUNNER,
    ),
    Fault(
        "manifests-missing",
        "a task whose manifest set is gone",
        _over_or_ended,
        strike=_lose_set,
    ),
    Fault(
        "dispatcher-silent",
        "a call while the worker's dispatcher does not answer",
        _worker_gone,
        strike=_cut_off,
    ),
)
