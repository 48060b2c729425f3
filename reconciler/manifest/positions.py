"""Read YAML text into plain values, with the line and column of each. Pure.

The only importer of ruamel. It reads libyaml's stream of events, never `load()`: events do
not recurse, so no nesting can crash the process, and the guard sees each one before an
object is built from it. Values are those of YAML 1.2's core schema (`no`, `1:30` and dates
are text, see `scalar`), and a key is always text, as in JSON.

    text ──guard: bytes, characters──> events ──guard: depth, count──> documents, mistakes

A flaw that leaves the structure readable (a duplicate key, a tag, an alias) is noted and
reading goes on, so that one look finds all of them; any other ends the file there.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.manifest import scalar, syntax
from reconciler.manifest.document import Document, Mistake, Path, Reading

try:
    from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # No C extension for this platform: the pure reader, 20 times slower.
    CParser = None

BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 64
NODES_MAX: Final = 20_000
DOCUMENTS_MAX: Final = 256
MISTAKES_MAX: Final = 50

# Line separators other than LF and CR are here too: editors and libyaml count them
# differently, so a problem would point at the wrong line.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def fast_events(text: str) -> Iterator[Any]:
    """Events of the C reader."""
    return iter(CParser(text).get_event, None)


def pure_events(text: str) -> Iterator[Any]:
    """Events of the reader written in Python."""
    return iter(YAML(typ="safe", pure=True).parse(text))


EVENTS: Final[Callable[[str], Iterator[Any]]] = pure_events if CParser is None else fast_events


def read(content: bytes, events: Callable[[str], Iterable[Any]] = EVENTS) -> Reading:
    """The documents of a file, and every mistake in it. Never raises for any content."""
    if len(content) > BYTES_MAX:
        message = f"larger than {BYTES_MAX // 1024} KiB, the most a manifest file may have"
        return Reading([], [Mistake(1, 1, message, "split it into several files", 0)], [])
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        return _refused(content[: error.start].decode(), "not UTF-8 text", None)
    if found := _FORBIDDEN.search(text):
        code = ord(found.group())
        hint = f'write it as "\\u{code:04x}" in double quotes'
        return _refused(text[: found.start()], f"control character U+{code:04X}", hint)
    reader = _Reader(text)
    reader.read(events)
    return Reading(reader.documents, reader.mistakes, reader.lines)


def _refused(before: str, message: str, hint: str | None) -> Reading:
    lines = before.split("\n")
    mistake = Mistake(len(lines), len(lines[-1]) + 1, message, hint, 0)
    return Reading([], [mistake], [])


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, mark: Any, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.mark, self.message, self.hint = mark, message, hint


class _Reader:
    """Builds the documents of one text from its events, on a stack of its own."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.documents: list[Document] = []
        self.mistakes: list[Mistake] = []
        self._nodes = 0
        # The innermost open mapping or list, its path, and the key that waits for its
        # value; the same of those around it are on the stack.
        self._container: dict[str, Any] | list[Any] | None = None
        self._path: Path = ()
        self._key: str | None = None
        self._key_path: Path = ()
        self._key_mark: Any = None
        self._stack: list[tuple[Any, Path, str | None, Path, Any]] = []

    @property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()

    def read(self, events: Callable[[str], Iterable[Any]]) -> None:
        """Read to the end, or to what cannot be read."""
        try:
            for event in events(self.text):
                self._take(event)
        except _Stop as stop:
            self._note(stop.mark, stop.message, stop.hint)
        except MarkedYAMLError as error:
            self._syntax(error)
        except (YAMLError, ValueError):
            self._note(None, "this cannot be read as YAML", None)

    def _take(self, event: Any) -> None:
        kind = type(event)
        if kind is ScalarEvent:
            self._scalar(event)
        elif kind is MappingStartEvent:
            self._open(event, {})
        elif kind is SequenceStartEvent:
            self._open(event, [])
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._close()
        else:
            self._other(event)

    def _other(self, event: Any) -> None:
        kind = type(event)
        if kind is DocumentStartEvent:
            self._start(event)
        elif kind is DocumentEndEvent:
            self.documents[-1].complete = True
        elif kind is AliasEvent:
            if self._waits_for_key():
                raise _Stop(event.start_mark, "aliases are not used here; write the key out")
            path = self._place(None, event.start_mark)
            self._flaw(event.start_mark, path, "aliases are not used here", "write it out")

    def _start(self, event: Any) -> None:
        if len(self.documents) >= DOCUMENTS_MAX:
            raise _Stop(event.start_mark, f"more than {DOCUMENTS_MAX} documents in one file")
        self.documents.append(Document(line=event.start_mark.line + 1))
        if event.version not in (None, (1, 2)) or event.tags:
            self._note(event.start_mark, "directives are not used here", "remove the % line")

    def _waits_for_key(self) -> bool:
        return type(self._container) is dict and self._key_mark is None

    def _scalar(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._marked(event)
        elif type(self._container) is dict and self._key_mark is None:
            self._take_key(event)
        elif event.style is None or event.style == "":
            self._plain(event)
        else:
            value = event.value
            if not value.isascii() and _has_surrogate(value):
                raise _Stop(event.start_mark, "half of a surrogate pair is no character")
            self._place(value, event.start_mark)

    def _plain(self, event: Any) -> None:
        try:
            value = scalar.plain(event.value)
        except ValueError as error:
            path = self._place(None, event.start_mark)
            self._flaw(event.start_mark, path, str(error), "put it in quotes to mean text")
        else:
            self._place(value, event.start_mark)

    def _marked(self, event: Any) -> None:
        what = "anchors" if event.anchor is not None else "tags"
        if self._waits_for_key():
            raise _Stop(event.start_mark, f"{what} are not used here")
        path = self._place(None, event.start_mark)
        self._flaw(event.start_mark, path, f"{what} are not used here", "write the value only")

    def _take_key(self, event: Any) -> None:
        assert type(self._container) is dict
        key, mark = event.value, event.start_mark
        self._key, self._key_mark = key, mark
        self._key_path = self._path + (key,)
        if key in self._container:
            first = self.documents[-1].marks[self._key_path][0]
            message = f"{syntax.quoted(key)} is given twice"
            hint = f"the first stands at line {first.line + 1}, column {first.column + 1}"
            self._note(mark, message, hint)
            self._key = None  # Its value is read and dropped.
            self._key_path += (-1,)
        elif key == "<<" and event.style in (None, ""):
            self._note(mark, "merge keys are not used here", "write the fields out")
            self._key = None

    def _place(self, value: Any, mark: Any) -> Path:
        """Put a value where it belongs; its path."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise _Stop(mark, f"more than {NODES_MAX} values in one file")
        container, document = self._container, self.documents[-1]
        if type(container) is dict:
            path = self._key_path
            document.marks[path] = (self._key_mark, mark)
            if self._key is not None:
                container[self._key] = value
            self._key_mark = None
        elif type(container) is list:
            path = self._path + (len(container),)
            document.marks[path] = (mark, mark)
            container.append(value)
        else:
            path = ()
            document.value = value
            document.line, document.column = mark.line + 1, mark.column + 1
        return path

    def _open(self, event: Any, container: dict[str, Any] | list[Any]) -> None:
        mark = event.start_mark
        if self._waits_for_key():
            raise _Stop(mark, "a key must be text")
        if len(self._stack) >= DEPTH_MAX:
            raise _Stop(mark, f"nested deeper than {DEPTH_MAX} levels")
        path = self._place(container, mark)
        if event.anchor is not None or event.tag is not None:
            what = "anchors" if event.anchor is not None else "tags"
            self._flaw(mark, path, f"{what} are not used here", "write the value only")
        self._stack.append(
            (self._container, self._path, self._key, self._key_path, self._key_mark)
        )
        self._container, self._path, self._key_mark = container, path, None

    def _close(self) -> None:
        self._container, self._path, self._key, self._key_path, self._key_mark = (
            self._stack.pop()
        )

    def _flaw(self, mark: Any, path: Path, message: str, hint: str) -> None:
        self.documents[-1].flawed.add(path)
        self._note(mark, message, hint)

    def _note(self, mark: Any, message: str, hint: str | None) -> None:
        if len(self.mistakes) >= MISTAKES_MAX:
            return
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        document = max(len(self.documents) - 1, 0)
        self.mistakes.append(Mistake(line, column, message, hint, document))

    def _syntax(self, error: MarkedYAMLError) -> None:
        at, start, problem = error.problem_mark, error.context_mark, error.problem or ""
        if start is not None:
            found = syntax.opened(problem, 0 if at is None else at.line - start.line)
            if found is not None:
                self._note(start, *found)
                return
        lines = self.lines
        line = lines[at.line] if at is not None and at.line < len(lines) else ""
        self._note(
            at, *syntax.explain(problem, line[at.column : at.column + 1] if line else "")
        )


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
