"""The names that a manifest says its resource had before: `orloj.dev/moved-from`. Pure.

    metadata:
      name: first-line
      annotations:
        orloj.dev/moved-from: triage          # or namespace/triage; several: newest first

Whether they are right can only be said of a commit; here it is whether they are names.
"""

import re
from collections.abc import Iterator
from typing import Final

from reconciler.manifest.document import Path
from reconciler.manifest.wording import Finding
from reconciler.resource import Mention
from runner.contract.kinds import Key, Metadata
from runner.contract.kinds.base import NAME_PATTERN, named

ANNOTATION: Final = "orloj.dev/moved-from"
PATH: Final[Path] = ("metadata", "annotations", ANNOTATION)
NAMES_MAX: Final = 16

_SEPARATOR: Final = re.compile(r"[,\s]+")


def mentions(kind: str, metadata: Metadata, place: tuple[int, int]) -> tuple[Mention, ...]:
    """The keys named, newest first; none where the annotation is not there."""
    return tuple(
        Mention(named(kind, name, metadata.namespace), *place, required=False)
        for name in _names(metadata)
    )


def mistakes(kind: str, metadata: Metadata) -> Iterator[Finding]:
    """What is wrong with the annotation by itself."""
    if ANNOTATION not in metadata.annotations:
        return
    names = _names(metadata)
    if not 1 <= len(names) <= NAMES_MAX or not all(map(_is_name, names)):
        message = f"`{ANNOTATION}` is a name, or namespace/name; several with a space between"
        yield Finding(PATH, False, message)
    elif Key(metadata.namespace, kind, metadata.name) in {
        named(kind, name, metadata.namespace) for name in names
    }:
        yield Finding(
            PATH, False, f"`{ANNOTATION}` names the resource itself", "write its former name"
        )


def _names(metadata: Metadata) -> list[str]:
    text = metadata.annotations.get(ANNOTATION, "")
    return [name for name in _SEPARATOR.split(text) if name]


def _is_name(text: str) -> bool:
    return text.count("/") <= 1 and all(
        re.match(NAME_PATTERN, part) and part.isascii() for part in text.split("/")
    )
