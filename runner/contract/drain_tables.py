"""The table of what is drained: resources whose change waits for tasks in flight."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel


class DrainRow(SQLModel, table=True):
    """A resource whose change waits, since when, and how long at most."""

    __tablename__: ClassVar[str] = "drain"
    source: str = Field(primary_key=True)
    namespace: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    since_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    until_at: int = Field(sa_column=Column(BigInteger, nullable=False))
