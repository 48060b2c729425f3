"""A framework as data: its controls, and which evidence answers for each. Pure.

    file ──positions──> document ──pydantic──> Framework        problems with path:line:column

A mapping is part of what is reviewed: a change to one is a change of what we claim, so the
digest of its bytes stands in every result. Nothing in a file is run: a check is one of
`checks.CHECKS`, by its name.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from reconciler.evidence import checks, selection
from reconciler.manifest import positions, wording
from reconciler.problem import Problem
from runner.contract.kinds.base import Strict
from runner.contract.kinds.schema import shape_of

CONTROLS_MAX: Final = 200
_ID: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_CONTROL_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9 .()-]{0,62}$"

Responsibility = Literal["platform", "deployer", "shared"]
"""Who has to do it: Orloj, whoever runs it, or each a part (the note says which)."""


class Evidence(Strict):
    """One thing that is looked at for a control.

    `query` counts the entries of a selection, `assert` and `proof` run a named check: of the
    entries against each other, of the log itself. `empty` says what it means that nothing of
    the kind happened: it is never evidence.
    """

    kind: Literal["query", "assert", "proof"]
    name: str = Field(pattern=_ID)
    select: str | None = None
    expr: str | None = None
    days: int | None = Field(default=None, ge=1, le=3_660)
    seconds: int | None = Field(default=None, ge=1, le=86_400)
    empty: Literal["not-evidenced", "n-a"] = "not-evidenced"

    @field_validator("select")
    @classmethod
    def _selection(cls, text: str | None) -> str | None:
        if text is not None:
            selection.selection(text)
        return text

    @field_validator("expr")
    @classmethod
    def _check(cls, name: str | None) -> str | None:
        if name is not None and name not in checks.CHECKS:
            raise ValueError(f"no check of that name; {wording.one_of(name, checks.NAMES)}")
        return name

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed, other = ("select", "expr") if self.kind == "query" else ("expr", "select")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise ValueError(f"evidence of the kind {self.kind} has {needed} and no {other}")
        wanted = checks.CHECKS[self.expr].parameter if self.expr is not None else None
        for name in ("days", "seconds"):
            if (getattr(self, name) is not None) != (name == wanted):
                verb = "needs" if name == wanted else "takes no"
                raise ValueError(f"{self.expr or self.kind} {verb} {name}")
        return self

    @property
    def asked(self) -> checks.Asked:
        """What has to be watched to answer."""
        if self.expr is None:
            return checks.Asked("select", self.select or "")
        return checks.Asked("check", self.expr, self.days or self.seconds or 0)


class Control(Strict):
    """A control: what a reviewer asks, in our words, and what answers."""

    id: str = Field(pattern=_CONTROL_ID)
    question: str = Field(min_length=1, max_length=400)
    evidence: list[Evidence] = []
    frequency: Literal["continuous", "per-change", "per-call", "daily", "periodic", "once"]
    responsibility: Responsibility
    note: str = Field(default="", max_length=600)

    @model_validator(mode="after")
    def _answered(self) -> Self:
        if not self.evidence and self.responsibility != "deployer":
            raise ValueError("only a control of the deployer has no evidence of ours")
        if self.responsibility != "platform" and not self.note:
            raise ValueError("needs a note that says what the deployer has to do")
        if len({item.name for item in self.evidence}) != len(self.evidence):
            raise ValueError("names two pieces of evidence alike")
        return self


class Origin(Strict):
    """Which text the controls are of."""

    edition: str = Field(min_length=1)
    address: str = Field(pattern=r"^https://\S+$")


class FrameworkFile(Strict):
    """What stands in a file. `draft`: the text or our mapping of it is not final."""

    framework: str = Field(pattern=_ID)
    title: str = Field(min_length=1, max_length=120)
    version: int = Field(ge=1)
    status: Literal["reviewed", "draft"] = "reviewed"
    source: Origin
    controls: list[Control] = Field(min_length=1, max_length=CONTROLS_MAX)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: set[str] = set()
        for control in self.controls:
            if control.id in seen:
                raise ValueError(f"lists the control {control.id} twice")
            seen.add(control.id)
        return self


@dataclass(frozen=True)
class Framework:
    """A framework and the digest of the file it was read from."""

    content: FrameworkFile
    digest: str
    path: str

    @property
    def id(self) -> str:
        """The name that commands and files call it by."""
        return self.content.framework

    @cached_property
    def asked(self) -> frozenset[checks.Asked]:
        """Everything that has to be watched for it."""
        controls = self.content.controls
        return frozenset(item.asked for control in controls for item in control.evidence)


def read(text: bytes, path: str) -> tuple[Framework | None, tuple[Problem, ...]]:
    """The framework of a file, or every mistake in it; never raises for any content."""
    reading = positions.read(text)
    problems = [
        Problem(path, mistake.line, mistake.column, mistake.message, mistake.hint)
        for mistake in reading.mistakes
    ]
    content = None
    if not problems and len(reading.documents) != 1:
        message = f"one framework a file; this one holds {len(reading.documents)} documents"
        problems.append(Problem(path, 1, 1, message))
    elif not problems:
        content, problems = _valid(reading.documents[0], path)
    if content is None:
        return None, tuple(sorted(problems))
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    return Framework(content, digest, path), ()


def _valid(document: Any, path: str) -> tuple[FrameworkFile | None, list[Problem]]:
    try:
        return FrameworkFile.model_validate(document.value, strict=True), []
    except ValidationError as error:
        found = wording.findings(error, shape_of(FrameworkFile), "framework")
    problems = []
    for finding in found:
        place = document.key_at if finding.at_key else document.value_at
        # The file has no field around its fields: the first step of a path is ours.
        line, column = place(finding.path[1:])
        problems.append(Problem(path, line, column, finding.message, finding.hint))
    return None, problems
