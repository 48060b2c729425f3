"""The table of who vouched for each revision."""

from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel


class RevisionProvenanceRow(SQLModel, table=True):
    """How the newest commit of a revision was signed, and what its commits say of themselves.

    `serial` is that of the state the revision led to. The lists are JSON.
    """

    __tablename__: ClassVar[str] = "revision_provenance"
    __table_args__ = (Index("revision_provenance_commit", "source", "commit_sha"),)
    serial: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    source: str
    commit_sha: str
    signature: str
    signer: str
    signer_key: str
    reviewers: str
    trailers: str
    remarks: str
