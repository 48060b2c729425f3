"""TaskApproval: a request for a person's review, as the public dialect writes it.

The runner makes requests where a system has a `review`; `orloj approvals` shows them. One in a
repository asks for nothing and approves nothing.
"""

from typing import Any

from pydantic import Field

from runner.contract.kinds.base import Duration, Spec, Text


class TaskApproval(Spec):
    """An output that waits for a person."""

    task_ref: str = Field(min_length=1)
    checkpoint_id: str = Field(min_length=1)
    checkpoint_type: Text = ""
    agent: str = ""
    output: Text = ""
    output_format: Text = ""
    reason: Text = ""
    ttl: Duration = "10m"
    allow_request_changes: bool = True
    max_review_cycles: int = Field(default=3, ge=1)
    review_cycle: int = Field(default=1, ge=1)
    supersedes: str = ""
    resume_context: dict[str, Any] = {}
