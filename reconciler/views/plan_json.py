"""A plan as JSON, in the shape that tools for Terraform plans already read. Pure.

    format_version     "1.0"
    id                 sha256:…, the hash of the plan's content; a saved plan is known by it
    source             {name, owner, ref, commit, previous_commit, fast_forward, commits,
                        serial, provenance: {signature, signer, key, reviewers: [],
                                             trailers: [{name, value}], remarks: []}}
    complete           false when it shows only a part of what applying the commit does
    applyable          whether it can be applied: whole, with changes, and nothing blocks it
    partial            null, or {targets, named, needed, hidden: {create, ...},
                         hidden_widenings, whole_id}: what a part leaves out
    remarks            [sentence]: what should be known before reading on
    resource_changes   [{address, previous_address, mode, type, namespace, kind, name, action,
                          action_reason, reason_code,
                          change: {actions, before, after, after_unknown,
                                   before_sensitive, after_sensitive},
                          fields: [{path, within, before, after, remark}],
                         source: {path, line, blob, commit}}]
    summary            {create, update, delete, move, unchanged}
    estimate           [{address, tokens_before, tokens_after, tokens_a_call, tokens_a_run,
                         model_before, model_after, runs, model_calls, days,
                         cost_a_day_before, cost_a_day_after, cost_a_day_more, missing,
                         sentence}]
    permissions        {widened, narrowed,
                        findings: [{severity, rule, resource, sentence, path, line, loud}]}
    impact             what the changes touch, as `views.impact` says; null where nobody looked
    blocked            [sentence]
    blocks             [{reason, sentence, until, whose}]: the same with a stable name each
    warnings           [{path, line, column, severity, message, hint}]
    examined, parsed   manifests looked at, files that no cache knew

`action` is create, update, delete or move; `actions` is what Terraform says: `["no-op"]` for
what only moved, `["update"]` where it changed as well, so that a scan for `delete` finds what
goes and nothing else. `previous_address` is null but for a move. `action_reason` is a sentence,
`reason_code` its stable name (`reconciler.change.ReasonCode`). Costs are decimals as texts, in
the currency of the prices, and null where `missing` says why.

`before` and `after` are whole bodies, null where there is none. Values of secrets stand as
keyed digests, and `before_sensitive` and `after_sensitive` say where. `source` of a change is
where the resource is declared; of a deletion, where it was. These names are promises.
"""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from reconciler.change import Action, Block, Change, Plan, Provenance
from reconciler.estimate.estimate import Estimate, sentence
from reconciler.review.selection import Partial
from reconciler.views.findings import permissions_json
from reconciler.views.impact import impact_json
from reconciler.views.plan_line import NOTHING_MORE, Telling
from reconciler.views.problems import problem_json
from reconciler.views.times import iso
from runner.contract.kinds import Key

FORMAT_VERSION: Final = "1.0"


def plan_json(planned: Plan, telling: Telling = NOTHING_MORE) -> dict[str, Any]:
    """The plan as a JSON value."""
    target = planned.target
    complete = not planned.partial
    return {
        "format_version": FORMAT_VERSION,
        "id": planned.id,
        "source": {
            "name": target.source or None,
            "owner": target.owner,
            "ref": target.ref or None,
            "commit": target.commit,
            "previous_commit": target.previous_commit,
            "fast_forward": target.fast_forward,
            "commits": target.commits,
            "serial": target.serial,
            "provenance": provenance_json(target.provenance),
        },
        "complete": complete,
        "applyable": complete and bool(planned.changes) and not planned.blocked,
        "partial": _partial(telling.partial) if telling.partial is not None else None,
        "remarks": list(telling.remarks),
        "resource_changes": [_change(change, target.commit) for change in planned.changes],
        "summary": {action.value: planned.counts[action] for action in Action}
        | {"unchanged": planned.unchanged},
        "estimate": [_estimate(key, item) for key, item in telling.estimates.items()],
        "permissions": permissions_json(planned.findings),
        "impact": impact_json(planned.impact),
        "blocked": [str(block) for block in planned.blocked],
        "blocks": blocks_json(planned.blocked),
        "warnings": [problem_json(warning) for warning in planned.warnings],
        "examined": planned.examined,
        "parsed": planned.parsed,
    }


def provenance_json(found: Provenance) -> dict[str, Any]:
    """Who vouches for the commits; `signature` is null where nobody asked."""
    return {
        "signature": found.signature or None,
        "signer": found.signer or None,
        "key": found.key or None,
        "reviewers": list(found.reviewers),
        "trailers": [{"name": name, "value": value} for name, value in found.trailers],
        "remarks": list(found.remarks),
    }


def blocks_json(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Why a plan may not be applied, one object a reason."""
    return [
        {
            "reason": block.reason,
            "sentence": block.sentence,
            "until": iso(block.until_us),
            "whose": block.whose or None,
        }
        for block in blocks
    ]


def _partial(partial: Partial) -> dict[str, Any]:
    return {
        "targets": list(partial.targets),
        "named": partial.named,
        "needed": partial.needed,
        "hidden": {action.value: partial.hidden[action] for action in Action},
        "hidden_widenings": partial.hidden_widenings,
        "whole_id": partial.whole_id,
    }


def _estimate(key: Key, item: Estimate) -> dict[str, Any]:
    return {
        "address": str(key),
        "tokens_before": item.tokens_before,
        "tokens_after": item.tokens_after,
        "tokens_a_call": item.tokens_a_call,
        "tokens_a_run": item.tokens_a_run,
        "model_before": item.model_before,
        "model_after": item.model_after,
        "runs": item.usage.runs,
        "model_calls": item.usage.calls,
        "days": item.usage.days,
        "cost_a_day_before": _decimal(item.cost_before),
        "cost_a_day_after": _decimal(item.cost_after),
        "cost_a_day_more": _decimal(item.cost_more),
        "missing": list(item.missing),
        "sentence": sentence(item),
    }


def _decimal(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.6f}"


def _change(change: Change, commit: str | None) -> dict[str, Any]:
    place = change.after or change.before
    assert place is not None
    before = json.loads(change.before.body) if change.before else None
    after = json.loads(change.after.body) if change.after else None
    return {
        "address": str(change.key),
        "previous_address": str(change.previous) if change.previous else None,
        "mode": "managed",
        "type": change.key.kind.lower(),
        "namespace": change.key.namespace,
        "kind": change.key.kind,
        "name": change.key.name,
        "action": change.action.value,
        "action_reason": change.reason,
        "reason_code": change.code.value,
        "change": {
            "actions": [_action(change)],
            "before": before,
            "after": after,
            "after_unknown": {},
            "before_sensitive": _sensitive(change.key, before),
            "after_sensitive": _sensitive(change.key, after),
        },
        "fields": [
            {
                "path": field.path,
                "within": field.within or None,
                "before": field.before,
                "after": field.after,
                "remark": field.remark or None,
            }
            for field in change.fields
        ],
        "source": {
            "path": place.path,
            "line": place.line,
            "blob": place.blob,
            "commit": commit if change.after or change.before is None else change.before.commit,
        },
    }


def _action(change: Change) -> str:
    if change.action is not Action.MOVE:
        return change.action.value
    return "update" if change.respecified else "no-op"


def _sensitive(key: Key, body: dict[str, Any] | None) -> Any:
    """Where a body holds digests in place of secret values, in the shape of the body."""
    if body is None or key.kind != "Secret":
        return {} if body is not None else False
    held = {name: body["spec"].get(name, {}) for name in ("data", "stringData")}
    marked = {name: dict.fromkeys(values, True) for name, values in held.items() if values}
    return {"spec": marked} if marked else {}
