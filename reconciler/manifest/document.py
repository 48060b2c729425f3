"""A YAML document as it was read: its value, and where each part of it stands. Pure.

A path is spelled as the manifest spells it. `Document.lines` and `Document.written` lead
from there to the canonical spelling of fields and back.
"""

from dataclasses import dataclass, field
from typing import Any

from runner.contract.kinds.schema import Shape

Path = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with the text, where, and in which document of the file (from 0)."""

    line: int
    column: int
    message: str
    hint: str | None
    document: int


@dataclass(slots=True)
class Document:
    """One document: its value, and the marks of each key and list item.

    `complete` is false where reading ended inside it. `flawed` holds the paths whose value
    is not what the text says, because a mistake was reported there.
    """

    value: Any = None
    line: int = 1
    column: int = 1
    complete: bool = False
    marks: dict[Path, tuple[Any, Any]] = field(default_factory=dict)
    flawed: set[Path] = field(default_factory=set)

    def key_at(self, path: Path) -> Place:
        """Where a key or item starts; else the nearest one around it."""
        return self._place(path, 0)

    def value_at(self, path: Path) -> Place:
        """Where a value starts; where there is none, the nearest key around it."""
        return self._place(path, 1 if path in self.marks else 0)

    def _place(self, path: Path, which: int) -> Place:
        while path and path not in self.marks:
            path = path[:-1]
        if not path:
            return self.line, self.column
        mark = self.marks[path][which]
        return mark.line + 1, mark.column + 1

    def lines(self, spec: Shape) -> dict[str, int]:
        """The line of every field of the spec and of every list item in it.

        By JSON pointer (RFC 6901) in canonical spelling: `/spec/tools/1/permissions/0`.
        """
        found: dict[str, int] = {}
        known: dict[Path, tuple[str, Shape | None]] = {("spec",): ("/spec", spec)}
        for path, marks in self.marks.items():
            around = known.get(path[:-1])
            if around is None:
                continue
            pointer, shape = around
            step: str | int = path[-1]
            if shape is not None:
                step, shape = shape.inside(step)
            if isinstance(step, int) or len(path) == 2:
                pointer = f"{pointer}/{step}"
                found[pointer] = marks[0].line + 1
            else:
                pointer = f"{pointer}/{step.replace('~', '~0').replace('/', '~1')}"
            known[path] = (pointer, shape)
        return found

    def written(self, path: Path, spec: Shape) -> Path:
        """The path of something in the spec, from its canonical spelling, as written here."""
        found: Path = path[:1]
        shape: Shape | None = spec
        for step in path[1:]:
            fields = shape.fields if shape is not None else {}
            spelled = [name for name, (canonical, _) in fields.items() if canonical == step]
            near = [name for name in spelled if found + (name,) in self.marks]
            found += (near[0] if near else step,)
            shape = shape.inside(step)[1] if shape is not None else None
        return found


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file holds."""

    documents: list[Document]
    mistakes: list[Mistake]
    lines: list[str]
