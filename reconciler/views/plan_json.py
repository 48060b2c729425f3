"""A plan as JSON, in the shape that tools for Terraform plans already read. Pure.

    format_version     "1.0"
    id                 sha256:…, the hash of the plan's content; a saved plan is known by it
    source             {name, owner, ref, commit, previous_commit, fast_forward, commits,
                        serial}
    resource_changes   [{address, namespace, kind, name, action_reason,
                         change: {actions, before, after},
                         fields: [{path, before, after}],
                         source: {path, line, blob, commit}}]
    summary            {create, update, delete, unchanged}
    permissions        {widened, narrowed,
                        findings: [{severity, rule, resource, sentence, path, line, loud}]}
    impact             what the changes touch, as `views.impact` says; null where nobody looked
    blocked            [sentence]
    blocks             [{reason, sentence, until}]: the same with a stable name each
    warnings           [{path, line, column, severity, message, hint}]
    examined, parsed   manifests looked at, files that no cache knew

`before` and `after` are whole bodies, null where there is none. Values of secrets stand as
keyed digests. `source` of a change is where the resource is declared; of a deletion, where
it was. These names are promises.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from reconciler.change import Action, Block, Change, Plan
from reconciler.views.findings import permissions_json
from reconciler.views.impact import impact_json
from reconciler.views.problems import problem_json
from reconciler.views.times import iso

FORMAT_VERSION: Final = "1.0"


def plan_json(planned: Plan) -> dict[str, Any]:
    """The plan as a JSON value."""
    target = planned.target
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
        },
        "resource_changes": [_change(change, target.commit) for change in planned.changes],
        "summary": {action.value: planned.counts[action] for action in Action}
        | {"unchanged": planned.unchanged},
        "permissions": permissions_json(planned.findings),
        "impact": impact_json(planned.impact),
        "blocked": [str(block) for block in planned.blocked],
        "blocks": blocks_json(planned.blocked),
        "warnings": [problem_json(warning) for warning in planned.warnings],
        "examined": planned.examined,
        "parsed": planned.parsed,
    }


def blocks_json(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Why a plan may not be applied, one object a reason."""
    return [
        {"reason": block.reason, "sentence": block.sentence, "until": iso(block.until_us)}
        for block in blocks
    ]


def _change(change: Change, commit: str | None) -> dict[str, Any]:
    place = change.after or change.before
    assert place is not None
    return {
        "address": str(change.key),
        "namespace": change.key.namespace,
        "kind": change.key.kind,
        "name": change.key.name,
        "action_reason": change.reason,
        "change": {
            "actions": [change.action.value],
            "before": json.loads(change.before.body) if change.before else None,
            "after": json.loads(change.after.body) if change.after else None,
        },
        "fields": [
            {"path": field.path, "before": field.before, "after": field.after}
            for field in change.fields
        ],
        "source": {
            "path": place.path,
            "line": place.line,
            "blob": place.blob,
            "commit": commit if change.after or change.before is None else change.before.commit,
        },
    }
