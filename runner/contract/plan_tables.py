"""The table of plans besides what they change: under which names a resource stood before."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

Big = BigInteger


class ResourceMoveRow(SQLModel, table=True):
    """A resource that went on under another name, at the serial that the apply made."""

    __tablename__: ClassVar[str] = "resource_move"
    namespace: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    serial: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    from_namespace: str
    from_name: str
    reason_code: str
    commit_sha: str | None
    moved_at: int = Field(sa_type=Big)
