"""Manifests that a person applies from files, outside the repository.

They belong to that person, Git never deletes them, and a manifest of the repository with
the same key takes them over. What the repository declares cannot be applied by hand.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from reconciler import check, consent, impact_rows, manifest, plan, recorded, surroundings
from reconciler.change import Plan, Target
from reconciler.gate import protection
from reconciler.git.source import BLOB_BYTES_MAX
from reconciler.plan import PlanRequest
from reconciler.problem import Problem, has_errors
from reconciler.resource import Resource, person_owner
from runner.contract import clock
from runner.contract.database import Database
from runner.contract.kinds import Key
from runner.contract.seal import Sealer

FILES_MAX: Final = 10_000
_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What applying the files would do: a plan, or the problems that forbid one."""

    plan: Plan | None
    problems: tuple[Problem, ...]


def manifest_files(path: Path) -> Iterator[Path]:
    """The file itself, or each manifest of a folder, without hidden ones and links. OSError."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            hidden = name.startswith(".") or not name.endswith(_SUFFIXES)
            if not hidden and file.is_file() and not file.is_symlink():
                yield file


def _raise(error: OSError) -> None:
    # A folder passed over in silence would be taken for one without manifests.
    raise error


def review(
    database: Database, sealer: Sealer, person: str, texts: Mapping[str, bytes], now_us: int
) -> Reviewed:
    """The plan that makes what is recorded as the files say; nothing is ever deleted by it.

    `texts` holds each file's content by the name it is to be recorded under; `now_us` says
    whether an accepted risk is still accepted.
    """
    resources, problems, torn = _parsed(texts, sealer)
    declared = {resource.key: resource for resource in resources}
    mentioned = {mention.target for resource in resources for mention in resource.mentions}
    with database.read() as connection:
        standing = recorded.resources_with(connection, mentioned)
        problems += check.check(
            resources,
            standing.__contains__,
            (),
            cache(lambda kind, namespace: recorded.names(connection, kind, namespace)),
            torn=torn,
        )
        problems += consent.missing(resources, standing)
        serial = recorded.serial(connection)
        have = recorded.resources_with(connection, declared)
        if has_errors(problems):
            return Reviewed(None, tuple(problems))
        request = PlanRequest(
            target=Target(owner=person_owner(person), serial=serial),
            desired=declared,
            recorded=have,
            parsed=len(texts),
        )
        planned = plan.plan(request)
        around = surroundings.look(connection, declared, planned.changes)
        touched = impact_rows.look(connection, planned.changes, now_us)
    planned, risks = around.judge(planned, clock.day(now_us))
    problems += risks
    if has_errors(risks):
        return Reviewed(None, tuple(problems))
    blocked = (*planned.blocked, *protection.by_hand(planned.changes, planned.target.owner))
    planned = replace(planned, warnings=tuple(problems), blocked=blocked, impact=touched)
    return Reviewed(planned, tuple(problems))


def _parsed(
    texts: Mapping[str, bytes], sealer: Sealer
) -> tuple[list[Resource], list[Problem], list[Key]]:
    """What the files declare, what is wrong in them, and the keys of what has mistakes."""
    resources: list[Resource] = []
    problems: list[Problem] = []
    torn: list[Key] = []
    for path, text in texts.items():
        if len(text) > BLOB_BYTES_MAX:
            problems.append(
                Problem(path, 1, 1, f"the file is larger than {BLOB_BYTES_MAX // 1024} KiB")
            )
            continue
        found = manifest.parse(text, path, sealer.seal)
        resources += found.resources
        problems += found.problems
        torn += found.torn
    return resources, problems, torn


def texts_of(files: Iterable[tuple[str, Path]]) -> dict[str, bytes]:
    """The content of files by name, each read only as far as a manifest may go. OSError."""
    found: dict[str, bytes] = {}
    for name, file in files:
        with file.open("rb") as stream:
            found[name] = stream.read(BLOB_BYTES_MAX + 1)
    return found
