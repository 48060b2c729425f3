"""AgentRole: grants under one name, for every agent that has the role."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from runner.contract.kinds.base import Permission, Spec, Text


def _public(value: object) -> object:
    """The public dialect's free text is a permission like any other: `permission:TEXT`."""
    if isinstance(value, str):
        return value if ":" in value else f"permission:{value}"
    return value


PublicPermission = Annotated[Permission, BeforeValidator(_public)]


class AgentRole(Spec):
    """Permissions that an agent has through the role, for any tool it may pick."""

    description: Text = ""
    permissions: list[PublicPermission] = Field(min_length=1)
