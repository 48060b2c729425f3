"""Manifest sets built by hand, as the runner would resolve them from what is recorded."""

from typing import Any

from runner.contract import kinds
from runner.contract.kinds import Key, Metadata
from runner.manifest_set import ManifestSet, Placed


def placed(kind: str, name: str, spec: dict[str, Any], namespace: str = "default") -> Placed:
    """A resource that stands in a file of its own, each place on line 1."""
    metadata = Metadata(name=name, namespace=namespace)
    body = kinds.canonical(metadata, kinds.KINDS[kind].model_validate(spec))
    return Placed(Key(namespace, kind, name), body, f"{name}.yaml", 1, {})


def manifest_set(subject: Placed, *others: Placed) -> ManifestSet:
    """The set of a subject."""
    return ManifestSet(subject.key, {item.key: item for item in (subject, *others)})
