"""The tables of task webhooks: what became of deliveries, and which events are known."""

from typing import ClassVar

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

Big = BigInteger


class TaskWebhookRow(SQLModel, table=True):
    """What a TaskWebhook was sent so far, and why it lets nothing in, if so."""

    __tablename__: ClassVar[str] = "task_webhook"
    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    accepted: int = Field(sa_type=Big)
    duplicates: int = Field(sa_type=Big)
    refused: int = Field(sa_type=Big)
    delivered_at: int | None = Field(sa_type=Big)
    task_id: str | None
    refused_at: int | None = Field(sa_type=Big)
    refusal: str | None
    problem: str | None


class TaskWebhookEventRow(SQLModel, table=True):
    """An event that queued a task: its digest, until when it is known, and the task."""

    __tablename__: ClassVar[str] = "task_webhook_event"
    __table_args__ = (Index("task_webhook_event_expiry", "expires_at"),)
    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    event: str = Field(primary_key=True)
    task_id: str
    expires_at: int = Field(sa_type=Big)
