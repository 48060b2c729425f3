"""Where a plan comes from (the ref, another commit, or a clone), and what goes with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler import recorded
from reconciler.change import Plan
from reconciler.cli.context import Context
from reconciler.cli.parameters import Moment
from reconciler.estimate import estimating
from reconciler.plan import explain
from reconciler.preview import Preview
from reconciler.reconcile import Reconciler
from reconciler.review import against as between
from reconciler.review import selection
from reconciler.review.points import point
from reconciler.views.plan_line import Same, Telling
from runner.contract import clock, errors
from runner.contract.database import Database

EXPLAINED_IN_FULL = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which plan is asked for."""

    source: str
    ref: str | None
    at: str | None
    against: str | None
    repository: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The plan or its problems, the record it was made against, and what to know about it."""

    seen: Preview
    database: Database
    remarks: tuple[str, ...] = ()
    back: int | None = None
    stateless: bool = False


def read_time(text: str) -> int:
    """A time as every command takes it."""
    return Moment().convert(text, None, None)


@contextmanager
def found(context: Context, asked: Asked) -> Iterator[Found]:
    """The plan that is asked for; SourceError, NotFound."""
    if asked.against is not None:
        if asked.at is not None:
            raise errors.Refused(
                "--at asks the recorded state, and --against a clone: take one"
            )
        source = context.settings.followed.get(asked.source, context.settings.source)
        head = asked.ref or "HEAD"
        with between.against(source, asked.repository, asked.against, head) as made:
            yield Found(
                seen=made.seen, database=made.database, remarks=made.remarks, stateless=True
            )
        return
    settings, database = context.settings, context.database
    reconciler = Reconciler(settings, database, asked.source, asked.ref)
    if asked.at is None:
        yield Found(seen=reconciler.preview(), database=database)
        return
    there = point(settings, database, asked.source, asked.at, read_time=read_time)
    seen = reconciler.preview(there.commit)
    back = None
    if seen.plan is not None and (applied := seen.plan.target.previous_commit) is not None:
        back = reconciler.ahead(applied, there.commit) if applied != there.commit else None
    words = f" ({there.words})" if there.words else ""
    remark = f"as commit {there.commit[:12]}{words} would change what is applied now"
    yield Found(seen=seen, database=database, remarks=(remark,), back=back)


def told(
    found: Found,
    targets: tuple[str, ...],
    *,
    full: bool,
    following: Callable[[Plan], str],
) -> tuple[Plan, Telling]:
    """The plan with its fields, or the part that is asked for, and all that goes with it."""
    assert found.seen.plan is not None
    planned = found.seen.plan
    partial = None
    with found.database.read() as connection:
        if targets:
            missing = selection.unmatched(targets, selection.names(planned))
            keys = recorded.resources(connection, planned.target.owner) if missing else []
            missing = selection.unmatched(missing, [item.key for item in keys])
            if missing:
                raise errors.NotFound(
                    f"--target {missing[0]} means no resource: write kind/namespace/name, or a"
                    " pattern such as 'agent/*'"
                )
            planned, partial = selection.select(planned, targets)
        planned = explain(planned, EXPLAINED_IN_FULL) if full else explain(planned)
        estimates = estimating.estimates(connection, planned, clock.now_us())
        same: tuple[Same, ...] = ()
        if full and partial is None:
            changed = {change.previous or change.key for change in planned.changes}
            same = tuple(
                Same(item.key, item.path, item.line)
                for item in recorded.resources(connection, planned.target.owner)
                if item.key not in changed
            )
    return planned, Telling(
        following=following(planned),
        full=full,
        same=same,
        estimates=estimates,
        partial=partial,
        remarks=found.remarks,
        back=found.back,
        stateless=found.stateless,
    )
