"""The tables of what was done and how it stands: history, transitions, canaries."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

Big = BigInteger


class HistoryRow(SQLModel, table=True):
    """An apply, whoever made it, or a commit that was refused. `source` is empty by hand."""

    __tablename__: ClassVar[str] = "history"
    __table_args__ = (Index("history_commit", "source", "commit_sha"),)
    id: int | None = Field(default=None, primary_key=True)
    source: str
    owner: str
    cause: str
    actor: str
    result: str
    message: str
    commit_sha: str | None
    previous_commit: str | None
    fast_forward: bool
    plan_id: str
    serial: int = Field(sa_type=Big)
    author: str
    subject: str
    created: int
    updated: int
    deleted: int
    unchanged: int
    provenance: str
    detail: str
    audit_seq: int | None = Field(sa_type=Big)
    duration_us: int | None = Field(sa_type=Big)
    recorded_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class RevisionPlanRow(SQLModel, table=True):
    """One change of a plan in the history, without bodies; the oldest make room."""

    __tablename__: ClassVar[str] = "revision_plan"
    __table_args__ = (
        Index("revision_plan_history", "history_id", "position"),
        Index("revision_plan_key", "kind", "name", "namespace"),
    )
    id: int | None = Field(default=None, primary_key=True)
    history_id: int = Field(sa_type=Big)
    position: int
    namespace: str
    kind: str
    name: str
    action: str
    reason: str
    generation: int = Field(sa_type=Big)
    path: str
    line: int
    spec_hash: str
    fields: str
    previous: str


class SourceStandingRow(SQLModel, table=True):
    """Since when a repository is in its condition, and when it will be tried again."""

    __tablename__: ClassVar[str] = "source_standing"
    name: str = Field(primary_key=True)
    condition: str
    reason: str
    since_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    retry_at: int | None = Field(sa_type=Big)
    failures: int


class CanaryRow(SQLModel, table=True):
    """The evaluation of an applied revision. `tasks` and `held` are JSON lists."""

    __tablename__: ClassVar[str] = "canary"
    __table_args__ = (Index("canary_source", "source", "state"),)
    id: int | None = Field(default=None, primary_key=True)
    source: str
    commit_sha: str
    previous_commit: str | None
    history_id: int | None = Field(sa_type=Big)
    state: str
    tasks: str
    held: str
    message: str
    closing: bool
    started_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    ended_at: int | None = Field(sa_type=Big)
