"""What is valid and still deserves a word: fields that are read and not yet acted on. Pure.

A manifest that promises more than the runner keeps must not pass in silence. Each line
here goes when the part it speaks of is built.
"""

from collections.abc import Iterator
from typing import Final

from reconciler.manifest.document import Path
from runner.contract.kinds import Agent, Secret, Spec, Tool

_AGENT_IDLE: Final = ("allowed_tools", "execution", "memory", "roles")
_TOOLS_RUN: Final = frozenset({"http", "command", "python"})


def cautions(spec: Spec) -> Iterator[tuple[Path, str]]:
    """Canonical paths of a spec, each with what one should know about it."""
    match spec:
        case Agent():
            yield from _agent(spec)
        case Tool() if spec.type not in _TOOLS_RUN:
            message = f"`type`: a tool of type {spec.type} cannot be run yet; calls are denied"
            yield ("spec", "type"), message
        case Secret():
            yield from _secret(spec)


def _agent(agent: Agent) -> Iterator[tuple[Path, str]]:
    for field in _AGENT_IDLE:
        if field in agent.model_fields_set and (
            getattr(agent, field) != type(agent).model_fields[field].default
        ):
            yield ("spec", field), f"`{field}`: accepted, not yet acted on"
    if agent.governance.max_tokens_per_minute is not None:
        path = ("spec", "governance", "maxTokensPerMinute")
        yield path, "`maxTokensPerMinute`: recorded, not yet enforced"


def _secret(secret: Secret) -> Iterator[tuple[Path, str]]:
    for field, values in (("stringData", secret.string_data), ("data", secret.data)):
        if values:
            message = f"`{field}`: secret value stands in Git; use fromEnv or fromFile"
            yield ("spec", field), message
            return
