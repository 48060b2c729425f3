"""Drive the runs that are open: ask what may be asked, score what was answered, close.

    waiting ──ask──> asked ──┬─ scored by what was expected ──────────────> scored
                             ├─ a judge is asked ──> judging ──its reply──> scored
                             ├─ a person must ──────> review ──grade──────> scored
                             └─ failed, cancelled, over its time ─────────> errored

Level-triggered: all that is known stands in rows, each turn of a run is one transaction that
has its row locked, so that it may be driven by many, or by whoever comes after a killed one.
Patterns are searched between transactions, since they may take seconds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from reconciler.evaluation import beginning, closing, pattern, rows, scoring
from reconciler.evaluation.beginning import Pin
from reconciler.evaluation.record import CLOSED, Result, ResultState, Run, RunState
from reconciler.evaluation.rows import Asked
from reconciler.evaluation.scoring import Score
from reconciler.in_flight import Cancel
from runner.contract import submission, wake
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.kinds.base import seconds
from runner.contract.kinds.eval_dataset import Expected, Sample, Scoring
from runner.contract.submission import Submission
from runner.contract.task_state import FINISHED, TaskState

JUDGE: Final = "orloj-eval-judge"
EXPECTED, JUDGED = "expected", "judge"
_FINISHED: Final = frozenset(state.value for state in FINISHED)


def drive(database: Database, pin: Pin, cancel: Cancel, now_us: int) -> list[Run]:
    """Take every open run as far as it goes now; those that closed. DatabaseUnavailable."""
    with database.read() as connection:
        found = rows.unfinished(connection)
    return [over for run in found if (over := step(database, run, pin, cancel, now_us=now_us))]


def step(database: Database, run: Run, pin: Pin, cancel: Cancel, *, now_us: int) -> Run | None:
    """Take one run as far as it goes; what it is when this closed it."""
    with database.read() as connection:
        known = _scores(run, rows.results(connection, run.id), connection)
    scores = {task: _score(*item) for task, item in known.items()}
    with database.write() as connection:
        fresh = rows.locked(connection, run.id)
        turn = _Turn(connection, fresh, scores, cancel, now_us)
        if fresh.closing:
            turn.stop()
        elif fresh.state is RunState.PENDING:
            if beginning.prepare(connection, fresh, pin, now_us):
                turn.go_on()
        elif fresh.open:
            turn.go_on()
        after = rows.locked(connection, run.id)
    if turn.queued or turn.stopped:
        database.knock(wake.RUNNER)
    return after if fresh.open and not after.open else None


def stop(connection: Connection, run: Run, why: str, now_us: int) -> None:
    """Cancel a run that is open; its tasks are cancelled by the next turn."""
    rows.close(connection, run.id, RunState.CANCELLED, why, now_us)


class _Turn:
    """One turn of a run, in one transaction that has it locked."""

    def __init__(
        self,
        connection: Connection,
        run: Run,
        scores: Mapping[str, Score],
        cancel: Cancel,
        now_us: int,
    ) -> None:
        self._connection = connection
        self._run = run
        self._scores = scores
        self._cancel = cancel
        self._now_us = now_us
        self._samples = {sample.name: sample for sample in run.dataset.samples}
        self.queued = 0
        self.stopped = 0

    def go_on(self) -> None:
        """Take each answer as far as it goes, ask more, and close what is done."""
        before = rows.results(self._connection, self._run.id)
        ids = [id for one in before for id in (one.task, one.judge_task)]
        tasks = rows.asked(self._connection, ids)
        after = [self._moved(one, tasks) for one in before]
        after = self._ask(after)
        changed = [new for old, new in zip(before, after, strict=True) if new != old]
        rows.save(self._connection, self._run.id, changed)
        self._settle(after)

    def stop(self) -> None:
        """Cancel the tasks of a cancelled run."""
        results = rows.results(self._connection, self._run.id)
        tasks = rows.asked(
            self._connection, [id for one in results for id in (one.task, one.judge_task)]
        )
        self._end([id for id, task in tasks.items() if task.state not in _FINISHED])
        rows.closed(self._connection, self._run.id)

    def _moved(self, one: Result, tasks: Mapping[str, Asked]) -> Result:
        if one.state is ResultState.ASKED:
            assert one.task is not None
            return self._answered(one, tasks.get(one.task))
        if one.state is ResultState.JUDGING:
            assert one.judge_task is not None
            return self._judged(one, tasks.get(one.judge_task))
        return one

    def _answered(self, one: Result, task: Asked | None) -> Result:
        if task is None:
            return _errored(one, "its task is gone")
        if task.state not in _FINISHED:
            return self._in_time(one, task, one.task)
        one = replace(one, tokens=task.tokens, duration_us=_length_us(task))
        if task.state != TaskState.SUCCEEDED:
            return _errored(
                one, f"its task {task.state}: {task.error or 'no reason was given'}"
            )
        strategy = self._scoring(one).strategy
        if strategy == "manual":
            return replace(one, state=ResultState.REVIEW)
        if strategy == "llm_judge":
            return self._ask_judge(one, task.output or "")
        assert one.task is not None
        score = self._scores.get(one.task)
        return one if score is None else _scored(one, score, EXPECTED)

    def _judged(self, one: Result, task: Asked | None) -> Result:
        if task is None:
            return _errored(one, "the task of its judge is gone")
        if task.state not in _FINISHED:
            return self._in_time(one, task, one.judge_task)
        one = replace(one, judge_tokens=task.tokens)
        if task.state != TaskState.SUCCEEDED:
            why = task.error or "no reason was given"
            return _errored(one, f"the task of its judge {task.state}: {why}")
        return _scored(one, scoring.judged(task.output or ""), JUDGED)

    def _in_time(self, one: Result, task: Asked, id: str | None) -> Result:
        """An answer that is waited for, unless it has taken too long."""
        limit = self._run.spec.timeout
        late = task.started_at is not None and (
            self._now_us - task.started_at > seconds(limit) * 1_000_000
        )
        if not late or id is None:
            return one
        self._end([id])
        return _errored(
            replace(one, tokens=one.tokens + (task.tokens if id == one.task else 0)),
            f"it was not done within {limit}",
        )

    def _ask(self, results: list[Result]) -> list[Result]:
        """Ask as many of the waiting as may be under way at once."""
        busy = sum(one.state is ResultState.ASKED for one in results)
        free = max(self._run.spec.concurrency - busy, 0)
        chosen = [one for one in results if one.state is ResultState.WAITING][:free]
        if not chosen:
            return results
        work = [
            self._work(
                self._run.spec.subject(self._run.key.namespace),
                one,
                one.manifest_set,
                dict(self._samples[one.sample].input),
            )
            for one in chosen
        ]
        ids = self._submit(work)
        asked = {
            (one.sample, one.repetition): replace(one, state=ResultState.ASKED, task=id)
            for one, id in zip(chosen, ids, strict=True)
        }
        return [asked.get((one.sample, one.repetition), one) for one in results]

    def _ask_judge(self, one: Result, answer: str) -> Result:
        assert one.judge_set is not None
        sample = self._samples[one.sample]
        question = {
            "rubric": self._scoring(one).rubric,
            "question": sample.input,
            "expected": sample.expected.model_dump(mode="json", exclude_unset=True),
            "answer": answer,
        }
        judge = Key(self._run.key.namespace, "Agent", JUDGE)
        given = {"evaluation": json.dumps(question, ensure_ascii=False)}
        (id,) = self._submit([self._work(judge, one, one.judge_set, given)])
        return replace(one, state=ResultState.JUDGING, judge_task=id)

    def _work(
        self, subject: Key, one: Result, manifest_set: str, given: dict[str, str]
    ) -> Submission:
        return Submission(
            subject=subject,
            actor=self._run.actor,
            input=given,
            # No Task manifest can be called so: what is said of Tasks is not said of these.
            task_name=f"eval/{self._run.key.name}/{one.sample}",
            manifest_set=manifest_set,
        )

    def _submit(self, work: Sequence[Submission]) -> list[str]:
        self.queued += len(work)
        return submission.submit(self._connection, work, self._run.commit, self._now_us)

    def _end(self, ids: Sequence[str]) -> None:
        if ids:
            self.stopped += len(ids)
            actor = f"eval:{self._run.id}"
            self._cancel(self._connection, ids, actor=actor, now_us=self._now_us)

    def _scoring(self, one: Result) -> Scoring:
        return self._samples[one.sample].scoring or self._run.spec.scoring

    def _settle(self, results: Sequence[Result]) -> None:
        """Close the run when every answer is, and say when it waits for a person."""
        if all(one.state in CLOSED for one in results):
            closing.finish(self._connection, self._run, results, self._now_us)
            return
        waits = all(one.state in CLOSED | {ResultState.REVIEW} for one in results)
        state = RunState.REVIEW if waits else RunState.RUNNING
        if state is not self._run.state:
            rows.move(self._connection, self._run.id, state)


def _scores(
    run: Run, results: Sequence[Result], connection: Connection
) -> dict[str, tuple[Expected, str]]:
    """What can be scored by what was expected, by task."""
    samples: dict[str, Sample] = {sample.name: sample for sample in run.dataset.samples}
    asked = {
        one.task: samples[one.sample]
        for one in results
        if one.state is ResultState.ASKED and one.task is not None
    }
    tasks = rows.asked(connection, asked)
    return {
        id: (asked[id].expected, task.output or "")
        for id, task in tasks.items()
        if task.state == TaskState.SUCCEEDED
        and (asked[id].scoring or run.spec.scoring).strategy == "exact_match"
    }


def _score(expected: Expected, answer: str) -> Score:
    return scoring.exact(expected, answer, pattern.matches)


def _scored(one: Result, score: Score, scorer: str) -> Result:
    state = ResultState.ERRORED if score.passed is None else ResultState.SCORED
    return replace(
        one,
        state=state,
        passed=score.passed,
        score=score.score,
        reason=score.reason,
        scorer=scorer,
    )


def _errored(one: Result, why: str) -> Result:
    return replace(one, state=ResultState.ERRORED, passed=None, score=None, reason=why)


def _length_us(task: Asked) -> int | None:
    if task.started_at is None or task.finished_at is None:
        return None
    return task.finished_at - task.started_at
