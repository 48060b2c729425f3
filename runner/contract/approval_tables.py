"""The tables of approvals: what people are asked, and the webhooks that tell them."""

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

Big = BigInteger
_OPEN: Final = "state IN ('pending', 'approved')"


class ApprovalRow(SQLModel, table=True):
    """A request for a person's approval: the bytes that are signed, and what became of it."""

    __tablename__: ClassVar[str] = "approval"
    __table_args__ = (
        Index("approval_task", "task_id", "step"),
        Index("approval_open", "task_id", sqlite_where=text(_OPEN)),
    )
    id: str = Field(primary_key=True)
    task_id: str
    step: int
    state: str
    request: bytes = Field(sa_type=LargeBinary)
    digest: str
    requested_at: int = Field(sa_type=Big)
    expires_at: int = Field(sa_type=Big)
    approver: str | None
    approver_hash: str | None
    assurance: str | None
    reason: str | None
    signature: str | None
    decided_at: int | None = Field(sa_type=Big)
    closed_at: int | None = Field(sa_type=Big)


class NotificationRow(SQLModel, table=True):
    """A webhook to call about an approval, until it was told or given up."""

    __tablename__: ClassVar[str] = "notification"
    __table_args__ = (
        Index("notification_due", "due_at", sqlite_where=text("state = 'waiting'")),
    )
    id: str = Field(primary_key=True)
    approval_id: str
    event: str
    hook: str
    state: str
    attempts: int
    due_at: int = Field(sa_type=Big)
    error: str | None
    created_at: int = Field(sa_type=Big)
    closed_at: int | None = Field(sa_type=Big)
