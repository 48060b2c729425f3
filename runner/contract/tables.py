"""One SQLModel class per table: the schema, and the rows that reading rooms hand out.

Rows do not validate; data enters through `kinds` first. Hot paths use text statements
over a held connection instead (docs/decisions). Times are microseconds, UTC.
"""

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Computed, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from runner.contract import (
    approval_tables,
    audit_tables,
    child_tables,
    drain_tables,
    drift_tables,
    eval_tables,
    graph_tables,
    keeper_tables,
    limit_tables,
    notify_tables,
    plan_tables,
    privacy_tables,
    schedule_tables,
    source_tables,
    status_tables,
    trust_tables,
    webhook_tables,
)

Big = BigInteger
ELSEWHERE: Final = (
    approval_tables.ApprovalRow,
    approval_tables.NotificationRow,
    audit_tables.AuditLogRow,
    audit_tables.CheckpointRow,
    audit_tables.SubtreeRow,
    audit_tables.AuditKeyRow,
    keeper_tables.AuditTroubleRow,
    keeper_tables.AuditPublicationRow,
    drain_tables.DrainRow,
    drift_tables.DriftRow,
    drift_tables.ObservationRow,
    *eval_tables.ROWS,
    graph_tables.StepRow,
    graph_tables.VisitRow,
    limit_tables.ReservationRow,
    limit_tables.LimitWaitRow,
    limit_tables.LimitClockRow,
    plan_tables.ResourceMoveRow,
    privacy_tables.PersonRow,
    privacy_tables.ErasureRow,
    privacy_tables.LegalHoldRow,
    privacy_tables.ArchiveRow,
    schedule_tables.ScheduleRow,
    schedule_tables.ScheduleFireRow,
    source_tables.SourceControlRow,
    source_tables.SourceOverrideRow,
    source_tables.EventRow,
    notify_tables.EventCursorRow,
    notify_tables.EventNotificationRow,
    trust_tables.RevisionProvenanceRow,
    status_tables.HistoryRow,
    status_tables.RevisionPlanRow,
    status_tables.SourceStandingRow,
    status_tables.CanaryRow,
    webhook_tables.TaskWebhookRow,
    webhook_tables.TaskWebhookEventRow,
    child_tables.TaskChildRow,
)
"""Tables of the schema that stand in modules of their own."""
_PARKED: Final = "state IN ('backing_off', 'waiting_approval', 'waiting_tokens')"
_RESTING: Final = "state IN ('pending', 'unknown_outcome') AND manifest_set IS NOT NULL"
_APPLIED: Final = (
    "type IN ('resource.created', 'resource.updated', 'resource.deleted', 'resource.moved',"
    " 'manifest.applied', 'manifest.reverted', 'drift.healed')"
)
_LANE: Final = "namespace || '/' || subject_kind || '/' || subject_name || ' ' || requirements"


class SourceRow(SQLModel, table=True):
    """A repository, what was applied from it, and how the last look at it went."""

    __tablename__: ClassVar[str] = "source"
    name: str = Field(primary_key=True)
    url: str
    ref: str
    path: str
    settings_digest: str
    applied_commit: str | None
    applied_tree: str | None
    attempted_commit: str | None
    condition: str
    reason: str
    message: str
    problems: str
    checked_at: int | None = Field(sa_type=Big)
    applied_at: int | None = Field(sa_type=Big)


class StateRow(SQLModel, table=True):
    """The serial of the recorded state: one row, one more at every apply."""

    __tablename__: ClassVar[str] = "state"
    id: int = Field(primary_key=True)
    serial: int = Field(sa_type=Big)


class ResourceRow(SQLModel, table=True):
    """A resource as it was applied, where it came from and who owns it."""

    __tablename__: ClassVar[str] = "resource"
    __table_args__ = (
        Index("resource_path", "owner", "path"),
        Index("resource_kind", "kind", "namespace"),
    )
    namespace: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    owner: str
    commit_sha: str | None
    path: str
    line: int
    blob: str | None
    spec_hash: str
    body: str
    lines: str
    generation: int = Field(sa_type=Big)
    applied_at: int = Field(sa_type=Big)


class ReferenceRow(SQLModel, table=True):
    """Which resource names which, to find who is touched when one goes away."""

    __tablename__: ClassVar[str] = "reference"
    __table_args__ = (Index("reference_to", "to_namespace", "to_kind", "to_name"),)
    from_namespace: str = Field(primary_key=True)
    from_kind: str = Field(primary_key=True)
    from_name: str = Field(primary_key=True)
    to_namespace: str = Field(primary_key=True)
    to_kind: str = Field(primary_key=True)
    to_name: str = Field(primary_key=True)
    line: int
    required: bool


