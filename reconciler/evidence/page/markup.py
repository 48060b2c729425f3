"""HTML that hostile text cannot leave: every value goes through `text`. Pure.

    tag("p", "Names are ", tag("code", name))

A child that is a `Markup` is taken as it is, a text is escaped. Characters that are not seen
or that turn a line around are written as `\\u202e`, so that what is read is what is there.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

LENGTH_MAX: Final = 1_000
CELL_MAX: Final = 240
_PARTS: Final = re.compile(r"[^/:@_-]{0,20}[/:@_-]{1,20}|[^/:@_-]{1,20}")
_UNSEEN: Final = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
_VOID: Final = ("meta", "br", "hr", "col")


@dataclass(frozen=True, slots=True)
class Markup:
    """A text that is HTML already."""

    html: str


Child = Markup | str | int
NOTHING: Final = Markup("")


def text(value: object, length_max: int = CELL_MAX) -> Markup:
    """A value as text: escaped, on one line, cut where too long, with places to break."""
    words = plain(value, length_max).split(" ")
    return Markup(" ".join(_breakable(word) for word in words))


def plain(value: object, length_max: int) -> str:
    """A value on one line, as it is read, not escaped yet."""
    whole = str(value)
    shown = "".join(_seen(letter) for letter in whole[:length_max])
    return shown if len(whole) <= length_max else f"{shown} … (cut)"


def _breakable(word: str) -> str:
    """A word that a narrow column may break now and then, and nowhere else."""
    return "<wbr>".join(html.escape(part) for part in _PARTS.findall(word))


def _seen(letter: str) -> str:
    if unicodedata.category(letter) in _UNSEEN:
        return letter.encode("unicode_escape").decode("ascii")
    return letter


def tag(name: str, /, *children: Child, **attributes: str | int | None) -> Markup:
    """An element. `class_` is `class`, and `_` in a name of an attribute is `-`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children).html}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Markup:
    """Children one after another."""
    return Markup(between.join(_html(child) for child in children))


def _html(child: Child) -> str:
    if isinstance(child, Markup):
        return child.html
    return html.escape(plain(child, LENGTH_MAX))


def code(value: object) -> Markup:
    """A name, a hash or a place, in the letters of programs."""
    return tag("code", text(value))


def time(words: str) -> Markup:
    """A moment, which is not broken within its date."""
    return tag("time", words)


def paragraph(*children: Child, **attributes: str | int | None) -> Markup:
    """A paragraph."""
    return tag("p", *children, **attributes)


def listing(items: Iterable[Child]) -> Markup:
    """A list of points."""
    return tag("ul", *(tag("li", item) for item in items))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and whether it holds numbers or names of programs."""

    title: str
    number: bool = False
    program: bool = False

    @property
    def style(self) -> str | None:
        """The class of its cells."""
        return "n" if self.number else "c" if self.program else None


def number(title: str) -> Column:
    """A column of numbers."""
    return Column(title, number=True)


def program(title: str) -> Column:
    """A column of names, hashes and places."""
    return Column(title, program=True)


def table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[Child]],
    *,
    total: int | None = None,
    rest: str = "csv/entries.csv",
) -> Markup:
    """A table; `total` is how many rows there are in all, and `rest` where the others stand.

    Without a row it says so: an empty table looks like a mistake.
    """
    all = [one if isinstance(one, Column) else Column(one) for one in columns]
    body = [
        tag(
            "tr",
            *(
                tag("td", text(cell) if isinstance(cell, str) else cell, class_=column.style)
                for column, cell in zip(all, row, strict=True)
            ),
        )
        for row in rows
    ]
    if not body:
        return paragraph(tag("strong", f"{caption}: "), "none in this period.", class_="none")
    heads = (tag("th", column.title, scope="col", class_=column.style) for column in all)
    parts = [
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *body),
    ]
    made = tag("div", tag("table", *parts), class_="wide")
    if total is None or total <= len(body):
        return made
    left = f"{total - len(body):,} more of {total:,} are left out here; all are in "
    return join([made, paragraph(left, code(rest), ".", class_="rest")])


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they are, as a table of two columns."""
    rows = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in pairs)
    return tag("table", tag("tbody", *rows), class_="facts")
