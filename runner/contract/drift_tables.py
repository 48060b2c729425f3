"""The tables of drift: what stands at odds now, and what the world was like at first sight."""

from typing import ClassVar

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

Big = BigInteger


class DriftRow(SQLModel, table=True):
    """Something that is not as it was applied, until it is mended. `found` is a digest."""

    __tablename__: ClassVar[str] = "drift"
    source: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    sentence: str
    found: str
    since: int = Field(sa_type=Big)


class ObservationRow(SQLModel, table=True):
    """One aspect of the world on one host: as first seen, and as it is now. Never a secret."""

    __tablename__: ClassVar[str] = "observation"
    host: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    aspect: str = Field(primary_key=True)
    value: str
    found: str
    first_seen: int = Field(sa_type=Big)
    changed_at: int | None = Field(sa_type=Big)
