"""The tables of a task's course: its steps, and the agents of a system it has visited."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Integer
from sqlmodel import Field, SQLModel

Big = BigInteger


class StepRow(SQLModel, table=True):
    """One model or tool call in a task's journal: intent first, then result."""

    __tablename__: ClassVar[str] = "step"
    task_id: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(Integer, primary_key=True))
    agent: str
    kind: str
    name: str
    request: str
    phase: str
    result: str | None
    fence: int = Field(sa_type=Big)
    tokens_in: int = Field(sa_type=Big)
    tokens_out: int = Field(sa_type=Big)
    started_at: int = Field(sa_type=Big)
    finished_at: int | None = Field(sa_type=Big)
    visit: int


class VisitRow(SQLModel, table=True):
    """One turn of one agent: what it was begun with, and how it ended.

    `sources` and `missing` are JSON lists of the numbers of other visits.
    """

    __tablename__: ClassVar[str] = "visit"
    task_id: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(Integer, primary_key=True))
    agent: str
    sources: str
    depth: int
    phase: str
    delegator: int | None
    missing: str
    state: str
    error: str | None
    attempt: int
    step: int | None
    fence: int = Field(sa_type=Big)
    started_at: int = Field(sa_type=Big)
    finished_at: int | None = Field(sa_type=Big)
