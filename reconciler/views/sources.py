"""How each repository stands: as words and as JSON. Pure.

One repository is shown with all that is known of it; of several, each gets its lines under
its name. A repository that nobody follows any more is shown while it owns resources.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import Cell, heading, number, pairs, paragraphs, short
from reconciler.views.times import ago, iso

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
DEFAULT: Final = "default"
CANARY: Final = "Canary"
PROBLEMS_SHOWN: Final = 20
_COLOURS: Final = {READY: "green", RECONCILING: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A repository and how the last look at it went. `problems` are JSON objects.

    `next_at` is when it will be looked at again, as far as that is known; `drift` counts
    what is not as it was applied, None where nobody looked.
    """

    name: str
    url: str
    ref: str
    path: str
    applied_commit: str | None
    attempted_commit: str | None
    condition: str
    reason: str
    message: str
    problems: Sequence[Mapping[str, Any]]
    checked_at: int | None
    applied_at: int | None
    subject: str | None
    author: str | None
    since_at: int | None = None
    next_at: int | None = None
    failures: int = 0
    suspended_by: str | None = None
    suspended_reason: str | None = None
    suspended_at: int | None = None
    followed: bool = True
    resources: int = 0
    drift: int = 0


def stuck(sources: Sequence[SourceStatus]) -> list[str]:
    """What about the repositories needs a person, each as a clause."""
    found = []
    for source in sources:
        if source.condition != READY:
            found.append(f"{_called(source, sources)} is not applied ({source.reason})")
    return found


def next_command(sources: Sequence[SourceStatus]) -> str:
    """What to do about the first repository that is not well; empty when all are."""
    for source in sources:
        if source.suspended_at is not None:
            return f"orloj resume {source.name}"
        if source.reason == CANARY:
            return "orloj reconcile --wait"
        if source.condition != READY:
            return "mend the repository, push, then orloj reconcile"
    return ""


def source_words(sources: Sequence[SourceStatus], home: str, now_us: int) -> Text:
    """Every repository for people."""
    if not sources:
        return paragraphs(
            heading("Repository"), Text(f"  none; set url under [source] in {home}/orloj.toml")
        )
    if len(sources) == 1 and sources[0].followed:
        return paragraphs(heading("Repository"), *_lines(sources[0], now_us))
    parts: list[Text | None] = [heading("Repositories")]
    for source in sources:
        parts.append(Text(f"  {source.name}", "bold"))
        parts += _lines(source, now_us, "    ")
    return paragraphs(*parts)


def _lines(source: SourceStatus, now_us: int, indent: str = "  ") -> list[Text | None]:
    where = f"{source.url}  {source.ref}" + (f"  {source.path}" if source.path else "")
    rows: list[tuple[str, Cell]] = [("source", where)]
    if not source.followed:
        owned = f"no longer followed; owns {number(source.resources)} resources"
        rows.append(("settings", Text(owned, "yellow")))
    if source.applied_commit is None:
        rows.append(("applied", "nothing yet"))
    else:
        applied = f"{source.applied_commit}, {ago(source.applied_at, now_us)}"
        rows.append(("applied", applied))
        if source.subject:
            rows.append(("commit", short(f"{source.subject} ({source.author})")))
    rows.append(("checked", ago(source.checked_at, now_us) + _next(source, now_us)))
    rows.append(("condition", _condition(source, now_us)))
    if source.drift:
        rows.append(("drift", Text(_drifted(source.drift), style="yellow")))
    if source.attempted_commit not in (None, source.applied_commit):
        word = "put back" if source.reason == "CanaryFailed" else "rejected"
        rows.append((word, f"{source.attempted_commit}"))
    return [pairs(rows, indent), _problems(source)]


def _drifted(count: int) -> str:
    """How many things drifted, and where to read more."""
    things = "thing is" if count == 1 else "things are"
    return f"{number(count)} {things} not as applied; orloj drift"


def _next(source: SourceStatus, now_us: int) -> str:
    if source.next_at is None or not source.followed:
        return ""
    left_s = max(0, source.next_at - now_us) // 1_000_000
    after = f" after {number(source.failures)} failures" if source.failures else ""
    return f", again in {left_s} s{after}"


def _condition(source: SourceStatus, now_us: int) -> Text:
    since = "" if source.since_at is None else f" (since {ago(source.since_at, now_us)})"
    since = since.replace(" ago)", ")")
    if source.condition == READY:
        return Text.assemble((READY, "green"), (since, "dim"))
    words = f"{source.condition}: {source.reason}"
    colour = _COLOURS.get(source.condition, "red")
    if source.message:
        words += f": {source.message}"
    return Text.assemble((plain(words), colour), (since, "dim"))


def _problems(source: SourceStatus) -> Text | None:
    if not source.problems:
        return None
    lines = []
    for problem in source.problems[:PROBLEMS_SHOWN]:
        place = ":".join(str(problem.get(part)) for part in ("path", "line", "column"))
        lines.append(Text(f"    {plain(place)}: {plain(str(problem.get('message')))}"))
        if problem.get("hint"):
            lines.append(Text(f"      {plain(str(problem['hint']))}", style="dim"))
    if (more := len(source.problems) - PROBLEMS_SHOWN) > 0:
        lines.append(Text(f"    and {more} more"))
    return Text("\n").join(lines)


def _called(source: SourceStatus, sources: Sequence[SourceStatus]) -> str:
    return "the repository" if len(sources) == 1 else f"the repository {source.name}"


def sources_json(sources: Sequence[SourceStatus]) -> dict[str, Any]:
    """`source`, the default one, and `sources`, all of them."""
    first = next((source for source in sources if source.name == DEFAULT), None)
    return {
        "source": None if first is None else _json(first),
        "sources": [{"name": source.name, **_json(source)} for source in sources],
    }


def _json(source: SourceStatus) -> dict[str, Any]:
    return {
        "url": source.url,
        "ref": source.ref,
        "path": source.path,
        "applied_commit": source.applied_commit,
        "applied_at": iso(source.applied_at),
        "attempted_commit": source.attempted_commit,
        "checked_at": iso(source.checked_at),
        "condition": source.condition,
        "reason": source.reason,
        "message": source.message,
        "since": iso(source.since_at),
        "next_look_at": iso(source.next_at),
        "failures": source.failures,
        "suspended": None
        if source.suspended_at is None
        else {
            "at": iso(source.suspended_at),
            "by": source.suspended_by,
            "reason": source.suspended_reason,
        },
        "followed": source.followed,
        "resources": source.resources,
        "drift": source.drift,
        "problems": list(source.problems),
    }
