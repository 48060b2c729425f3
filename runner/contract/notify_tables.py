"""The tables of notifications: who is told of events, how far that went, what is to be sent."""

from typing import ClassVar

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

Big = BigInteger


class EventCursorRow(SQLModel, table=True):
    """Up to which event a target of the settings has what it is to be told."""

    __tablename__: ClassVar[str] = "event_cursor"
    target: str = Field(primary_key=True)
    event_id: int = Field(sa_type=Big)


class EventNotificationRow(SQLModel, table=True):
    """What a target is told of an event, until it was told, given up or overtaken."""

    __tablename__: ClassVar[str] = "event_notification"
    __table_args__ = (
        Index(
            "event_notification_due",
            "target",
            "due_at",
            sqlite_where=text("state = 'waiting'"),
        ),
        Index("event_notification_event", "target", "event_id", unique=True),
        Index("event_notification_commit", "target", "commit_sha"),
    )
    id: str = Field(primary_key=True)
    target: str
    source: str
    event_id: int = Field(sa_type=Big)
    severity: str
    reason: str
    message: str
    commit_sha: str | None
    resource: str | None
    status: str | None
    happened_at: int = Field(sa_type=Big)
    state: str
    attempts: int
    due_at: int = Field(sa_type=Big)
    taken_until: int = Field(sa_type=Big)
    error: str | None
    closed_at: int | None = Field(sa_type=Big)
