"""What a call needs: the tool's declaration, filled with the call's arguments. Pure.

An argument that names a resource is a stranger's text. What comes of it is compared letter
by letter, so it must be in the one form that its letters have: no character that cannot be
seen, no second spelling of another text, no step out of a path. Anything else is Unclear,
and unclear is a denial.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from runner.contract.kinds import Permission, Tool
from runner.contract.kinds.tool import fill_template, template_arguments

RESOURCE_MAX: Final = 512
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Unclear(Exception):
    """The arguments do not say what the call needs."""


def needed(tool: Tool, arguments: Mapping[str, Any]) -> tuple[Permission, ...]:
    """The permissions that this call needs; Unclear."""
    return tuple(
        Permission.of(template.verb, _resource(template.resource, arguments))
        for template in tool.requires
    )


def _resource(template: str, arguments: Mapping[str, Any]) -> str:
    if not template_arguments(template):
        return template
    resource = fill_template(template, lambda path: _text(arguments, path))
    if len(resource) > RESOURCE_MAX:
        raise Unclear(f"{template} becomes longer than {RESOURCE_MAX} characters")
    if not _plain(resource):
        raise Unclear(f"what {template} becomes is not written in its plain form")
    return resource


def _text(arguments: Mapping[str, Any], path: tuple[str, ...]) -> str:
    name = ".".join(path)
    value: Any = arguments
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            raise Unclear(f"the argument {name} is missing, and the permission depends on it")
        value = value[step]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unclear(f"the argument {name} is neither a text nor a whole number")
    text = str(value)
    if text != text.strip() or not text:
        raise Unclear(f"the argument {name} is empty, or begins or ends with a space")
    return text


def _plain(resource: str) -> bool:
    """Whether no other text looks like this one to whoever reads it further on."""
    return (
        unicodedata.is_normalized("NFKC", resource)
        and not any(unicodedata.category(character) in _UNSEEN for character in resource)
        and "\\" not in resource
        and not _steps_out(resource)
    )


def _steps_out(resource: str) -> bool:
    path = resource.partition("://")[2] or resource.removeprefix("/")
    *inner, last = path.split("/")
    return not {".", ".."}.isdisjoint([*inner, last]) or "" in inner
