"""What is declared at one time, by key, and one resource as it stood and as it will. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from reconciler.governance.finding import Finding, Severity
from runner.contract import kinds
from runner.contract.errors import Refused
from runner.contract.kinds import Key, Spec

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Declared:
    """A resource and where it is declared; `lines` maps JSON pointers to lines."""

    key: Key
    body: str
    path: str
    line: int
    lines: Mapping[str, int] = field(hash=False)

    @cached_property
    def spec(self) -> Spec | None:
        """What it declares; None when another version wrote what we cannot read."""
        try:
            return kinds.spec_of(self.key.kind, self.body)
        except Refused:
            return None

    def line_of(self, pointer: str) -> int:
        """The line of a JSON pointer, or of the nearest place around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, self.line)


class World:
    """Resources by key. What is unreadable or missing is None: the guard denies it."""

    def __init__(self, declared: Mapping[Key, Declared]) -> None:
        self.declared = declared
        self._of_kind: dict[str, list[Declared]] = {}

    def spec(self, key: Key, kind: type[S]) -> S | None:
        """What a resource declares."""
        found = self.declared.get(key)
        spec = None if found is None else found.spec
        return spec if isinstance(spec, kind) else None

    def of_kind(self, kind: type[S]) -> Iterator[tuple[Declared, S]]:
        """The readable resources of a kind, sorted by key."""
        name = kind.__name__
        if name not in self._of_kind:
            found = sorted(key for key in self.declared if key.kind == name)
            self._of_kind[name] = [self.declared[key] for key in found]
        for declared in self._of_kind[name]:
            if isinstance(declared.spec, kind):
                yield declared, declared.spec

    @cached_property
    def users(self) -> Mapping[Key, list[str]]:
        """The agents that name a tool or a role, by its key."""
        found: dict[Key, list[str]] = {}
        for declared, agent in self.of_kind(kinds.Agent):
            targets = [ref.target for ref in agent.references(declared.key.namespace)]
            for target in dict.fromkeys(targets):
                found.setdefault(target, []).append(declared.key.name)
        return found


@dataclass(frozen=True, slots=True)
class Sides:
    """One resource before and after a change; None where it is not declared."""

    key: Key
    before: Declared | None
    after: Declared | None

    def finding(
        self, severity: Severity, rule: str, sentence: str, pointer: str = "", *,
        loud: bool = False,
    ) -> Finding:  # fmt: skip
        """A finding about the resource, at a place in what it becomes, else in what it was."""
        declared = self.after or self.before
        assert declared is not None
        return Finding(
            severity=severity,
            resource=self.key,
            sentence=sentence,
            path=declared.path,
            line=declared.line_of(pointer),
            rule=rule,
            loud=loud,
        )

    def widens(
        self, rule: str, sentence: str, pointer: str = "", *, loud: bool = False
    ) -> Finding:
        """A finding that more is possible."""
        return self.finding(Severity.WIDENS, rule, sentence, pointer, loud=loud)

    def narrows(self, rule: str, sentence: str, pointer: str = "") -> Finding:
        """A finding that less is possible."""
        return self.finding(Severity.NARROWS, rule, sentence, pointer)

    def specs(self, kind: type[S]) -> tuple[S | None, S | None]:
        """What it declares before and after."""
        before = self.before.spec if self.before else None
        after = self.after.spec if self.after else None
        return (
            before if isinstance(before, kind) else None,
            after if isinstance(after, kind) else None,
        )
