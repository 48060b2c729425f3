"""What a YAML reader's complaint means, in words for people. Pure."""

from typing import Final

KEY_SHOWN_MAX: Final = 60

_COLON: Final = (
    "`: ` starts a value here, where none can stand",
    "put text that holds `: ` in quotes, or check the indentation",
)
_ITEM: Final = ("a list item cannot stand here", "begin the list on a line of its own")
_KEY: Final = ("expected a key here", "check quotes and indentation")
_OPEN_QUOTES: Final = ("these quotes are not closed", None)
_MEANING: Final[dict[str, tuple[str, str | None]]] = {
    "mapping values are not allowed in this context": _COLON,
    "mapping values are not allowed here": _COLON,
    "could not find expected ':'": ("this key has no `:`", "check the line and the one above"),
    "expected key": _KEY,
    "expected <block end>": _KEY,
    "expected '-' indicator": (
        "expected a list item here",
        "check the indentation: items of a list stand in one column",
    ),
    "expected ',' or ']'": ("expected `,` or `]` here", None),
    "expected ',' or '}'": ("expected `,` or `}` here", None),
    "expected node content": ("expected a value here", None),
    "found unexpected end of stream": _OPEN_QUOTES,
    "found unexpected document indicator": _OPEN_QUOTES,
    "found unexpected document separator": _OPEN_QUOTES,
    "block sequence entries are not allowed in this context": _ITEM,
    "sequence entries are not allowed here": _ITEM,
    "found unknown escape character": (
        "unknown escape after `\\` in double quotes",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    "found invalid Unicode character escape code": (
        "this escape is no character",
        "write the character itself, or `\\U` and eight digits",
    ),
    "expected <document start>": ("only `---` can follow the end of a document", None),
}
_BRACKETS: Final = {"expected ',' or ']'": "[", "expected ',' or '}'": "{"}


def explain(problem: str, character: str) -> tuple[str, str | None]:
    """A message and a hint for a reader's complaint and the character it points at."""
    cannot_start = "cannot start any token" in problem
    if "tab character" in problem or (cannot_start and character == "\t"):
        return "a tab cannot indent", "use spaces"
    if cannot_start:
        return "text cannot start with this character", "put the text in quotes"
    meaning = _MEANING.get(_short(problem))
    return meaning or ("this cannot be read as YAML", None)


def opened(problem: str, lines_apart: int) -> tuple[str, str | None] | None:
    """What to say where something was opened, when that helps more than where it failed.

    `lines_apart` is how far below the reader stumbled.
    """
    short = _short(problem)
    if _MEANING.get(short) is _OPEN_QUOTES:
        return _OPEN_QUOTES
    if lines_apart and (bracket := _BRACKETS.get(short)):
        return f"this `{bracket}` is not closed", None
    return None


def quoted(text: str) -> str:
    """A key as messages show it, cut where it is long."""
    short = text if len(text) <= KEY_SHOWN_MAX else text[: KEY_SHOWN_MAX - 1] + "…"
    return f"`{short}`"


def _short(problem: str) -> str:
    # The C reader and the Python one differ in what stands around the same words.
    return problem.removeprefix("did not find ").split(", but ")[0].split(" but ")[0]
