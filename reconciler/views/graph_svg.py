"""The graph of a system as a picture: agents in rows, work going down. Pure.

An agent stands one row below the lowest of those before it; what goes back up in a loop is
drawn around the side. The picture needs no program, font or network to be looked at.
"""

import html
from typing import Final

from reconciler.views.graph import Drawing, conditions, labelled

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 190, 46, 40, 64, 40
_FILLS: Final = {
    "": ("#ffffff", "#718096"),
    "running": ("#fff3c4", "#b7791f"),
    "done": ("#d6f5d6", "#2f855a"),
    "failed": ("#fde2e1", "#c53030"),
    "stopped": ("#e2e8f0", "#4a5568"),
}
_NAME_MAX: Final = 26
_WORDS_MAX: Final = 36
_STYLE: Final = (
    "text{font-family:system-ui,sans-serif;fill:#1a202c;text-anchor:middle}"
    ".n{font-size:13px;font-weight:600}.w{font-size:10px;fill:#4a5568;paint-order:stroke;"
    "stroke:#fff;stroke-width:3px}"
    "path{fill:none;stroke:#4a5568;stroke-width:1.4}"
)

Place = tuple[float, float]


def svg(drawing: Drawing) -> str:
    """A document of its own, with a title for those who cannot see it."""
    places = _places(drawing)
    width = max(x for x, _ in places.values()) + _WIDTH + 2 * _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    title = html.escape(f"{drawing.name}: {', '.join(drawing.system.order())}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' width="{width:g}" height="{height:g}" role="img" aria-label="{title}">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" style="fill:#4a5568"/>'
        "</marker></defs>",
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    for start, edge, delegates in drawing.edges():
        words = conditions(edge, delegates=delegates)
        parts.append(_edge(places[start], places[edge.to], words, dashed=delegates))
    parts += [_node(drawing, agent, place) for agent, place in places.items()]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(drawing: Drawing) -> dict[str, Place]:
    """The upper left corner of each agent."""
    row: dict[str, int] = {}
    order = drawing.system.order()
    for agent in order:
        above = [row[one] for one in row if agent in drawing.system.after[one]]
        row[agent] = max(above, default=-1) + 1
    rows = [[one for one in order if row[one] == number] for number in range(len(order))]
    widest = max(map(len, rows))
    places: dict[str, Place] = {}
    for number, agents in enumerate(rows):
        left = _MARGIN + (widest - len(agents)) * (_WIDTH + _GAP_X) / 2
        for position, agent in enumerate(agents):
            x = left + position * (_WIDTH + _GAP_X)
            places[agent] = (x, _MARGIN + number * (_HEIGHT + _GAP_Y))
    return places


def _node(drawing: Drawing, agent: str, place: Place) -> str:
    x, y = place
    state = drawing.state_of(agent)
    fill, stroke = _FILLS[state]
    name, *waits = labelled(drawing, agent)
    middle = x + _WIDTH / 2
    parts = [
        f"<g><title>{html.escape(f'{name} {state}'.strip())}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{fill}"'
        f' stroke="{stroke}" stroke-width="1.5"/>',
        f'<text class="n" x="{middle:g}" y="{y + (19 if waits else 28):g}">'
        f"{html.escape(_cut(name, _NAME_MAX))}</text>",
    ]
    for words in waits:
        line = f'<text class="w" x="{middle:g}" y="{y + 35:g}">{html.escape(words)}</text>'
        parts.append(line)
    return "".join([*parts, "</g>"])


def _edge(start: Place, end: Place, words: str, *, dashed: bool) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH / 2, start[1] + _HEIGHT, end[0] + _WIDTH / 2, end[1]
    if y2 > y1:
        bend = (y2 - y1) / 2
        path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
        at = (x2, y2 - 14)  # By its end: many may begin at one place.
    else:  # Back up, around the side that is nearer.
        left = start[0] < end[0]
        edge, away = (0, -_MARGIN * 0.8) if left else (_WIDTH, _GAP_X * 0.8)
        side = (min if left else max)(start[0], end[0]) + edge + away
        x1, x2, y1, y2 = start[0] + edge, end[0] + edge, y1 - _HEIGHT / 2, y2 + _HEIGHT / 2
        path = f"M{x1:g} {y1:g}C{side:g} {y1:g} {side:g} {y2:g} {x2:g} {y2:g}"
        at = (side, (y1 + y2) / 2)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    line = f'<path d="{path}" marker-end="url(#to)"{dash}/>'
    if not words:
        return line
    shown = html.escape(_cut(words, _WORDS_MAX))
    text = f'<text class="w" x="{at[0]:g}" y="{at[1]:g}">{shown}</text>'
    return f"<g><title>{html.escape(words)}</title>{line}{text}</g>"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
