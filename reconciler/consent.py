"""Whether a Secret lets those use it who name it from another namespace. Pure.

Inside its own namespace a Secret is anybody's. Elsewhere it must name the namespace itself,
under `allowedNamespaces`: who may push to one namespace cannot help themselves to another's.
The runner asks the same question again before each call.
"""

from collections.abc import Mapping, Sequence

from reconciler.manifest.syntax import quoted
from reconciler.problem import Problem
from reconciler.resource import Recorded, Resource
from runner.contract.errors import Refused
from runner.contract.kinds import Key, Secret, spec_of

User = tuple[Key, str, int, Key]
"""A resource that nobody touches, its path and line, and the Secret that it names."""


def missing(
    touched: Sequence[Resource],
    recorded: Mapping[Key, Recorded],
    users: Sequence[User] = (),
) -> list[Problem]:
    """A problem for each use that its Secret does not allow.

    `recorded` are Secrets that stay as they are, `users` whoever names a touched one.
    """
    declared = {resource.key: resource for resource in reversed(touched)}
    problems = []
    for resource in touched:
        for mention in resource.mentions:
            secret = declared.get(mention.target) or recorded.get(mention.target)
            if secret is not None and not _allows(secret, resource.key.namespace):
                place = (resource.path, mention.line, mention.column)
                problems.append(_problem(place, secret, resource.key.namespace))
    for key, path, line, target in users:
        secret = declared.get(target)
        if secret is not None and not _allows(secret, key.namespace):
            problems.append(_problem((path, line, 1), secret, key.namespace))
    return problems


def _allows(named: Resource | Recorded, namespace: str) -> bool:
    if named.key.kind != "Secret":
        return True
    try:
        secret = spec_of("Secret", named.body)
    except Refused:
        return named.key.namespace == namespace
    assert isinstance(secret, Secret)
    return secret.serves(named.key.namespace, namespace)


def _problem(
    place: tuple[str, int, int], secret: Resource | Recorded, namespace: str
) -> Problem:
    name = quoted(f"{secret.key.namespace}/{secret.key.name}")
    message = f"Secret {name} does not allow the namespace {quoted(namespace)}"
    hint = (
        f"name a Secret of this namespace, or let {secret.path}:{secret.line} say"
        f" `allowedNamespaces: [{namespace}]`"
    )
    return Problem(*place, message, hint)
