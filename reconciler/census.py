"""How many resources there are of each kind, and how many of them Git does not own."""

from sqlalchemy import Connection

from reconciler.resource import git_owner

_BY_KIND = (
    "SELECT kind, sum(CASE WHEN owner LIKE ? THEN 1 ELSE 0 END), count(*) FROM resource"
    " GROUP BY kind ORDER BY kind"
)


def by_kind(connection: Connection) -> dict[str, tuple[int, int]]:
    """For each kind that has any: how many a repository owns, and how many a person does."""
    found = connection.exec_driver_sql(_BY_KIND, (git_owner("") + "%",))
    return {kind: (git, total - git) for kind, git, total in found}
