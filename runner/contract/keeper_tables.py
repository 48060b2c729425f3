"""The tables of the keeper: what stands in its way, and what it published where."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel


class AuditTroubleRow(SQLModel, table=True):
    """Why the log is not signed, or not published; `part` says which. Gone when it is over."""

    __tablename__: ClassVar[str] = "audit_trouble"
    part: str = Field(primary_key=True)
    reason: str
    message: str
    since_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class AuditPublicationRow(SQLModel, table=True):
    """The largest checkpoint that a remote took, and when it last took one."""

    __tablename__: ClassVar[str] = "audit_publication"
    remote: str = Field(primary_key=True)
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    published_at: int = Field(sa_column=Column(BigInteger, nullable=False))
