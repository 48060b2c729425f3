"""One fault after the other: each in a home of its own, with a runner of its own.

    prepare ──> task ──> model asked ──strike──> the runner decides ──> was the tool called?

First comes the same without any fault: unless the tool is called then, the drill shows
nothing. What the runner did not come to meet in time counts as not held.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.contract import clock
from runner.drill import scratch
from runner.drill.canary import Canary
from runner.drill.faults import Fault, Stage
from runner.drill.rehearsal import Rehearsal
from runner.drill.scratch import Scratch
from runner.task_record import shown_state

GRACE_S: Final = 1.0  # For a call that is on its way when the runner has met the fault.
CONTROL: Final = Fault("none", "the same call without any fault", lambda stage: stage.over)


@dataclass(frozen=True)
class Outcome:
    """What came of a fault. `decision` is what the log says, `task` the state of the task.

    `met` is whether it was seen that the runner met the fault.
    """

    fault: str
    tried: str
    decision: str
    called: bool
    met: bool
    task: str
    error: str
    duration_us: int

    @property
    def held(self) -> bool:
        """Whether nothing was called; without a fault, whether the call was made."""
        if self.fault == CONTROL.name:
            return self.met and self.called and self.decision == "allow"
        return self.met and not self.called and self.decision != "allow"


def practise(
    canary: Canary, rehearsal: Rehearsal, faults: Sequence[Fault]
) -> Iterator[Outcome]:
    """What comes of each fault, as it comes; the control first."""
    for fault in (CONTROL, *faults):
        with tempfile.TemporaryDirectory(prefix="orloj-drill-") as folder:
            yield _practised(canary, fault.rehearsed(rehearsal), fault, Path(folder))


def _practised(canary: Canary, rehearsal: Rehearsal, fault: Fault, folder: Path) -> Outcome:
    started_us = clock.boot_us()
    home = Scratch(folder, rehearsal.resources)
    with ExitStack() as ends:
        ends.callback(home.close)
        runner = ends.enter_context(scratch.running(fault.command, folder))
        stage = Stage(home, rehearsal, runner, ends)
        canary.expect(rehearsal.call, lambda: fault.strike(stage))
        fault.prepare(stage)
        home.submit(rehearsal.agent)
        struck = canary.struck.wait(scratch.PATIENCE_S)
        if canary.failed is not None:
            raise canary.failed
        met = struck and scratch.seen(lambda: _enough(fault, stage, canary))
        called = canary.called.wait(0 if fault is CONTROL else GRACE_S)
        state, error = home.task()
        return Outcome(
            fault=fault.name,
            tried=fault.tried,
            decision=home.decision() or "none",
            called=called,
            met=met,
            task=shown_state(state),
            error=error,
            duration_us=clock.boot_us() - started_us,
        )


def _enough(fault: Fault, stage: Stage, canary: Canary) -> bool:
    """Whether no more needs to be seen: a call that was made is not taken back."""
    return fault.met(stage) or (fault is not CONTROL and canary.called.is_set())
