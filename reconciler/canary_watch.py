"""Decide on the canary of a repository's revision, and put the one before back if it failed.

    waiting? ──look at its tasks──┬─> waiting: say how far it is, look again soon
                                  ├─> passed: one transaction, what was held back is queued
                                  └─> failed: plan the revision before, one transaction
    over, tasks open? ──> cancel them

Level-triggered: all that is known stands in rows, so a daemon that was killed goes on here.
The way back asks no gate and no budget: it undoes what this commit did, and nothing else.
"""

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from reconciler import apply, canary, canary_verdict, control, recorded, reversal
from reconciler.canary_rows import Canary
from reconciler.canary_verdict import Judgement, Verdict
from reconciler.change import Plan
from reconciler.condition import READY, RECONCILING, STALLED
from reconciler.event import events
from reconciler.event.events import Event, EventSeverity
from reconciler.history.trigger import Cause, Trigger
from reconciler.in_flight import Cancel
from reconciler.preview import Place
from reconciler.recorded import SourceState
from runner.contract import clock, wake
from runner.contract.database import Database
from runner.contract.task_state import FINISHED

LOOK_AGAIN_S: Final = 0.5
"""How often the tasks of a canary that waits are looked at."""
SILENT_US: Final = 30_000_000
"""A worker of another host that was not seen for so long is gone."""
_FINISHED: Final = ", ".join(f"'{state.value}'" for state in sorted(FINISHED))


@dataclass(frozen=True, slots=True)
class Tended:
    """What came of a look: the verdict on what waits, None where nothing does."""

    verdict: Verdict | None = None
    commit: str = ""
    reverted_to: str | None = None
    why: str = ""


def tend(
    place: Place, settings_digest: str, cancel: Cancel, *, runner_here: bool, now_us: int
) -> Tended:
    """Decide what can be decided now, durably. SourceError, PlanStale: look again later."""
    database, name = place.database, place.source
    with database.read() as connection:
        if control.control(connection, name).suspended_at is not None:
            return Tended()
        over = canary.closing(connection, name)
        found = canary.waiting(connection, name)
        judged = None
        if found is not None:
            judged = canary_verdict.judge(canary.look(connection, found), now_us)
            running = runner_here or _runner_elsewhere(connection, now_us)
    for item in over:
        _cancel(database, item, cancel, now_us)
    if found is None or judged is None:
        return Tended()
    if judged.verdict is Verdict.PASSED:
        _pass(database, found, judged, now_us)
    elif judged.verdict is Verdict.WAITING:
        _wait(database, found, _progress(judged, found, running), now_us)
    else:
        why = f"commit {found.commit[:12]}: {judged.words}"
        back = _fail(place, settings_digest, found, why, now_us)
        return Tended(Verdict.FAILED, found.commit, back, why)
    return Tended(judged.verdict, found.commit)


def _progress(judged: Judgement, found: Canary, running: bool) -> str:
    if running:
        return judged.words
    deadline = f"{clock.iso(min(item.deadline_us for item in found.tasks))[:19]}Z"
    return f"{judged.words}; no runner is running: start one before {deadline} (orloj worker)"


def _pass(database: Database, found: Canary, judged: Judgement, now_us: int) -> None:
    with database.write() as connection:
        tasks = canary.passed(connection, found, now_us)
        state = recorded.source(connection, found.source)
        if state is not None and state.reason == canary.WAITS:
            canary.say(connection, found.source, READY, "Applied", "")
        _tell(connection, found, "CanaryPassed", judged.words, now_us)
    if tasks:
        database.knock(wake.RUNNER)


def _wait(database: Database, found: Canary, words: str, now_us: int) -> None:
    """Say how far it is, if that is another thing than before."""
    if words == found.message:
        return
    with database.write() as connection:
        canary.remark(connection, found, words)
        state = recorded.source(connection, found.source)
        # What was said of a newer commit that was rejected is more urgent.
        if state is not None and state.reason in (canary.WAITS, "Applied"):
            canary.say(connection, found.source, RECONCILING, canary.WAITS, words)


def _fail(
    place: Place, settings_digest: str, found: Canary, why: str, now_us: int
) -> str | None:
    """Put the revision before back; the commit that is applied then, None if there is none."""
    if found.previous is None:
        words = f"{why}; there is no revision before it, so it stays: push one that is right"
        with place.database.write() as connection:
            canary.fail(connection, found, words, now_us)
            canary.say(connection, found.source, STALLED, canary.FAILED, words)
            _tell(connection, found, canary.FAILED, words, now_us)
        return None
    words = (
        f"{why}; {found.previous[:12]} was put back. Push a commit that is right, or try it"
        f" again: orloj reconcile {found.source} --again"
    )
    began_us, bad = clock.boot_us(), replace(found, message=words)
    planned, _ = reversal.plan_back(place, found.commit, found.previous, now_us)
    # What another owner took meanwhile is left alone; all else goes back.
    planned = replace(planned, blocked=())

    def failed(connection: Connection) -> None:
        canary.fail(connection, found, words, now_us)
        _tell(connection, found, canary.FAILED, words, now_us)

    apply.apply(
        place.database,
        planned,
        now_us,
        lambda old: _put_back(old, planned, settings_digest, bad, now_us),
        trigger=Trigger(
            cause=Cause.CANARY,
            actor=f"canary:{found.source}",
            began_us=began_us,
            message=why,
        ),
        also=failed,
    )
    return found.previous


def _put_back(
    old: SourceState | None, planned: Plan, settings_digest: str, bad: Canary, now_us: int
) -> SourceState:
    assert old is not None
    return replace(
        old,
        settings_digest=settings_digest,
        applied_commit=planned.target.commit,
        applied_tree=planned.target.tree,
        attempted_commit=bad.commit,
        condition=STALLED,
        reason=canary.FAILED,
        message=bad.message,
        problems="[]",
        checked_at=now_us,
        applied_at=now_us,
    )


def _cancel(database: Database, over: Canary, cancel: Cancel, now_us: int) -> None:
    """Stop what is left of a canary that is over."""
    with database.write() as connection:
        for item in over.tasks:
            if item.key.kind == "EvalRun":
                canary.stop_run(connection, item, f"canary:{over.source}", now_us)
        marks = ", ".join("?" for _ in over.tasks)
        rows = connection.exec_driver_sql(
            f"SELECT id FROM task WHERE id IN ({marks})"  # noqa: S608
            f" AND state NOT IN ({_FINISHED}) ORDER BY id /* lock */",
            tuple(item.task for item in over.tasks),
        )
        if ids := [str(id) for (id,) in rows]:
            cancel(connection, ids, actor=f"canary:{over.source}", now_us=now_us)
        canary.closed(connection, over)
    if ids:
        database.knock(wake.RUNNER)


def _tell(connection: Connection, found: Canary, reason: str, words: str, now_us: int) -> None:
    bad = reason == canary.FAILED
    event = Event(
        source=found.source,
        severity=EventSeverity.ERROR if bad else EventSeverity.INFO,
        reason=reason,
        message=words,
        commit=found.commit,
    )
    events.record(connection, event, now_us)


def _runner_elsewhere(connection: Connection, now_us: int) -> bool:
    """Whether a worker of any host was seen lately."""
    seen = connection.exec_driver_sql("SELECT max(seen_at) FROM worker").scalar_one()
    return seen is not None and now_us - int(seen) < SILENT_US
