"""AgentRole: grants under one name, for every agent that has the role."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from runner.contract.kinds.base import Permission, Spec, Text

_VERB = re.compile(r"[a-z][a-z_]{0,31}")


def _public(value: object) -> object:
    """The public dialect's free text is a permission like any other: `permission:TEXT`."""
    if not isinstance(value, str):
        return value
    verb, colon, _ = value.partition(":")
    return value if colon and _VERB.fullmatch(verb) else {"permission": value}


PublicPermission = Annotated[Permission, BeforeValidator(_public)]


class AgentRole(Spec):
    """Permissions that an agent has through the role, for any tool it may pick."""

    description: Text = ""
    permissions: list[PublicPermission] = Field(min_length=1)
