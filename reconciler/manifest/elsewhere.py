"""Kinds and fields of the public dialect that say nothing here, each with what to do. Pure.

A kind that would be read and then ignored is refused: whoever wrote it relies on it.
"""

from collections.abc import Iterator
from typing import Any, Final

from reconciler.manifest.document import Path
from reconciler.manifest.wording import Finding
from runner.contract.kinds import Metadata
from runner.contract.kinds.base import DEFAULT_NAMESPACE

KINDS_ELSEWHERE: Final = {
    "AgentCard": ("agents are not offered over A2A", "remove it"),
    "ContextAdapter": (
        "what a task is given is not rewritten before its first agent",
        "take out what no agent may see before the task is queued",
    ),
    "Session": (
        "there are no conversations over several tasks",
        "queue a Task for each turn; a Memory keeps what must last",
    ),
    "TaskApproval": (
        "the runner asks for a review, a file cannot",
        "remove it; `orloj approve` answers",
    ),
    "ToolApproval": (
        "the runner asks for an approval; one in a file would approve nothing",
        "remove it; `orloj approvals` shows requests, `orloj approve` answers one",
    ),
}
_OF_SERVERS: Final = (
    "resource_version",
    "resourceVersion",
    "generation",
    "created_at",
    "createdAt",
)


def refused(kind: object) -> Finding | None:
    """Why a kind that we know of cannot be declared; None for every other."""
    if not isinstance(kind, str) or kind not in KINDS_ELSEWHERE:
        return None
    message, hint = KINDS_ELSEWHERE[kind]
    return Finding(("kind",), False, message, hint)


def misplaced(kind: str, metadata: Metadata) -> Iterator[Finding]:
    """What stands in a namespace that it cannot be of."""
    if kind == "Worker" and metadata.namespace != DEFAULT_NAMESPACE:
        message = f"a host is of no namespace: a Worker stands in {DEFAULT_NAMESPACE}"
        yield Finding(("metadata", "namespace"), False, message, "remove the field")


def of_servers(manifest: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """What a server writes into what it exports; in a file it says nothing."""
    words = "a server writes it; in a file it says nothing"
    if "status" in manifest:
        yield ("status",), f"`status`: {words}"
    metadata = manifest.get("metadata")
    for name in _OF_SERVERS:
        if type(metadata) is dict and name in metadata:
            yield ("metadata", name), f"`{name}`: {words}"
