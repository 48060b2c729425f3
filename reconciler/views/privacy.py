"""Holds, erasures and reviews, for people and for machines. Pure."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from reconciler.privacy.record import LegalHold, Registered, Reviewed
from reconciler.views.plain import plain
from reconciler.views.table import paragraphs, table
from reconciler.views.times import iso


def subject(hold: LegalHold) -> str:
    """What a hold covers, in words."""
    return f"{hold.scope.value} {plain(hold.subject)}" if hold.subject else "the whole log"


def hold_list(found: Sequence[LegalHold]) -> Text:
    """The holds that stand."""
    if not found:
        return Text("No legal hold stands. To set one: orloj audit hold set --help")
    return table(
        ["HOLD", "COVERS", "SINCE", "BY", "REASON"],
        [
            (hold.id, subject(hold), _at(hold.set_at), plain(hold.person), plain(hold.reason))
            for hold in found
        ],
    )


def hold_json(hold: LegalHold) -> dict[str, Any]:
    """The stable fields of a hold."""
    return {
        "id": hold.id,
        "scope": hold.scope.value,
        "subject": hold.subject or None,
        "person": hold.person,
        "reason": hold.reason,
        "set_at": _at(hold.set_at),
    }


def erasure_list(found: Sequence[Registered]) -> Text:
    """The register of erasures."""
    if not found:
        return Text("Nothing was erased. To erase: orloj audit erase --help")
    return table(["ENTRY", "TIME", "ERASED", "BASIS", "ASKED", "APPROVED"], map(_erased, found))


def _erased(one: Registered) -> tuple[str, ...]:
    basis = one.said.get("basis") or one.fields.get("rule") or "-"
    return (
        *(str(one.seq), _at(one.fields["time"]), plain(str(one.fields.get("outcome")))),
        *(plain(str(basis)), plain(one.said.get("requested_by", "-"))),
        plain(one.said.get("approved_by", "-")),
    )


def erasure_json(one: Registered) -> dict[str, Any]:
    """The stable fields of an erasure; `listed` is null where the list was edited."""
    return {
        "seq": one.seq,
        "time": _at(one.fields["time"]),
        "actor": one.fields["actor"],
        "erased": one.fields.get("outcome"),
        "digest": one.fields.get("digest"),
        "commit": one.fields.get("commit"),
        "rule": one.fields.get("rule"),
        "basis": one.said.get("basis"),
        "requested_by": one.said.get("requested_by"),
        "approved_by": one.said.get("approved_by"),
        "listed": one.listed,
    }


def review_list(found: Sequence[Reviewed], gaps: Sequence[tuple[int, int]]) -> Text:
    """The reviews, and the times without one."""
    missing = [f"No review between {_at(one)} and {_at(other)}." for one, other in gaps]
    if not found:
        hint = "No review is on record. Next: orloj audit review --help"
        return Text("\n".join([*missing, hint]))
    headers = ["ENTRY", "TIME", "BY", "OUTCOME", "PERIOD", "SIGNED", "NOTE"]
    return paragraphs(
        table(headers, map(_reviewed, found)), Text("\n".join(missing)) if missing else None
    )


def _reviewed(one: Reviewed) -> tuple[str, ...]:
    said = one.statement
    period = f"{_at(said.since_us)} to {_at(said.until_us)}" if said else "(erased)"
    return (
        *(str(one.seq), _at(one.time_us), plain(one.actor), one.outcome, period),
        *("yes" if one.signature else "no", plain(said.note if said else "(erased)")),
    )


def reviews_json(found: Sequence[Reviewed], gaps: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """The stable fields of reviews and gaps."""
    return {
        "reviews": [
            {
                "seq": one.seq,
                "time": _at(one.time_us),
                "actor": one.actor,
                "outcome": one.outcome,
                "statement": one.statement and one.statement.raw.decode(),
                "signature": one.signature,
            }
            for one in found
        ],
        "gaps": [{"from": _at(one), "to": _at(other)} for one, other in gaps],
    }


def _at(time_us: int) -> str:
    return iso(time_us) or ""
