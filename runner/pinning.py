"""Resolve the manifests that a task is pinned to when it first starts."""

import json

from sqlalchemy import Connection

from runner.contract import kinds
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.errors import NotFound
from runner.contract.kinds import Agent, Key, Spec
from runner.manifest_set import ManifestSet, Placed


def resolve(connection: Connection, subject: Key) -> tuple[ManifestSet, str]:
    """The set of a subject as recorded now, and the commit it stands at; NotFound.

    Follows every reference from the subject; what is named and not declared is left out,
    and denied or refused when it is needed.
    """
    resources: dict[Key, Placed] = {}
    waiting = [subject]
    owner = None
    while waiting:
        key = waiting.pop()
        if key in resources:
            continue
        row = connection.exec_driver_sql(
            "SELECT body, path, line, lines, owner FROM resource"
            " WHERE namespace = ? AND kind = ? AND name = ?",
            tuple(key),
        ).one_or_none()
        if row is None:
            continue
        owner = owner or row.owner
        resources[key] = Placed(key, row.body, row.path, row.line, json.loads(row.lines))
        waiting.extend(_named(key, kinds.spec_of(key.kind, row.body)))
    if subject not in resources:
        raise NotFound(f"{subject} is not declared any more")
    return ManifestSet(subject, resources), commit_of(connection, owner)


def commit_of(connection: Connection, owner: str | None) -> str:
    """The commit that an owner's resources stand at; `none` for what came by hand."""
    source = (owner or "").removeprefix("git:")
    commit = connection.exec_driver_sql(
        "SELECT applied_commit FROM source WHERE name = ?", (source,)
    ).scalar_one_or_none()
    return str(commit) if commit and owner != source else NO_COMMIT


def _named(key: Key, spec: Spec) -> list[Key]:
    targets = [reference.target for reference in spec.references(key.namespace)]
    if isinstance(spec, Agent):
        endpoint, model = spec.endpoint(key.namespace)
        targets.append(endpoint)
        if model is not None:
            targets.append(Key(key.namespace, "ModelEndpoint", model))
    return targets
