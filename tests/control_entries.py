"""A small log by hand, as entries of an export: what a test of controls looks at."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reconciler.evidence import framework_files
from reconciler.evidence.framework import Framework
from reconciler.evidence.observation import Period
from reconciler.evidence.part import Scope
from reconciler.proof.checkpoint import Checkpoint
from runner.contract import audit_entry
from runner.contract.audit import Stored
from runner.contract.audit_entry import Entry, EntryType, Place

LOG = "orloj/test"
COMMIT = "c" * 40
START_US = 1_790_000_000_000_000
STEP_US = 10_000_000
DAY_US = 86_400_000_000

Facts = dict[str, Any]


def fact(type: EntryType, *, wait_us: int = STEP_US, first: int = 1, **fields: Any) -> Facts:
    """An entry to be; `wait_us` after the one before, its task's numbers from `first` on."""
    fields.setdefault("actor", "worker:1")
    fields.setdefault("commit", COMMIT)
    return {"type": type, "wait_us": wait_us, "first": first, **fields}


def stored(facts: Iterable[Facts], first: int = 1) -> list[Stored]:
    """The entries of a log, numbered and timed, as they are read back."""
    found, now_us, counts = [], START_US, {}
    for seq, given in enumerate(facts, first):
        fields = dict(given)
        now_us += fields.pop("wait_us")
        begin = fields.pop("first")
        edited = fields.pop("edited", {})
        entry = Entry(**fields)
        count = None
        if entry.task is not None:
            count = counts[entry.task] = counts.get(entry.task, begin - 1) + 1
        committed = {name: audit_entry.commitment(b"s", name, "v") for name, _ in entry.private}
        raw = audit_entry.raw(entry, Place(LOG, seq, now_us, count), committed)
        found.append(Stored(seq, raw, json.loads(raw) | edited))
    return found


def period(entries: list[Stored], until_us: int | None = None) -> Period:
    """The period that these entries are all of."""
    first, last = (entries[0].seq, entries[-1].seq) if entries else (1, 0)
    end = until_us or (entries[-1].fields["time"] if entries else START_US) + 1
    return Period(LOG, START_US, end, first, last)


def scope(entries: list[Stored], folder: Path) -> Scope:
    """The same as the scope of an export into a folder."""
    found = period(entries)
    return Scope(
        log=LOG,
        since_us=found.since_us,
        until_us=found.until_us,
        first=found.first,
        last=found.last,
        checkpoint=checkpoint(found.last),
        folder=folder,
    )


def checkpoint(size: int) -> Checkpoint:
    """A head over so many entries."""
    return Checkpoint(LOG, size, bytes([size % 251]) * 32)


def framework(name: str) -> Framework:
    """One of ours."""
    return framework_files.load().named(name)


def call(task: str, step: int, **more: Any) -> list[Facts]:
    """A call of a tool that is asked for, allowed, begun and ended."""
    about = {"task": task, "step": step, "agent": "clerk", "manifests": "sha256:m"}
    about |= {"tool": "file", "permission": "write:files"} | more
    decided = {"decision": "allow", "rule": "agents/clerk.yaml:9", "reason": "granted"}
    return [
        fact(EntryType.ACTION_REQUESTED, **about),
        fact(EntryType.ACTION_DECIDED, **about, **decided),
        fact(EntryType.ACTION_STARTED, **about, rule="agents/clerk.yaml:9"),
        fact(EntryType.ACTION_EXECUTED, **about, outcome="executed", isolation="bwrap"),
    ]


def finished(task: str) -> Facts:
    """The end of a task."""
    return fact(EntryType.TASK_FINISHED, task=task, outcome="succeeded")


def queued(task: str, by: str = "git:default") -> Facts:
    """The beginning of a task."""
    return fact(EntryType.TASK_QUEUED, task=task, actor=by)


def approval(
    task: str, id: str = "r1", *, by: str = "ada", after_us: int = STEP_US
) -> list[Facts]:
    """A request that is made, granted and used."""
    about = {"task": task, "step": 2, "approval": id, "digest": "sha256:r", "tool": "file"}
    return [
        fact(EntryType.APPROVAL_REQUESTED, **about),
        fact(EntryType.APPROVAL_GRANTED, **about, actor=f"approver:{by}", wait_us=after_us),
        fact(EntryType.APPROVAL_CONSUMED, **about),
    ]


def applied(commit: str = COMMIT, *, reviewed: bool = True, by: str = "git:default") -> Facts:
    """A commit that was applied, by a signer, and with a reviewer if that is said."""
    private = [("author", "a"), ("signer", "s"), *([("reviewers", ["r"])] if reviewed else [])]
    return fact(EntryType.MANIFEST_APPLIED, commit=commit, actor=by, private=tuple(private))


def good_log() -> list[Stored]:
    """A log in which every check finds something, and nothing to object to."""
    drift = {"resource": "agent/default/clerk", "actor": "git:default"}
    charges = (("tokens_per_minute", "default/clerk", 20, 8000),)
    return stored(
        [
            fact(EntryType.LOG_STARTED, actor="dispatcher:h", commit="none"),
            applied(),
            fact(EntryType.RESOURCE_CREATED, resource="agent/default/clerk"),
            fact(EntryType.MANIFEST_WIDENED, resource="agent/default/clerk"),
            queued("t1"),
            fact(EntryType.TOKENS_RESERVED, task="t1", step=1, charges=charges),
            *call("t1", 1),
            *approval("t1"),
            *call("t1", 2, approval="r1"),
            *call("t1", 3, tool=None, model="m", permission=None),
            finished("t1"),
            fact(EntryType.DRIFT_DETECTED, **drift),
            fact(EntryType.DRIFT_HEALED, **drift),
            queued("t2"),
            fact(EntryType.ACTION_UNKNOWN, task="t2", step=1, tool="file", outcome="unknown"),
            fact(EntryType.TASK_RESOLVED, task="t2", outcome="ran"),
            fact(EntryType.TASK_CANCELLED, task="t2"),
            fact(EntryType.DRILL_DONE, outcome="held"),
            fact(EntryType.ACCESS_READ, actor="person:ada"),
            fact(EntryType.ACCESS_REVIEWED, actor="person:ada"),
            fact(EntryType.LOG_STOPPED, actor="dispatcher:h", commit="none"),
        ]
    )