class RevisionRow(SQLModel, table=True):
    """A commit that was applied."""

    __tablename__: ClassVar[str] = "revision"
    id: int | None = Field(default=None, primary_key=True)
    source: str
    commit_sha: str
    previous_commit: str | None
    fast_forward: bool
    plan_id: str
    serial: int = Field(sa_type=Big)
    author: str
    committer: str
    subject: str
    created: int
    updated: int
    deleted: int
    applied_at: int = Field(sa_type=Big)


class BlobCacheRow(SQLModel, table=True):
    """What a blob was parsed to; Secrets stand here as digests and ciphertext."""

    __tablename__: ClassVar[str] = "blob_cache"
    __table_args__ = (Index("blob_cache_key", "blob", "parser_version", unique=True),)
    number: int | None = Field(default=None, primary_key=True)
    blob: str
    parser_version: str
    documents: str


class SealedSecretRow(SQLModel, table=True):
    """A secret value, encrypted, under the keyed digest that manifests are stored with."""

    __tablename__: ClassVar[str] = "sealed_secret"
    digest: str = Field(primary_key=True)
    ciphertext: str


class ManifestSetRow(SQLModel, table=True):
    """The manifests that a task works under, resolved when it first starts."""

    __tablename__: ClassVar[str] = "manifest_set"
    digest: str = Field(primary_key=True)
    content: str


class TaskRow(SQLModel, table=True):
    """A task and its lease. `fence` grows at every claim and never falls."""

    __tablename__: ClassVar[str] = "task"
    __table_args__ = (
        Index("task_ready", "priority", "lane", "id", sqlite_where=text("state = 'pending'")),
        Index("task_scheduled", "run_at", sqlite_where=text(_PARKED)),
        Index("task_leased", "holder", sqlite_where=text("state = 'leased'")),
        Index("task_resting", "manifest_set", sqlite_where=text(_RESTING)),
        Index("task_dead", "id", sqlite_where=text("state IN ('failed', 'dead')")),
    )
    id: str = Field(primary_key=True)
    namespace: str
    subject_kind: str
    subject_name: str
    task_name: str | None
    input: str
    state: str
    priority: int
    run_at: int = Field(sa_type=Big)
    fence: int = Field(sa_type=Big)
    attempt: int
    crashes: int
    retry: str
    holder: str | None
    lease_host: str | None
    lease_until: int | None = Field(sa_type=Big)
    commit_sha: str | None
    manifest_set: str | None
    output: str | None
    error: str | None
    actor: str
    tokens_in: int = Field(sa_type=Big)
    tokens_out: int = Field(sa_type=Big)
    created_at: int = Field(sa_type=Big)
    started_at: int | None = Field(sa_type=Big)
    finished_at: int | None = Field(sa_type=Big)
    requirements: str
    lane: str | None = Field(sa_column=Column(Text, Computed(_LANE, persisted=False)))
    flow: str


class AttemptRow(SQLModel, table=True):
    """One claim of a task: who held it, and how that ended."""

    __tablename__: ClassVar[str] = "attempt"
    task_id: str = Field(primary_key=True)
    fence: int = Field(sa_column=Column(BigInteger, primary_key=True))
    worker: str
    started_at: int = Field(sa_type=Big)
    ended_at: int | None = Field(sa_type=Big)
    outcome: str | None
    error: str | None


class WorkerRow(SQLModel, table=True):
    """A worker process of a host's pool."""

    __tablename__: ClassVar[str] = "worker"
    id: str = Field(primary_key=True)
    host: str
    pid: int
    state: str
    slots: int
    started_at: int = Field(sa_type=Big)
    seen_at: int = Field(sa_type=Big)


class AuditEntryRow(SQLModel, table=True):
    """An audit entry: the bytes that were hashed, and copies of fields to search by."""

    __tablename__: ClassVar[str] = "audit_entry"
    __table_args__ = (
        Index("audit_entry_task", "task", "task_seq"),
        Index("audit_entry_applied", "seq", sqlite_where=text(_APPLIED)),
    )
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    raw: bytes = Field(sa_type=LargeBinary)
    leaf: bytes = Field(sa_type=LargeBinary)
    time: int = Field(sa_type=Big)
    type: str
    task: str | None
    agent: str | None
    tool: str | None
    decision: str | None
    task_seq: int | None = Field(sa_type=Big)


class DisclosureRow(SQLModel, table=True):
    """The value behind a salted commitment in an entry; deleting it erases the value."""

    __tablename__: ClassVar[str] = "disclosure"
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True))
    field: str = Field(primary_key=True)
    salt: bytes = Field(sa_type=LargeBinary)
    value: str
