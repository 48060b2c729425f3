"""The files of the frameworks: ours beside this module, and those of a folder.

One framework a file. What cannot be read is told with its place and leaves the others as they
are; a caller that evaluates asks for `problems` first, since a control that is left out in
silence would be a claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from reconciler.evidence.framework import Framework, read
from reconciler.problem import Problem
from runner.contract import errors

FILES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Loaded:
    """The frameworks that could be read, by id, and what is wrong with the others."""

    frameworks: tuple[Framework, ...]
    problems: tuple[Problem, ...]

    def named(self, name: str) -> Framework:
        """The framework of that id; NotFound lists those that are there."""
        for framework in self.frameworks:
            if framework.id == name:
                return framework
        known = ", ".join(framework.id for framework in self.frameworks)
        raise errors.NotFound(f"no framework {name!r}; there are: {known}")


def load(own: Path | None = None) -> Loaded:
    """Our frameworks, and those of a folder: one with the id of ours stands in its place."""
    frameworks: dict[str, Framework] = {}
    problems: list[Problem] = []
    ours = resources.files("reconciler") / "evidence" / "frameworks"
    for place, shown in ((ours, "frameworks"), *(((own, str(own)),) if own else ())):
        seen: dict[str, str] = {}
        for file in _files(place):
            path = f"{shown}/{file.name}"
            framework, found = read(file.read_bytes(), path)
            problems += found
            if framework is None:
                continue
            if framework.id in seen:
                message = f"{seen[framework.id]} is the framework {framework.id} already"
                problems.append(Problem(path, 1, 1, message))
                continue
            seen[framework.id] = path
            frameworks[framework.id] = framework
    return Loaded(tuple(frameworks[name] for name in sorted(frameworks)), tuple(problems))


def chosen(names: Sequence[str], own: Path | None = None) -> tuple[Framework, ...]:
    """The frameworks of these names, of all when none is named; Refused, NotFound.

    A mistake in any file refuses them all: an export would say less than it seems to.
    """
    loaded = load(own)
    if loaded.problems:
        more = f" and {count} more" if (count := len(loaded.problems) - 1) else ""
        raise errors.Refused(
            f"{loaded.problems[0]}{more}; `orloj audit controls --controls {own}` shows all"
        )
    found = {name: loaded.named(name) for name in names}
    return tuple(found[name] for name in sorted(found)) if names else loaded.frameworks


def _files(place: Traversable) -> list[Traversable]:
    try:
        found = [file for file in place.iterdir() if file.name.endswith((".yaml", ".yml"))]
    except OSError as error:
        raise errors.Refused(f"cannot read the folder {place}: {error.strerror}") from error
    if not found:
        raise errors.Refused(f"there is no *.yaml file of a framework in {place}")
    if len(found) > FILES_MAX:
        raise errors.Refused(f"{place} has more than {FILES_MAX} files")
    return sorted(found, key=lambda file: file.name)
