"""The tables of a repository besides its state: requests, overrides, and what happened."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

Big = BigInteger


class SourceControlRow(SQLModel, table=True):
    """What people ask of a repository: to pause, or to be looked at. The loop answers."""

    __tablename__: ClassVar[str] = "source_control"
    name: str = Field(primary_key=True)
    suspended_at: int | None = Field(sa_type=Big)
    suspended_by: str | None
    suspended_reason: str | None
    request_token: str | None
    requested_by: str | None
    handled_token: str | None


class SourceOverrideRow(SQLModel, table=True):
    """What somebody let pass in one commit that would have been stopped."""

    __tablename__: ClassVar[str] = "source_override"
    source: str = Field(primary_key=True)
    commit_sha: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    actor: str
    reason: str
    given_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class EventRow(SQLModel, table=True):
    """Something that happened, as often in a row as `count` says."""

    __tablename__: ClassVar[str] = "event"
    __table_args__ = (Index("event_source", "source", "id"),)
    id: int | None = Field(default=None, primary_key=True)
    source: str
    severity: str
    reason: str
    message: str
    commit_sha: str | None
    resource: str | None
    count: int = Field(sa_type=Big)
    first_at: int = Field(sa_type=Big)
    last_at: int = Field(sa_type=Big)
