"""Bar charts as SVG, for screen and paper, in black and white too. Pure.

Series differ by pattern and not only by shade, each bar ends with its number, and each chart
has a title and a sentence for those who do not see it. The numbers stand in a table beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.evidence.page.markup import Markup, join, plain, tag

BARS_MAX: Final = 12
_WIDTH: Final = 760
_LABEL: Final = 310
_NUMBER: Final = 150
_BAR: Final = 20
_ROW: Final = 30
_TOP: Final = 34
_FONT: Final = 13
_LETTERS_MAX: Final = 38
_DARK: Final = "#333"
PATTERNS: Final = ("lines", "dots")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its label, the parts it is made of, what is written at its end, and a mark."""

    label: str
    parts: tuple[int, ...]
    end: str
    mark: int | None = None


def bars(
    title: str, summary: str, series: Sequence[str], rows: Sequence[Bar], id: str
) -> Markup:
    """A chart of horizontal bars, the parts of each in the order of `series`."""
    most = max([1, *(sum(row.parts) for row in rows), *(row.mark or 0 for row in rows)])
    scale = (_WIDTH - _LABEL - _NUMBER) / most
    height = _TOP + _ROW * len(rows) + 6
    drawn = [_bar(row, place, scale, id) for place, row in enumerate(rows)]
    picture = tag(
        "svg",
        tag("title", title, id=f"{id}-title"),
        tag("desc", summary, id=f"{id}-desc"),
        _patterns(id),
        _legend(series, id) if len(series) > 1 else Markup(""),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_labelledby=f"{id}-title {id}-desc",
        width=_WIDTH,
        height=height,
    )
    return tag("figure", tag("figcaption", tag("strong", title), ". ", summary), picture)


def _bar(row: Bar, place: int, scale: float, id: str) -> Markup:
    top, left = _TOP + place * _ROW, float(_LABEL)
    label = plain(row.label, _LETTERS_MAX)
    if len(label) > _LETTERS_MAX:
        label = f"{label[: _LETTERS_MAX - 1]}…"
    parts = [_words(label, _LABEL - 10, top + 15, "end")]
    for number, part in enumerate(row.parts):
        if part:
            wide = max(part * scale, 1.0)
            parts.append(_box(left, top, wide, number, id))
            left += wide
    end = max(left, _LABEL + (row.mark or 0) * scale)
    if row.mark is not None:
        parts.append(_mark(_LABEL + row.mark * scale, top))
    parts.append(_words(row.end, end + 8, top + 15, "start"))
    return tag("g", *parts)


def _box(left: float, top: int, wide: float, series: int, id: str) -> Markup:
    return tag(
        "rect",
        x=f"{left:.1f}",
        y=top,
        width=f"{wide:.1f}",
        height=_BAR,
        fill=f"url(#{id}-{PATTERNS[series - 1]})" if series else _DARK,
        stroke="#111",
        stroke_width=1,
    )


def _mark(left: float, top: int) -> Markup:
    """A thick line where the limit is."""
    place = f"{left:.1f}"
    return tag(
        "line", x1=place, x2=place, y1=top - 4, y2=top + _BAR + 4, stroke="#111", stroke_width=3
    )


def _words(words: str, left: float, top: int, anchor: str) -> Markup:
    return tag(
        "text",
        words,
        x=f"{left:.1f}",
        y=top,
        text_anchor=anchor,
        font_size=_FONT,
        font_family="sans-serif",
        fill="#111",
    )


def _legend(series: Sequence[str], id: str) -> Markup:
    parts: list[Markup] = []
    left = float(_LABEL)
    for number, name in enumerate(series):
        parts.append(_box(left, 4, 18, number, id))
        parts.append(_words(name, left + 24, 19, "start"))
        left += 24 + 8 * len(name) + 22
    return tag("g", *parts)


def _patterns(id: str) -> Markup:
    """What fills the bars; each chart has its own, since names are of the whole page."""
    shapes = (
        Markup(
            '<rect width="8" height="8" fill="#fff"/>'
            '<path d="M-2 2l4-4M0 8l8-8M6 10l4-4" stroke="#111" stroke-width="1.6"/>'
        ),
        Markup(
            '<rect width="8" height="8" fill="#fff"/>'
            '<circle cx="2" cy="2" r="1.3" fill="#111"/>'
            '<circle cx="6" cy="6" r="1.3" fill="#111"/>'
        ),
    )
    return tag(
        "defs",
        join(
            tag(
                "pattern",
                shape,
                id=f"{id}-{name}",
                width=8,
                height=8,
                patternUnits="userSpaceOnUse",
            )
            for name, shape in zip(PATTERNS, shapes, strict=True)
        ),
    )
