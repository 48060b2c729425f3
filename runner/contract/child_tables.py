"""The table of child tasks: who queued which, at which step, and below what."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel


class TaskChildRow(SQLModel, table=True):
    """A task that another one's step queued. The step has one child, whoever asks again."""

    __tablename__: ClassVar[str] = "task_child"
    __table_args__ = (
        Index("task_child_task", "task_id", unique=True),
        Index("task_child_root", "root_id"),
    )
    parent_id: str = Field(primary_key=True)
    step: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    task_id: str
    root_id: str
    depth: int
    labels: str
    created_at: int = Field(sa_type=BigInteger)
