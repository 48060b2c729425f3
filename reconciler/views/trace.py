"""Where a resource comes from, as blocks from the top down and as JSON. Pure."""

from typing import Any, Final

from rich.text import Text

from reconciler.history.origin import LetPass, Origin
from reconciler.views import history as history_view
from reconciler.views.table import Cell, pairs, paragraphs
from reconciler.views.times import ago, iso, moment

_UNKNOWN: Final = "not recorded"


def trace_words(found: Origin, now_us: int) -> Text:
    """The trace for people: a block a step, the resource first."""
    parts: list[Text | None] = []
    blocks = [
        _resource(found),
        _line(found),
        _commit(found),
        _plan(found),
        _applied(found, now_us),
    ]
    for block in blocks:
        if parts:
            parts.append(Text("---", "dim"))
        parts.append(pairs(block, ""))
    number = found.record.id if found.record else None
    following = f"orloj history show {number}" if number else "orloj history"
    parts.append(Text(f"\nNext: {following}", "dim"))
    return paragraphs(*parts)


def _resource(found: Origin) -> list[tuple[str, Cell]]:
    resource = found.resource
    return [
        ("Resource", Text(str(resource.key), "bold")),
        ("Owner", resource.owner),
        ("Generation", f"#{resource.generation}, {resource.spec_hash[:19]}"),
    ]


def _line(found: Origin) -> list[tuple[str, Cell]]:
    resource = found.resource
    rows: list[tuple[str, Cell]] = [("File", f"{resource.path}:{resource.line}")]
    if found.text is not None:
        rows.append(("Line", found.text.strip()))
    rows.append(("Blob", resource.blob or _UNKNOWN))
    return rows


def _commit(found: Origin) -> list[tuple[str, Cell]]:
    resource, written = found.resource, found.written
    if resource.commit is None:
        return [("Commit", "none: applied by hand")]
    rows: list[tuple[str, Cell]] = []
    if found.url is not None:
        rows.append(("Source", f"{found.url}  {found.ref}"))
    if written is None:
        rows.append(("Commit", resource.commit))
        if found.record is not None:
            rows += [("Subject", found.record.subject), ("Author", found.record.author)]
    else:
        rows += [
            ("Commit", written.commit),
            ("Subject", written.subject),
            ("Author", written.author),
            ("Committer", f"{written.committer}, {moment(written.time)} UTC"),
        ]
        if written.commit != resource.commit:
            rows.append(("Applied with", resource.commit))
    return rows + _people(found)


def _people(found: Origin) -> list[tuple[str, Cell]]:
    vouched = found.provenance
    signer = f"{vouched.signature} {vouched.signer}".strip() or "nobody was asked for one"
    rows: list[tuple[str, Cell]] = [("Signature", signer)]
    rows.append(("Reviewers", ", ".join(vouched.reviewers) or _UNKNOWN))
    return rows


def _plan(found: Origin) -> list[tuple[str, Cell]]:
    record, change = found.record, found.change
    rows: list[tuple[str, Cell]] = [("Plan", record.plan_id if record else _UNKNOWN)]
    if change is not None:
        rows.append(("Change", f"{change.action}: {change.reason}"))
    given = "; ".join(map(_let_pass, found.let_pass))
    rows.append(("Approval", given or "none was asked for"))
    return rows


def _let_pass(item: LetPass) -> str:
    about = f" {item.subject[:19]}" if item.subject else ""
    why = f" ({item.reason})" if item.reason else ""
    return f"{item.kind}{about} by {item.actor}{why}"


def _applied(found: Origin, now_us: int) -> list[tuple[str, Cell]]:
    record = found.record
    at = f"{moment(found.applied_at)} UTC, {ago(found.applied_at, now_us)}"
    rows: list[tuple[str, Cell]] = [("Applied", at)]
    rows.append(("By", history_view.by(record) if record else found.resource.owner))
    if record is not None:
        rows.append(("History", f"{record.id}, {record.result.replace('_', ' ')}"))
    rows.append(("Log", f"entry {found.entry}" if found.entry else _UNKNOWN))
    return rows


def trace_json(found: Origin) -> dict[str, Any]:
    """The stable fields of a trace."""
    resource, record, written = found.resource, found.record, found.written
    return {
        "resource": str(resource.key),
        "namespace": resource.key.namespace,
        "kind": resource.key.kind,
        "name": resource.key.name,
        "owner": resource.owner,
        "generation": resource.generation,
        "spec_hash": resource.spec_hash,
        "path": resource.path,
        "line": resource.line,
        "text": found.text,
        "blob": resource.blob,
        "source": found.source,
        "url": found.url,
        "ref": found.ref,
        "commit": resource.commit,
        "written_in": None
        if written is None
        else {
            "commit": written.commit,
            "subject": written.subject,
            "author": written.author,
            "committer": written.committer,
            "at": iso(written.time),
        },
        "signature": found.provenance.signature or None,
        "signer": found.provenance.signer or None,
        "reviewers": list(found.provenance.reviewers),
        "plan": record.plan_id if record else None,
        "overrides": [
            {
                "kind": item.kind,
                "subject": item.subject or None,
                "actor": item.actor,
                "reason": item.reason or None,
            }
            for item in found.let_pass
        ],
        "applied_at": iso(found.applied_at),
        "history": None if record is None else history_view.record_json(record),
        "audit_entry": found.entry,
    }
