"""The tables of schedules: how far each is decided, and what became of its moments."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

Big = BigInteger


class ScheduleRow(SQLModel, table=True):
    """How far a TaskSchedule is decided: every moment up to `through_at`."""

    __tablename__: ClassVar[str] = "schedule"
    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    timing: str
    suspended: bool
    generation: int = Field(sa_type=Big)
    through_at: int = Field(sa_type=Big)
    missed: int = Field(sa_type=Big)


class ScheduleFireRow(SQLModel, table=True):
    """A moment of a TaskSchedule: queued as a task, skipped or missed. Written once."""

    __tablename__: ClassVar[str] = "schedule_fire"
    namespace: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    fire_at: int = Field(sa_column=Column(BigInteger, primary_key=True))
    decision: str
    reason: str | None
    task_id: str | None
    decided_at: int = Field(sa_type=Big)
