"""What the public dialect has no word for. Pure data: the rest is said alike in both forms."""

from enum import StrEnum
from typing import Final


class Form(StrEnum):
    """How a manifest is written."""

    NATIVE = "native"
    """As in the README: grants at the tool, governance at the agent, permissions as pairs."""
    PUBLIC = "public"
    """As OrlojHQ/orloj writes and reads it."""


KINDS_NATIVE: Final = frozenset({"Approver", "DataSource", "Namespace", "RetentionPolicy"})
"""Kinds that only the native form has."""

FIELDS_NATIVE: Final[dict[str, frozenset[str]]] = {
    "Agent": frozenset(
        {"description", "governance", "limits.max_output_tokens", "accept_risk"}
    ),
    "AgentSystem": frozenset({"gains", "accept_risk"}),
    "McpServer": frozenset({"network"}),
    "Memory": frozenset({"allowed_namespaces", "labels", "network", "options"}),
    "ModelEndpoint": frozenset({"idle_timeout", "prices", "script", "stream", "timeout"}),
    "SealedSecret": frozenset({"allowedNamespaces"}),
    "Secret": frozenset({"allowedNamespaces", "fromEnv", "fromFile", "sealed"}),
    "Task": frozenset({"agent", "retry.jitter", "retry.max_backoff"}),
    "Tool": frozenset(
        {
            *("command", "config", "egress", "function", "idempotent", "ingests", "limits"),
            *("method", "network", "reads", "requires", "runtime.memory_mb"),
            *("runtime.processes", "schema_digest", "wasm.sha256"),
        }
    ),
}
"""Fields that only the native form has, by their canonical path below `spec`."""

VALUES_NATIVE: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("Memory", "provider"): frozenset({"sqlite"}),
    ("Task", "message_retry.jitter"): frozenset({"decorrelated"}),
    ("TaskSchedule", "concurrency_policy"): frozenset({"allow", "replace"}),
    ("Tool", "runtime.retry.jitter"): frozenset({"decorrelated"}),
    ("Tool", "type"): frozenset({"command", "python", "sql"}),
}
"""Values that only the native form has."""

HINTS: Final[dict[tuple[str, str], str]] = {
    ("Agent", "governance"): "an AgentPolicy says max_tokens_per_run, a ToolPermission asks",
    ("Secret", "fromEnv"): "the public project reads ORLOJ_SECRET_NAME from its environment",
    ("Task", "agent"): "declare an AgentSystem of this one agent, and name it under system",
    ("Tool", "requires"): "a ToolPermission says what calls of a tool need",
}

SERVER_METADATA: Final = (
    *("resourceVersion", "resource_version", "generation", "createdAt", "created_at"),
)
"""What servers write under `metadata`; it says nothing in a file."""
