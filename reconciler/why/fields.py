"""A walk as the fields that `orloj why --json` promises; the words are made of them too. Pure.

docs/why.md names them. What nobody recorded is null.
"""

from collections.abc import Mapping
from typing import Any

from reconciler.git.commit_object import CommitObject
from reconciler.why import steps
from reconciler.why.applied import Applied, Brought
from reconciler.why.call import Call
from reconciler.why.entries import Logged
from reconciler.why.lone import Lone
from reconciler.why.manifest import Held, Line
from reconciler.why.proof import Proof
from reconciler.why.walk import Walk
from reconciler.why.whole import Whole
from runner.contract import clock

Fields = dict[str, Any]


def call_json(walk: Walk, judged: Fields, approval: Fields | None) -> Fields:
    """The fields of a call's walk; what does not fit of an approval stands in its `faults`."""
    decided = walk.call.decided
    assert decided is not None, "a walk begins at a decision"
    faults = [*walk.faults, *(approval["faults"] if approval else ())]
    fields: Fields = {
        "call": _call(walk.call),
        "task": {
            "id": walk.call.task,
            "subject": str(walk.task.subject) if walk.task else None,
            "task_manifest": walk.task.task_name if walk.task else None,
            "state": walk.task.state if walk.task else None,
            "queued_by": walk.task.actor if walk.task else None,
        },
        "agent": decided.text("agent"),
        "chain": decided.fields.get("chain") or [decided.text("agent")],
        "arguments": walk.arguments.state,
        "rule": _line(walk.rule, decided.text("rule")),
        "commit": _head(walk.held, walk.commit),
        "people": _people(walk.applied),
        "manifests": {"agent": _brought(walk.agent), "tool": _brought(walk.tool)},
        "plan": _plan(walk.applied),
        "approval": approval,
        "applied": _applied(walk.applied),
        "again": judged,
    }
    return _ended(fields, walk.proof, faults, failed=judged["result"] == "different")


def task_json(whole: Whole, judged: Mapping[int, Fields]) -> Fields:
    """The fields of a task's walk."""
    faults = [*whole.faults, *whole.numbering]
    fields: Fields = {
        "task": {
            "id": whole.id,
            "subject": str(whole.task.subject) if whole.task else None,
            "task_manifest": whole.task.task_name if whole.task else None,
            "state": whole.task.state if whole.task else None,
            "queued_by": whole.task.actor if whole.task else None,
        },
        "entries": len(whole.entries),
        "first": whole.entries[0].seq,
        "last": whole.entries[-1].seq,
        "numbered": not whole.numbering,
        "closed": whole.closed,
        "calls": [_call(call) | {"again": judged.get(call.step)} for call in whole.calls],
        "commits": list(whole.commits),
        "commit": _head(whole.held, whole.commits[-1] if whole.commits else None),
        "people": _people(whole.applied),
        "plan": _plan(whole.applied),
        "applied": _applied(whole.applied),
    }
    differs = any(one["result"] == "different" for one in judged.values())
    return _ended(fields, whole.proof, faults, failed=differs)


def entry_json(lone: Lone) -> Fields:
    """The fields of an entry's walk."""
    fields: Fields = {
        "entry": lone.entry.fields,
        "rule": _line(lone.rule, lone.entry.text("rule")),
        "commit": _head(lone.held, lone.commit),
        "people": _people(lone.applied),
        "plan": _plan(lone.applied),
        "applied": _applied(lone.applied),
    }
    return _ended(fields, lone.proof, list(lone.faults), failed=False)


def _ended(fields: Fields, proof: Proof, faults: list[str], *, failed: bool) -> Fields:
    """The fields with what proves them, what does not fit, and how to check each step."""
    broken = [one.seq for one in proof.entries if one.state in ("excluded", "unsigned")]
    fields["proof"] = _proof(proof)
    fields["faults"] = faults
    fields["holds"] = not (faults or broken or failed)
    fields["check"] = steps.commands(fields)
    return fields


