"""DataSource: a database or a folder that tools reach under its name, and no further.

A permission names it: an agent with `read: analytics_db` reaches the source `analytics_db`,
and only to read. What may be touched inside is checked by the source's own means.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import Reference, SecretAuth, Spec


class DataSource(Spec):
    """Data under one name. `path` is relative to the runner's files folder.

    `tables` are those that may be touched, `writable` those of them that may be written;
    empty: all. `labels` say what data it holds; `private` counts in the plan.
    """

    type: Literal["sqlite", "postgresql", "files"]
    path: str | None = None
    url: str | None = None
    role: str | None = None
    tables: list[str] = []
    writable: list[str] = []
    labels: list[str] = []
    max_rows: int = Field(default=1_000, ge=1, le=100_000)
    auth: SecretAuth | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        field = "url" if self.type == "postgresql" else "path"
        if not getattr(self, field):
            raise ValueError(f"a data source of type {self.type} needs {field}")
        return self

    def references(self, namespace: str) -> list[Reference]:
        """The Secret that holds its password."""
        if self.auth is None:
            return []
        key, _ = self.auth.secret(namespace)
        return [Reference(key, ("spec", "auth", "secretRef"), required=False)]
