"""What a worker does with a task: ask, act, tell, finish; and what was really done.

The effects of calls are counted here, where they happen, and not by what the database says.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from host import Job, Worker
from nature import Nature
from promises import promise

REQUEST: Final = {"call": "c", "arguments": {}}


@dataclass(frozen=True)
class Work:
    """What a task is made of: its steps in order, and whether it takes its worker down."""

    name: str
    agent: str
    plan: tuple[str, ...]
    poison: bool
    attempts_max: int


class Moves:
    """The workers of a world at their work."""

    def __init__(self, nature: Nature, works: dict[str, Work]) -> None:
        self._nature = nature
        self._works = works
        self._questions = 0
        self.effects: Counter[tuple[str, int]] = Counter()
        self.taken_by_hand: set[tuple[str, int]] = set()
        """Claims, as task and fence, that a person has ended."""

    def move(self, worker: Worker) -> None:
        """One move in one job. A worker whose trust has run out says last words, and leaves."""
        late = worker.late
        job = self._nature.chance.choice(worker.jobs)
        if not job.waiting:
            self._edge(worker, job, late)
        if late and worker.alive and self._nature.chance.random() < 0.4:
            self._nature.tell("leaves", worker.id)
            self.kill(worker)

    def kill(self, worker: Worker) -> None:
        """A worker process ends, and its dispatcher sees that."""
        worker.die()
        worker.host.detach(worker, "the worker died")

    def _edge(self, worker: Worker, job: Job, late: bool) -> None:
        work = self._works[job.held.task]
        draw = 1.0 if self._nature.calm else self._nature.chance.random()
        if job.done == len(work.plan):
            outcome = "failed" if draw < 0.1 else "retry" if draw < 0.2 else "succeeded"
            self._finish(worker, job, outcome)
        elif job.answered is None:
            self._ask(worker, job, work.plan[job.done])
        elif job.answered != "allow":
            job.done, job.answered = job.done + 1, None
        elif draw < 0.08:  # Out of time in the middle of a call, or it met a bug of ours.
            self._finish(worker, job, "failed" if draw < 0.04 else "retry")
        elif job.acted:
            self._report(worker, job, work, draw)
        elif not late:  # Else the answer came too late to act on it.
            self._act(worker, job, work)

    def _ask(self, worker: Worker, job: Job, kind: str) -> None:
        job.waiting = True
        self._questions += 1
        job.asked = self._questions
        if kind == "model":
            self._say(
                worker,
                job,
                "model",
                id=job.asked,
                request=REQUEST,
                endpoint="default",
                model="m",
            )
        else:
            self._say(worker, job, "tool", id=job.asked, request=REQUEST, tool=kind)

    def _act(self, worker: Worker, job: Job, work: Work) -> None:
        kind, number = work.plan[job.done], job.done + 1
        job.acted = True
        self._nature.tell("acts", worker.id, work.name, kind, number)
        self._holds(worker, job)
        if kind != "model":
            self.effects[job.held.task, number] += 1
            promise(kind != "forbidden", "a call was made that was denied")
            twice = kind == "once" and self.effects[job.held.task, number] > 1
            promise(not twice, "a call that may not be repeated was made twice")
        if work.poison:
            self._nature.tell("is killed by its task", worker.id)
            self.kill(worker)

    def _holds(self, worker: Worker, job: Job) -> None:
        """Whoever acts holds the task, unless a person has only just taken it away."""
        if self._nature.server_ran_ahead or worker.orphan:
            return  # Then the fence protects, and the journal.
        held = job.held
        if (held.task, held.fence) not in self.taken_by_hand:
            query = "SELECT state, fence FROM task WHERE id = ?"
            row = self._nature.stage.rows(query, (held.task,))
            promise(row == [("leased", held.fence)], "a worker acted that holds nothing")

    def _report(self, worker: Worker, job: Job, work: Work, draw: float) -> None:
        failed = draw < 0.15
        facts = {"tokens_in": 1, "tokens_out": 1, "duration_us": 1, "result": {}}
        self._say(worker, job, "result", **facts, outcome="failed" if failed else "executed")
        if failed and work.plan[job.done] == "model":
            self._finish(worker, job, "failed" if draw < 0.1 else "retry")
        else:
            job.done, job.answered, job.acted = job.done + 1, None, False

    def _finish(self, worker: Worker, job: Job, outcome: str) -> None:
        good = outcome == "succeeded"
        facts = {"output": "done" if good else None, "error": None if good else "busy"}
        self._say(worker, job, "finish", outcome=outcome, **facts)
        worker.drop(job.held)

    def _say(self, worker: Worker, job: Job, op: str, **more: Any) -> None:
        self._nature.tell("says", worker.id, op, self._works[job.held.task].name, job.done + 1)
        agent = self._works[job.held.task].agent
        place = {"step": job.done + 1, "visit": 1, "agent": agent}
        message = {"op": op, "held": job.held, **place, **more}
        worker.host.send(worker, message)
