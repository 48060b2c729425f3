"""The tables of the audit log as a Merkle tree: its name, its checkpoints, its subtrees."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlmodel import Field, SQLModel

Big = BigInteger


class AuditLogRow(SQLModel, table=True):
    """What the log is called: one row, written with the first entry."""

    __tablename__: ClassVar[str] = "audit_log"
    id: int = Field(primary_key=True)
    name: str


class CheckpointRow(SQLModel, table=True):
    """A signed checkpoint: the note as it was signed, and when it was published."""

    __tablename__: ClassVar[str] = "checkpoint"
    size: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    note: str
    signed_at: int = Field(sa_type=Big)
    published_at: int | None = Field(sa_type=Big)


class SubtreeRow(SQLModel, table=True):
    """The root over 256 entries, from number * 256 + 1 on, so that proofs need not hash all."""

    __tablename__: ClassVar[str] = "audit_subtree"
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_type=LargeBinary)


class AuditKeyRow(SQLModel, table=True):
    """A key that signs checkpoints, and the note that hands over to it."""

    __tablename__: ClassVar[str] = "audit_key"
    number: int = Field(primary_key=True)
    vkey: str
    note: str
    signed_at: int = Field(sa_type=Big)
