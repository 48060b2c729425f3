"""Requests for approval as words, as JSON and as a manifest of the public dialect. Pure.

What is shown of a call is read out of the bytes that are signed. Nothing of it is cut, and
no character of it can steer a terminal or hide another. The JSON fields are promises.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain, plain_json
from reconciler.views.table import heading, pairs, paragraphs, table, word
from reconciler.views.times import iso, length, moment
from runner.approval.request import ApprovalRecord, ApprovalRequest, ApprovalState
from runner.contract.errors import Refused

_CLASSES: Final = ("read", "write", "delete", "admin")


@dataclass(frozen=True, slots=True)
class Standing:
    """An approver, how they would prove who they are, and why they may not approve."""

    name: str
    means: str
    why_not: str | None


def request_list(found: Sequence[ApprovalRecord], now_us: int) -> Text:
    """The list of requests, and what to type next."""
    if not found:
        return Text("Nothing waits for an approval.")
    headers = ("REQUEST", "STATE", "AGENT", "TOOL", "PERMISSION", "LEFT", "TASK")
    rows = [_row(record, now_us) for record in found]
    following = Text("\nNext: orloj approvals show ID", style="dim")
    return paragraphs(table(headers, rows), following)


def _row(record: ApprovalRecord, now_us: int) -> tuple[str | Text, ...]:
    request = _readable(record)
    if request is None:
        return (record.id, word("unreadable"), "-", "-", "-", "-", record.task)
    call = request.call
    left = length(max(0, record.expires_at - now_us)) if _waits(record, now_us) else "-"
    permissions = " ".join(call.permissions) or "-"
    state = word(_state(record, now_us))
    return (record.id, state, call.agent, call.tool, permissions, left, record.task)


def request_words(
    record: ApprovalRecord,
    texts: Mapping[str, str],
    standings: Sequence[Standing],
    now_us: int,
) -> Text:
    """Exactly what a request asks, who may say yes to it, and what to type next."""
    request = record.request()
    state = _state(record, now_us)
    title = Text.assemble(("Approval ", "bold"), (record.id, "bold"), "  ", word(state))
    parts: list[Text | None] = [
        title,
        pairs(_facts(record, request, texts)),
        heading("\nArguments, in full"),
        _arguments(request.arguments),
        heading("\nWho may approve"),
        _who(standings),
    ]
    if not request.four_eyes:
        loudly = "\nFour eyes are OFF in this namespace: the author of the rule may approve."
        parts.append(Text(loudly, style="bold red"))
    if record.decided_at is not None:
        parts += [heading("\nDecided"), pairs(_decision(record))]
    parts.append(Text(f"\nNext: {_next(record, request, now_us)}", style="dim"))
    return paragraphs(*parts)


def _facts(
    record: ApprovalRecord, request: ApprovalRequest, texts: Mapping[str, str]
) -> list[tuple[str, str | Text]]:
    call = request.call
    facts: list[tuple[str, str | Text]] = [
        ("task", f"{call.task}, step {call.step}"),
        ("agent", f"{call.agent} in {call.namespace}"),
    ]
    if len(call.chain) > 1:
        facts.append(("chain", " > ".join(call.chain)))
    facts += [
        ("tool", call.tool),
        ("permission", " ".join(call.permissions) or "-"),
        ("why", request.reason),
    ]
    for place in request.places:
        text = texts.get(place.at)
        by = f"  (applied by {place.by})" if place.by else ""
        said = f"{place.at}{by}" + (f"  {text.strip()}" if text else "")
        facts.append((place.what, said))
    return facts + [
        ("commit", call.commit),
        ("manifests", call.manifests),
        ("asked", f"{moment(request.requested_at)} UTC"),
        ("expires", f"{moment(request.expires_at)} UTC"),
        ("proof", "signature only" if request.assurance == "signature" else "login"),
        ("digest", record.digest),
    ]


def _arguments(arguments: Any) -> Text:
    text = plain_json(json.dumps(arguments, indent=2, ensure_ascii=False))
    return Text("\n".join("  " + line for line in text.split("\n")))


def _who(standings: Sequence[Standing]) -> Text:
    if not standings:
        return Text("  nobody: no Approver is declared in the namespace")
    rows: list[tuple[str | Text, ...]] = [
        (
            one.name,
            Text("no", style="red") if one.why_not else Text("yes", style="green"),
            one.means,
            one.why_not or "",
        )
        for one in standings
    ]
    return table(("APPROVER", "MAY", "BY", "WHY NOT"), rows, "  ")


def _decision(record: ApprovalRecord) -> list[tuple[str, str | Text]]:
    return [
        ("by", f"{record.approver} ({record.assurance})"),
        ("at", f"{moment(record.decided_at)} UTC"),
        ("reason", record.reason or "-"),
    ]


def _next(record: ApprovalRecord, request: ApprovalRequest, now_us: int) -> str:
    if not _waits(record, now_us):
        return f"orloj task {record.task}"
    if record.state is ApprovalState.APPROVED:
        return f"orloj logs -f {record.task}, or orloj deny {record.id} --reason TEXT"
    sign = " --sign KEY" if request.assurance == "signature" else ""
    return f"orloj approve {record.id}{sign}, or orloj deny {record.id} --reason TEXT"


def _waits(record: ApprovalRecord, now_us: int) -> bool:
    open_still = record.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
    return open_still and now_us < record.expires_at


def _state(record: ApprovalRecord, now_us: int) -> str:
    """The state as it is: time runs out before anybody writes so."""
    open_still = record.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
    if open_still and not _waits(record, now_us):
        return ApprovalState.EXPIRED.value
    return record.state.value


def _readable(record: ApprovalRecord) -> ApprovalRequest | None:
    try:
        return record.request()
    except Refused:
        return None


def decided_words(record: ApprovalRecord) -> Text:
    """What was decided: about which call, and by whom."""
    call = record.request().call
    permissions = f" ({' '.join(call.permissions)})" if call.permissions else ""
    words = (
        f"  {call.agent} calls {call.tool}{permissions}, once, as asked;"
        f" by {record.approver} ({record.assurance})"
    )
    return paragraphs(
        Text.assemble(record.id, "  ", word(record.state.value), plain(words)),
        Text(f"  digest {record.digest}", style="dim"),
    )


def as_manifest(request: ApprovalRequest) -> Text:
    """The request as a ToolApproval of the public dialect: YAML, its texts quoted as JSON."""
    call = request.call
    verbs = [permission.partition(":")[0] for permission in call.permissions]
    fields = {
        "task_ref": call.task,
        "tool": call.tool,
        "agent": call.agent,
        "operation_class": next((verb for verb in verbs if verb in _CLASSES), "write"),
        "input": json.dumps(request.arguments, ensure_ascii=False),
        "reason": request.reason,
        "ttl": f"{max(0, request.expires_at - request.requested_at) // 1_000_000}s",
    }
    head = (
        "apiVersion: orloj.dev/v1\nkind: ToolApproval\nmetadata:\n"
        f"  name: {_quoted(request.id)}\n  namespace: {_quoted(call.namespace)}\nspec:\n"
    )
    lines = [f"  {name}: {_quoted(value)}" for name, value in fields.items()]
    return Text(head + "\n".join(lines))


def _quoted(text: str) -> str:
    return plain_json(json.dumps(text, ensure_ascii=False))


def record_json(record: ApprovalRecord, now_us: int) -> dict[str, Any]:
    """The stable fields of a request in the list; `call` is null when it was edited."""
    request = _readable(record)
    return {
        "id": record.id,
        "state": _state(record, now_us),
        "task": record.task,
        "step": record.step,
        "digest": record.digest,
        "requested_at": iso(record.requested_at),
        "expires_at": iso(record.expires_at),
        "approver": record.approver,
        "assurance": record.assurance,
        "reason": record.reason,
        "decided_at": iso(record.decided_at),
        "closed_at": iso(record.closed_at),
        "call": None if request is None else _call_json(request),
    }


def _call_json(request: ApprovalRequest) -> dict[str, Any]:
    call = request.call
    return {
        "agent": call.agent,
        "namespace": call.namespace,
        "chain": list(call.chain),
        "tool": call.tool,
        "permissions": list(call.permissions),
        "arguments": request.arguments,
        "arguments_digest": call.arguments,
        "manifests": call.manifests,
        "commit": call.commit,
        "why": request.reason,
        "rule": request.rule,
        "grant": request.grant,
        "four_eyes": request.four_eyes,
        "assurance": request.assurance,
    }


def request_json(
    record: ApprovalRecord,
    texts: Mapping[str, str],
    standings: Sequence[Standing],
    now_us: int,
) -> dict[str, Any]:
    """The stable fields of one request, with the lines that govern it and who may decide."""
    return {
        **record_json(record, now_us),
        "places": [
            {"what": place.what, "at": place.at, "by": place.by, "text": texts.get(place.at)}
            for place in record.request().places
        ],
        "approvers": [
            {"name": one.name, "by": one.means, "may": one.why_not is None, "why": one.why_not}
            for one in standings
        ],
        "signature": record.signature,
    }


def decided_json(record: ApprovalRecord, task_state: str) -> dict[str, Any]:
    """The stable fields of a decision."""
    return {
        "id": record.id,
        "state": record.state.value,
        "task": record.task,
        "task_state": task_state,
        "approver": record.approver,
        "assurance": record.assurance,
        "reason": record.reason,
        "digest": record.digest,
    }
