"""What a manifest may declare. Pure: no clock, disk, network, process or database.

`KINDS` maps a kind's name to its spec. `canonical` gives the text that is stored, compared
and hashed: sorted keys, no spaces, defaults left out.
"""

import hashlib
import json
from typing import Any, Final

from runner.contract.errors import Refused
from runner.contract.kinds.agent import Agent
from runner.contract.kinds.agent_policy import AgentPolicy
from runner.contract.kinds.agent_role import AgentRole
from runner.contract.kinds.agent_system import AgentSystem
from runner.contract.kinds.approver import Approver
from runner.contract.kinds.base import API_VERSION, Key, Metadata, Permission, Reference, Spec
from runner.contract.kinds.data_source import DataSource
from runner.contract.kinds.eval_dataset import EvalDataset
from runner.contract.kinds.eval_run import EvalRun
from runner.contract.kinds.mcp_server import McpServer
from runner.contract.kinds.memory import Memory
from runner.contract.kinds.model_endpoint import ModelEndpoint
from runner.contract.kinds.namespace import Namespace
from runner.contract.kinds.retention_policy import RetentionPolicy
from runner.contract.kinds.sealed_secret import SealedSecret
from runner.contract.kinds.secret import Secret
from runner.contract.kinds.task import Task
from runner.contract.kinds.task_schedule import TaskSchedule
from runner.contract.kinds.task_webhook import TaskWebhook
from runner.contract.kinds.tool import Tool
from runner.contract.kinds.tool_permission import ToolPermission
from runner.contract.kinds.worker import Worker

KINDS: Final[dict[str, type[Spec]]] = {
    "Agent": Agent,
    "AgentPolicy": AgentPolicy,
    "AgentRole": AgentRole,
    "AgentSystem": AgentSystem,
    "Approver": Approver,
    "DataSource": DataSource,
    "McpServer": McpServer,
    "Memory": Memory,
    "EvalDataset": EvalDataset,
    "EvalRun": EvalRun,
    "ModelEndpoint": ModelEndpoint,
    "Namespace": Namespace,
    "RetentionPolicy": RetentionPolicy,
    "SealedSecret": SealedSecret,
    "Secret": Secret,
    "Task": Task,
    "TaskSchedule": TaskSchedule,
    "TaskWebhook": TaskWebhook,
    "Tool": Tool,
    "ToolPermission": ToolPermission,
    "Worker": Worker,
}


def canonical(metadata: Metadata, spec: Spec) -> str:
    """The stored text of a resource: JSON of `{annotations, labels, spec}`."""
    body: dict[str, Any] = {
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    }
    if metadata.labels:
        body["labels"] = metadata.labels
    if metadata.annotations:
        body["annotations"] = metadata.annotations
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """`sha256:` and the lower-case hex digest of a text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def spec_of(kind: str, body: str) -> Spec:
    """The spec in a stored text; Refused when another version wrote what we cannot read."""
    try:
        return KINDS[kind].model_validate(json.loads(body)["spec"])
    except (KeyError, ValueError) as error:
        raise Refused(
            f"a recorded {kind} cannot be read by this version of orloj; "
            "apply its manifest again"
        ) from error


__all__ = [
    "API_VERSION",
    "KINDS",
    "Agent",
    "AgentPolicy",
    "AgentRole",
    "AgentSystem",
    "Approver",
    "DataSource",
    "EvalDataset",
    "EvalRun",
    "Key",
    "McpServer",
    "Memory",
    "Metadata",
    "ModelEndpoint",
    "Namespace",
    "Permission",
    "Reference",
    "RetentionPolicy",
    "SealedSecret",
    "Secret",
    "Spec",
    "Task",
    "TaskSchedule",
    "TaskWebhook",
    "Tool",
    "ToolPermission",
    "Worker",
    "canonical",
    "digest",
    "spec_of",
]
