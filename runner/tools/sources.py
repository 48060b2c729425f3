"""Which data source a call may touch, and how: by the permissions that were allowed. Pure.

A call's arguments are what a model wrote; nothing here reads them. A permission that the
guard resolved and allowed names the source, and its verb is the access.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import DataSource, Permission

Access = Literal["read", "write", "admin"]
ACCESSES: Final = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Source:
    """A data source of the task's manifest set, with the password that its auth names."""

    spec: DataSource
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reach:
    """One source, and what may be done to it."""

    name: str
    source: DataSource
    access: Access
    password: str | None = field(default=None, repr=False)


def reach(
    permissions: tuple[Permission, ...], sources: Mapping[str, Source], *types: str
) -> Reach:
    """The one source of these types that the permissions name; ToolFailed for all else."""
    found = named(permissions, sources)
    if found is None:
        allowed = ", ".join(map(str, permissions)) or "nothing"
        raise ToolFailed(
            f"the call is allowed {allowed}, which names no data source; the tool's requires "
            "names one, as in `read: analytics_db`",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    if found.source.type not in types:
        raise ToolFailed(
            f"the data source {found.name} is of type {found.source.type}, and this tool "
            f"works on {' and '.join(types)}",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    return found


def named(permissions: tuple[Permission, ...], sources: Mapping[str, Source]) -> Reach | None:
    """The source that the permissions name, None without one; ToolFailed when unclear."""
    naming = [permission for permission in permissions if permission.resource in sources]
    if not naming:
        return None
    if len(naming) > 1:
        listed = ", ".join(map(str, naming))
        raise ToolFailed(
            f"a call works on one data source in one way, and this has {listed}",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    verb, name = naming[0].verb, naming[0].resource
    if verb not in ACCESSES:
        raise ToolFailed(
            f"{verb}: {name} is no access to a data source; there are {', '.join(ACCESSES)}",
            code=ToolCode.RUNTIME_POLICY_INVALID,
        )
    source = sources[name]
    return Reach(name, source.spec, cast(Access, verb), source.password)
