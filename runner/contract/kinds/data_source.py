"""DataSource: a database or a folder that tools reach under its name, and no further.

A permission names it: an agent with `read: analytics_db` reaches the source `analytics_db`,
and only to read. What may be touched inside is checked by the source's own means.
"""

import re
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from runner.contract.kinds.base import Reference, SecretAuth, Spec

DEPTH_MAX: Final = 16
NAME_MAX: Final = 128
"""Of a table, a function or a role; longer than any that a database takes."""

_URL: Final = re.compile(
    r"postgres(?:ql)?://[^\s:@/?#]+@[^\s@/?#]+/[^\s/?#]+(?:\?(?P<options>[^\s#]*))?"
)
_PASSWORD: Final = re.compile(r"://[^@]*:[^@]*@|[?&]password=", re.IGNORECASE)
OPTIONS: Final = frozenset(
    {"channel_binding", "gssencmode", "sslmode", "sslrootcert", "target_session_attrs"}
)
# What a type has no use for would be taken for a fence that stands.
_FIELDS: Final = {
    "sqlite": {"path", "tables", "writable", "max_rows"},
    "postgresql": {"url", "role", "tables", "writable", "functions", "max_rows", "auth"},
    "files": {"path"},
}


class DataSource(Spec):
    """Data under one name. `path` is relative to the runner's files folder.

    `tables` are those that may be touched, `writable` those of them that may be written;
    empty: all. `functions` are the database's own that may be called, as `schema.name`.
    `labels` say what data it holds; `private` counts in the plan.
    """

    type: Literal["sqlite", "postgresql", "files"]
    path: str | None = None
    url: str | None = None
    role: str | None = None
    tables: list[str] = []
    writable: list[str] = []
    functions: list[str] = []
    labels: list[str] = []
    max_rows: int = Field(default=1_000, ge=1, le=100_000)
    auth: SecretAuth | None = None

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str | None) -> str | None:
        if path is None:
            return None
        steps = path.split("/")
        if path.startswith("/") or ".." in steps:
            raise ValueError("leaves the files folder; write it relative, without `..`")
        if any(step in {"", "."} for step in steps) and path != ".":
            raise ValueError("has an empty step; write it as `folder/file`")
        if any(ord(character) < 32 for character in path):
            raise ValueError("holds a control character")
        if len(steps) > DEPTH_MAX:
            raise ValueError(f"is more than {DEPTH_MAX} folders deep")
        return path

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if _PASSWORD.search(url):
            raise ValueError(
                "a url holds no password; keep it in a Secret and name that in auth.secretRef"
            )
        address = _URL.fullmatch(url)
        if address is None:
            raise ValueError("a url looks like postgresql://user@host:5432/database")
        for option in filter(None, (address["options"] or "").split("&")):
            name = option.partition("=")[0]
            if name not in OPTIONS:
                allowed = ", ".join(sorted(OPTIONS))
                raise ValueError(f"a url takes no option {name}; it may set {allowed}")
        return url

    @field_validator("role")
    @classmethod
    def _plain_role(cls, role: str | None) -> str | None:
        # `none` means the login itself, and the server's own roles reach beyond tables.
        if role is not None and (role == "none" or role.startswith("pg_")):
            raise ValueError(f"{role} is no role of its own; name one that holds few rights")
        return role if role is None else _named(role)

    @field_validator("tables", "writable")
    @classmethod
    def _tables(cls, tables: list[str]) -> list[str]:
        for table in tables:
            if "*" in _named(table):
                raise ValueError("name each table, or leave the list out for all of them")
        return tables

    @field_validator("functions")
    @classmethod
    def _functions(cls, functions: list[str]) -> list[str]:
        for function in functions:
            schema, dot, name = _named(function).partition(".")
            if not (schema and dot and name) or schema == "pg_catalog":
                raise ValueError(
                    f"{function} is no function of the database's own, written schema.name"
                )
        return functions

    @model_validator(mode="after")
    def _complete(self) -> Self:
        field = "url" if self.type == "postgresql" else "path"
        if not getattr(self, field):
            raise ValueError(f"a data source of type {self.type} needs {field}")
        known = _FIELDS[self.type] | {"type", "labels"}
        for name in sorted(self.model_fields_set - known):
            if getattr(self, name):
                raise ValueError(f"a data source of type {self.type} takes no {name}")
        if self.type == "sqlite" and self.path == ".":
            raise ValueError("path names the database's file, not a folder")
        if self.tables and (beyond := set(self.writable) - set(self.tables)):
            raise ValueError(f"writable names {min(beyond)}, which is not one of tables")
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secret that holds its password."""
        if self.auth is None:
            return []
        key, _ = self.auth.secret(namespace)
        return [Reference(key, ("spec", "auth", "secretRef"), required=False)]


def _named(name: str) -> str:
    if not name or len(name) > NAME_MAX or any(ord(character) < 32 for character in name):
        raise ValueError(f"a name has 1 to {NAME_MAX} characters, none of them a control one")
    return name
