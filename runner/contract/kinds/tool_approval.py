"""ToolApproval: a request for a person's approval, as the public dialect writes it.

The runner makes requests; `orloj approvals` shows them in this form. One in a repository
asks for nothing and approves nothing.
"""

from typing import Literal

from pydantic import Field

from runner.contract.kinds.base import Duration, Spec, Text


class ToolApproval(Spec):
    """A call that waits for a person."""

    task_ref: str = Field(min_length=1)
    tool: str = Field(min_length=1)
    agent: str = ""
    operation_class: Literal["read", "write", "delete", "admin"] = "write"
    input: Text = ""
    reason: Text = ""
    ttl: Duration = "10m"