def _call(call: Call) -> Fields:
    decided = call.decided
    about = decided or call.entries[0]
    return {
        "task": call.task,
        "step": call.step,
        "agent": about.text("agent"),
        "tool": about.text("tool"),
        "model": about.text("model"),
        "permission": about.text("permission"),
        "decision": decided.text("decision") if decided else None,
        "reason": decided.text("reason") if decided else None,
        "rule": decided.text("rule") if decided else None,
        "outcome": call.outcome,
        "requested": _moment(call.requested),
        "decided": _moment(decided),
        "started": _moment(call.started),
        "ended": _moment(call.ended),
    }


def _moment(entry: Logged | None) -> Fields | None:
    return None if entry is None else {"entry": entry.seq, "at": _iso(entry.at)}


def _line(line: Line | None, said: str | None) -> Fields:
    return {
        "at": line.at if line else said,
        "path": line.path if line else None,
        "line": line.number if line else None,
        "blob": line.blob if line else None,
        "excerpt": [list(one) for one in line.excerpt] if line else [],
        "fault": line.fault if line else None,
        "written": _commit(line.written) if line and line.written else None,
    }


def _commit(commit: CommitObject) -> Fields:
    return {
        "commit": commit.sha,
        "subject": commit.subject,
        "author": commit.author,
        "committer": commit.committer,
        "at": _iso(commit.time),
    }


def _head(held: Held | None, commit: str | None) -> Fields:
    fields: Fields = {"commit": commit, "source": None, "subject": None}
    fields |= {"author": None, "committer": None, "at": None}
    if held is not None:
        fields |= _commit(held.head) | {"source": held.source}
    return fields | {"in_mirror": held is not None}


def _people(applied: Applied | None) -> Fields:
    vouched = applied.record.vouched if applied else None
    return {
        "signature": (vouched.signature or None) if vouched else None,
        "signer": (vouched.signer or None) if vouched else None,
        "key": (vouched.key or None) if vouched else None,
        "reviewers": list(vouched.reviewers) if vouched else [],
    }


def _plan(applied: Applied | None) -> Fields | None:
    if applied is None:
        return None
    return {
        "id": applied.record.plan_id,
        "let_pass": [
            {"kind": o.kind, "subject": o.subject, "actor": o.actor, "reason": o.reason}
            for o in applied.let_pass
        ],
    }


def _applied(applied: Applied | None) -> Fields | None:
    if applied is None:
        return None
    record = applied.record
    return {
        "history": record.id,
        "source": record.source,
        "at": _iso(record.recorded_at),
        "by": record.actor,
        "cause": record.cause,
        "result": record.result,
        "entry": applied.entry.seq if applied.entry else None,
    }


def _brought(brought: Brought | None) -> Fields | None:
    if brought is None:
        return None
    record = brought.applied.record
    return {
        "resource": str(brought.key),
        "place": f"{brought.change.path}:{brought.change.line}",
        "action": brought.change.action,
        "reason": brought.change.reason,
        "commit": record.commit_sha,
        "plan": record.plan_id,
        "history": record.id,
        "at": _iso(record.recorded_at),
        "by": record.actor,
        "entry": brought.entry.seq if brought.entry else None,
    }


def _proof(proof: Proof) -> Fields:
    return {
        "log": proof.log,
        "checkpoint": proof.size,
        "root": proof.root,
        "signed_at": _iso(proof.signed_at),
        "published_checkpoint": proof.published_size,
        "published_at": _iso(proof.published_at),
        "key": proof.key,
        "fault": proof.fault,
        "proved": proof.holds,
        "entries": [
            {"entry": one.seq, "leaf_index": one.index, "leaf": one.leaf, "state": one.state}
            for one in proof.entries
        ],
    }


def _iso(at_us: int | None) -> str | None:
    return None if at_us is None else clock.iso(at_us)
