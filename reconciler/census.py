"""How many resources there are of each kind, and how many of them Git does not own."""

from sqlalchemy import Connection, case, func
from sqlmodel import Session, col, select

from reconciler.resource import git_owner
from runner.contract.tables import ResourceRow


def by_kind(connection: Connection) -> dict[str, tuple[int, int]]:
    """For each kind that has any: how many a repository owns, and how many a person does."""
    of_git = case((col(ResourceRow.owner).startswith(git_owner("")), 1), else_=0)
    query = (
        select(ResourceRow.kind, func.count(), func.sum(of_git))
        .group_by(ResourceRow.kind)
        .order_by(ResourceRow.kind)
    )
    with Session(connection) as session:
        return {kind: (git, total - git) for kind, total, git in session.exec(query)}
