"""The tables of what the log keeps of people beside it, and of what was erased."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

Big = BigInteger


class PersonRow(SQLModel, table=True):
    """Who an entry means by a pseudonym; deleting the row erases the name."""

    __tablename__: ClassVar[str] = "person"
    __table_args__ = (Index("person_name", "name", unique=True),)
    pseudonym: str = Field(primary_key=True)
    name: str
    salt: bytes = Field(sa_type=LargeBinary)
    since: int = Field(sa_type=Big)


class ErasureRow(SQLModel, table=True):
    """What was erased: the entry that tells of it, and the list whose digest it holds."""

    __tablename__: ClassVar[str] = "erasure"
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    listed: str
    at: int = Field(sa_type=Big)


class LegalHoldRow(SQLModel, table=True):
    """A legal hold that stands: what it covers is not erased."""

    __tablename__: ClassVar[str] = "legal_hold"
    id: str = Field(primary_key=True)
    scope: str
    subject: str
    person: str
    reason: str
    set_at: int = Field(sa_type=Big)


class ArchiveRow(SQLModel, table=True):
    """A range of entries that stands in an archive, and whether it left the database."""

    __tablename__: ClassVar[str] = "audit_archive"
    first: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    last: int = Field(sa_type=Big)
    digest: str
    file: str
    dropped_at: int | None = Field(sa_type=Big)
