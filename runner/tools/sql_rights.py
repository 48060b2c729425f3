"""What a PostgreSQL server says of a login, of functions and of locks, judged. Pure.

The server is asked, not believed to be set up well: a login that could step out of its
database is refused, and what a statement really touched is read off the locks that the
transaction holds, through views, triggers, functions and foreign keys alike.

The statements here lean on nothing in the search path, and are run before the transaction of
the agent's statement, where their own locks would be taken for its.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runner.contract.errors import ToolFailed
from runner.contract.kinds import DataSource
from runner.tools.sources import Access
from runner.tools.sql_functions import COMPUTING

DANGEROUS_ROLES: Final = [
    "pg_checkpoint",
    "pg_create_subscription",
    "pg_execute_server_program",
    "pg_maintain",
    "pg_monitor",
    "pg_read_all_stats",
    "pg_read_server_files",
    "pg_signal_autovacuum_worker",
    "pg_signal_backend",
    "pg_stat_scan_tables",
    "pg_write_server_files",
]

STRONG_ROLE: Final = """
SELECT r.rolname::text FROM pg_catalog.pg_roles r
WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
  AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolname = ANY($1::text[]))
ORDER BY r.rolname LIMIT 1
"""
"""The first role that is more than a login of a database should be, if there is one."""

# Only an extension that the server calls trusted may bring functions in machine code along.
_UNTRUSTED: Final = """
NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  JOIN pg_catalog.pg_available_extension_versions v
    ON v.name = e.extname AND v.version = e.extversion AND v.trusted
  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
)
"""

CALLED: Final = f"""
SELECT n.nspname::text || '.' || p.proname::text,
       n.nspname = 'pg_catalog' OR NOT {_UNTRUSTED}
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname::text = ANY($1::text[])
  AND (n.nspname = 'pg_catalog' OR pg_catalog.has_schema_privilege(n.oid, 'USAGE'))
"""  # noqa: S608 - put together from constants.
"""The functions of these names, and whether they come with the server."""

SILENT: Final = f"""
SELECT n.nspname::text || '.' || p.proname::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND (p.prosecdef OR NOT l.lanpltrusted)
  AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND (
    EXISTS (SELECT 1 FROM pg_catalog.pg_operator o WHERE o.oprcode = p.oid)
    OR EXISTS (SELECT 1 FROM pg_catalog.pg_cast c WHERE c.castfunc = p.oid)
    OR (p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1 AND EXISTS (
      SELECT 1 FROM pg_catalog.pg_type t
      WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'd', 'p')
        AND t.typname NOT IN ('internal', 'cstring', 'trigger')))
  )
  AND {_UNTRUSTED}
"""  # noqa: S608 - put together from constants.
"""Functions beyond the login's rights that a statement calls without a `(`."""

TOUCHABLE: Final = """
WITH RECURSIVE part (name, oid) AS (
  SELECT n.nspname::text || '.' || c.relname::text, c.oid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname::text || '.' || c.relname::text = ANY($1::text[])
  UNION
  SELECT part.name, beside.oid FROM part, LATERAL (
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = part.oid
    UNION ALL
    SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = part.oid
    UNION ALL
    SELECT c.reltoastrelid FROM pg_catalog.pg_class c
    WHERE c.oid = part.oid AND c.reltoastrelid <> 0
    UNION ALL
    SELECT d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid
    WHERE d.refobjid = part.oid AND d.deptype IN ('a', 'i') AND s.relkind = 'S'
      AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  ) AS beside (oid)
)
SELECT name, oid::bigint FROM part
"""
"""The tables of these names, with what stores them: partitions, indexes, sequences."""

FOREIGN: Final = "SELECT oid::bigint FROM pg_catalog.pg_class WHERE relkind = 'f'"
"""Tables that stand in another database."""

LOCKS: Final = """
SELECT l.relation::bigint, l.mode, l.database = 0
FROM pg_catalog.pg_lock_status() l
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
"""
"""What this transaction has touched: a function's rows, so that asking locks no table."""

_READS: Final = frozenset({"AccessShareLock", "RowShareLock"})
_FIRST_OF_USERS: Final = 16_384
_LARGE_OBJECTS: Final = frozenset({2613, 2995})

Lock = tuple[int, str, bool]


@dataclass(frozen=True, slots=True)
class Ground:
    """The relations that a source's lists stand for. None: all."""

    readable: frozenset[int] | None
    writable: frozenset[int] | None
    foreign: frozenset[int]


def qualified(tables: Iterable[str]) -> list[str]:
    """Names with their schema, which is `public` where none is written."""
    return [table if "." in table else f"public.{table}" for table in tables]


def ground(source: DataSource, parts: list[tuple[str, int]], foreign: Iterable[int]) -> Ground:
    """What a source's lists stand for, by the rows of `TOUCHABLE` and `FOREIGN`."""
    writable = set(qualified(source.writable or source.tables))
    return Ground(
        frozenset(oid for _, oid in parts) if source.tables else None,
        frozenset(oid for name, oid in parts if name in writable) if writable else None,
        frozenset(foreign),
    )


def joined(one: Ground, other: Ground) -> Ground:
    """What either of them lets touch."""
    return Ground(
        None if one.readable is None else one.readable | (other.readable or frozenset()),
        None if one.writable is None else one.writable | (other.writable or frozenset()),
        one.foreign | other.foreign,
    )


def judge_role(source: str, role: str | None) -> None:
    """ToolFailed when the login is more than a login of one database should be."""
    if role is not None:
        raise ToolFailed(
            f"the login of {source} has the rights of the role {role}, which reach beyond "
            "its database; give the source a login of its own with the least rights"
        )


def judge_calls(source: DataSource, rows: Iterable[tuple[str, bool]]) -> None:
    """ToolFailed when a name that stands before a `(` is a function that may not be called."""
    for function, ships in rows:
        plain = ships and function.partition(".")[2] in COMPUTING
        if not plain and function not in source.functions:
            raise ToolFailed(f"the function {function} may not be called")


def judge_silent(source: DataSource, name: str, functions: Iterable[str]) -> None:
    """ToolFailed when a function that asks nobody could be called without being seen."""
    hidden = sorted(set(functions) - set(source.functions))
    if hidden:
        raise ToolFailed(
            f"the login of {name} may execute {hidden[0]}, which has rights of its own; revoke "
            "that, or name it in the data source's functions"
        )


def judge_locks(locks: Iterable[Lock], ground: Ground, access: Access) -> int | None:
    """The first relation that was touched and may not be; None when there is none."""
    for relation, mode, shared in locks:
        writes = mode not in _READS
        listed = ground.writable if writes else ground.readable
        if writes and access == "read":
            return relation
        if mode not in _READS | {"RowExclusiveLock"} and access != "admin":
            return relation
        if shared or relation in _LARGE_OBJECTS:
            return relation
        if listed is not None and relation not in listed:
            return relation
        if listed is None and relation in ground.foreign:
            return relation
        if listed is None and writes and relation < _FIRST_OF_USERS:
            return relation
    return None
