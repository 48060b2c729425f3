"""The tables of the limits: reservations, who waits for room, and their clock."""

from typing import ClassVar

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

Big = BigInteger


class ReservationRow(SQLModel, table=True):
    """What a call sets aside under one limit, and, once it is settled, what it used."""

    __tablename__: ClassVar[str] = "reservation"
    __table_args__ = (
        Index("reservation_scope", "dimension", "scope", "settled_at", "amount"),
        Index("reservation_open", "task_id", sqlite_where=text("settled_at IS NULL")),
    )
    number: int | None = Field(default=None, primary_key=True)
    task_id: str
    fence: int = Field(sa_type=Big)
    step: int
    agent: str
    dimension: str
    scope: str
    amount: int = Field(sa_type=Big)
    bound: int = Field(sa_type=Big)
    reserved_at: int = Field(sa_type=Big)
    settled_at: int | None = Field(sa_type=Big)


class LimitWaitRow(SQLModel, table=True):
    """A task that waits for room under a limit, since when, and when it is due to ask."""

    __tablename__: ClassVar[str] = "limit_wait"
    __table_args__ = (Index("limit_wait_scope", "dimension", "scope", "since_at", "task_id"),)
    task_id: str = Field(primary_key=True)
    dimension: str
    scope: str
    amount: int = Field(sa_type=Big)
    bound: int = Field(sa_type=Big)
    since_at: int = Field(sa_type=Big)
    due_at: int = Field(sa_type=Big)


class LimitClockRow(SQLModel, table=True):
    """The newest moment of any reservation: one row, which never goes back."""

    __tablename__: ClassVar[str] = "limit_clock"
    id: int = Field(primary_key=True)
    newest_at: int = Field(sa_type=Big)
