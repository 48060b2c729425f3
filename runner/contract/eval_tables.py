"""The tables of evaluations: each run, and the answer to each of its questions."""

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Column, Index, Integer, text
from sqlmodel import Field, SQLModel

Big = BigInteger


class EvalRunRow(SQLModel, table=True):
    """One run of an EvalRun, with the manifests it was begun under, so that it can be scored
    again when they are gone.
    """

    __tablename__: ClassVar[str] = "eval_run"
    __table_args__ = (
        Index("eval_run_named", "namespace", "name", "id"),
        Index(
            "eval_run_open",
            "id",
            sqlite_where=text("state IN ('pending', 'running', 'review') OR closing"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    namespace: str
    name: str
    commit_sha: str
    actor: str
    spec: str
    dataset: str
    state: str
    message: str
    closing: bool
    created_at: int = Field(sa_type=Big)
    finished_at: int | None = Field(sa_type=Big)


class EvalResultRow(SQLModel, table=True):
    """The answer to one sample, once: its tasks, what came of it, and the score in
    thousandths.
    """

    __tablename__: ClassVar[str] = "eval_result"
    run_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    sample: str = Field(primary_key=True)
    repetition: int = Field(sa_column=Column(Integer, primary_key=True))
    state: str
    manifest_set: str
    judge_set: str | None
    task_id: str | None
    judge_task: str | None
    passed: bool | None
    score: int | None
    reason: str
    scorer: str
    tokens: int = Field(sa_type=Big)
    judge_tokens: int = Field(sa_type=Big)
    duration_us: int | None = Field(sa_type=Big)


ROWS: Final = (EvalRunRow, EvalResultRow)
