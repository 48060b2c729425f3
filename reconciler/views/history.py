"""What was done to the recorded state: as a table, one by one, and as JSON. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from rich.text import Text

from reconciler.change import Action, Plan, Target
from reconciler.history import plan as history_plan
from reconciler.history.plan import KeptChange, Record
from reconciler.views.plain import plain
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from reconciler.views.table import number, pairs, paragraphs, short, table
from reconciler.views.times import ago, iso, length, moment

_STYLES: Final = {
    "applied": "green",
    "canary": "yellow",
    "canary_failed": "bold red",
    "reverted": "yellow",
    "rejected": "red",
    "blocked": "red",
}
_HEADERS: Final = ("ID", "WHEN", "SOURCE", "COMMIT", "RESULT", "CHANGES", "BY", "WHAT")


def history_words(records: Sequence[Record], now_us: int) -> Text:
    """The history for people, newest first."""
    if not records:
        return Text("Nothing was applied yet. Next: orloj reconcile --wait")
    rows = [
        (
            str(record.id),
            ago(record.recorded_at, now_us),
            record.source or "by hand",
            _commits(record),
            _result(record),
            _counts(record),
            by(record),
            short(record.message or record.subject, 60),
        )
        for record in records
    ]
    return paragraphs(
        table(_HEADERS, rows), Text(f"\nNext: orloj history show {records[0].id}", "dim")
    )


def record_words(record: Record, changes: Sequence[KeptChange]) -> Text:
    """One row with its plan, as the plan was shown then."""
    planned = plan_of(record, changes)
    total = record.plan.get("changes", len(changes))
    hidden = total - len(changes)
    took = length(record.duration_us) if record.duration_us is not None else "-"
    vouched = record.vouched
    rows: list[tuple[str, str | Text]] = [
        ("result", _result(record)),
        ("when", f"{moment(record.recorded_at)} UTC, in {took}"),
        ("by", by(record)),
        ("source", record.source or "by hand"),
        ("commit", record.commit_sha or "-"),
        ("before", record.previous_commit or "-"),
        ("state", f"#{record.serial}"),
    ]
    if record.message:
        rows.append(("why", record.message))
    if vouched.signature:
        rows.append(("signature", f"{vouched.signature} {vouched.signer}".strip()))
    if vouched.reviewers:
        rows.append(("reviewers", ", ".join(vouched.reviewers)))
    if record.audit_seq is not None:
        rows.append(("log", f"entry {record.audit_seq}"))
    lost = "" if hidden <= 0 else f"\n{number(hidden)} changes are kept by the audit log only."
    return paragraphs(
        pairs(rows, ""), Text(), plan_words(planned), Text(lost) if lost else None
    )


def resource_words(
    name: str, changes: Sequence[KeptChange], records: dict[int, Record], now_us: int
) -> Text:
    """Every change of one resource that is kept, newest first."""
    rows = [
        (
            str(change.history),
            f"#{change.generation}",
            change.action,
            ago(record.recorded_at, now_us),
            _commits(record),
            _result(record),
            f"{change.path}:{change.line}",
            by(record),
            short(f"{change.reason}: {record.subject}", 60),
        )
        for change in changes
        if (record := records.get(change.history)) is not None
    ]
    headers = ("ID", "GEN", "ACTION", "WHEN", "COMMIT", "RESULT", "PLACE", "BY", "WHY")
    return paragraphs(
        Text(plain(name), "bold"),
        table(headers, rows),
        Text(f"\nNext: orloj trace {name}", "dim"),
    )


def plan_of(record: Record, changes: Sequence[KeptChange]) -> Plan:
    """The plan as far as it is kept."""
    about = record.plan
    target = Target(
        owner=record.owner,
        source=record.source,
        ref=about.get("ref", ""),
        commit=record.commit_sha,
        previous_commit=record.previous_commit,
        serial=record.serial,
        author=record.author,
        subject=record.subject,
        fast_forward=record.fast_forward,
    )
    kept = history_plan.again(target, record.plan_id, record.unchanged, about, list(changes))
    counts = {
        Action.CREATE: record.created,
        Action.UPDATE: record.updated,
        Action.DELETE: record.deleted,
        Action.MOVE: about.get("moved", 0),
    }
    return replace(kept, counts=counts)


def record_json(record: Record) -> dict[str, Any]:
    """The stable fields of a row."""
    vouched = record.vouched
    return {
        "id": record.id,
        "source": record.source or None,
        "owner": record.owner,
        "cause": record.cause,
        "actor": record.actor,
        "result": record.result,
        "message": record.message,
        "commit": record.commit_sha,
        "previous_commit": record.previous_commit,
        "fast_forward": record.fast_forward,
        "plan": record.plan_id or None,
        "serial": record.serial,
        "author": record.author,
        "subject": record.subject,
        "created": record.created,
        "updated": record.updated,
        "deleted": record.deleted,
        "unchanged": record.unchanged,
        "signature": vouched.signature or None,
        "signer": vouched.signer or None,
        "reviewers": list(vouched.reviewers),
        "audit_entry": record.audit_seq,
        "duration_us": record.duration_us,
        "at": iso(record.recorded_at),
    }


def shown_json(record: Record, changes: Sequence[KeptChange]) -> dict[str, Any]:
    """A row with its plan, in the shape of `orloj plan --json`; bodies are null."""
    return {**record_json(record), "kept_plan": plan_json(plan_of(record, changes))}


def change_json(change: KeptChange, record: Record) -> dict[str, Any]:
    """One change of a resource, and the row it belongs to."""
    return {
        "resource": str(change.key),
        "action": change.action,
        "reason": change.reason,
        "generation": change.generation,
        "path": change.path,
        "line": change.line,
        "history": record_json(record),
    }


def by(record: Record) -> str:
    """Who or what led to it, in words."""
    words = {
        "push": "the daemon",
        "request": f"{record.actor}, who asked",
        "plan": f"{record.actor}, a saved plan",
        "heal": "the daemon, drift",
        "canary": "the daemon, canary",
    }
    return words.get(record.cause, record.actor)


def _result(record: Record) -> Text:
    return Text(record.result.replace("_", " "), _STYLES.get(record.result, ""))


def _commits(record: Record) -> str:
    if record.commit_sha is None:
        return "-"
    new = record.commit_sha[:8]
    old = (record.previous_commit or "")[:8]
    return new if old in ("", new) else f"{old} → {new}"


def _counts(record: Record) -> str:
    moved = record.plan.get("moved", 0)
    counts = f"+{record.created} ~{record.updated} -{record.deleted}"
    return f"{counts} >{moved}" if moved else counts
