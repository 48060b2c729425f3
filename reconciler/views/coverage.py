"""What of the audit log is signed and published: as words and as JSON. Pure."""

from typing import Any

from rich.text import Text

from reconciler.proof.covered import Covered
from reconciler.views.plain import plain
from reconciler.views.table import number
from reconciler.views.times import ago, iso, length


def lines(covered: Covered) -> list[tuple[str, str | Text]]:
    """The rows of the status about the log."""
    now_us, signed, published = covered.now_us, covered.signed, covered.published
    found: list[tuple[str, str | Text]] = [("entries", number(covered.entries))]
    if signed is None:
        found.append(("signed", "nothing yet: the daemon signs"))
    else:
        found.append(("signed", f"{number(signed.size)}, {ago(signed.at, now_us)}"))
    if covered.remote is None:
        found.append(("published", "nowhere: set source.url, or audit.remote"))
    elif published is None:
        found.append(("published", f"nothing yet, to {plain(covered.remote)}"))
    else:
        when, where = ago(published.at, now_us), plain(covered.remote)
        found.append(("published", f"{number(published.size)}, {when}, at {where}"))
    found.append(("open", _open(covered)))
    for one in covered.troubles:
        text = f"failing, since {ago(one.since_at, now_us)}: {plain(one.message)}"
        found.append((one.part, Text(text, style="bold red")))
    return found


def _open(covered: Covered) -> str:
    if not covered.open_entries:
        return "nothing"
    count = (
        "1 entry" if covered.open_entries == 1 else f"{number(covered.open_entries)} entries"
    )
    return f"{count}, the oldest logged {length(int(covered.open_s * 1_000_000))} ago"


def stuck(covered: Covered) -> list[str]:
    """What needs a person, each as a clause."""
    words = {"signing": "signed", "publishing": "published", "cosigning": "cosigned"}
    return [
        f"the audit log is not {words.get(one.part, one.part)} ({one.reason})"
        for one in covered.troubles
    ]


def covered_json(covered: Covered) -> dict[str, Any]:
    """The stable fields about the log."""
    signed, published = covered.signed, covered.published
    return {
        "entries": covered.entries,
        "signed": None if signed is None else {"entries": signed.size, "at": iso(signed.at)},
        "published": None
        if published is None
        else {
            "entries": published.size,
            "at": iso(published.at),
            "remote": covered.remote,
        },
        "remote": covered.remote,
        "open_entries": covered.open_entries,
        "open_s": covered.open_s,
        "troubles": [
            {
                "part": one.part,
                "reason": one.reason,
                "message": one.message,
                "since": iso(one.since_at),
            }
            for one in covered.troubles
        ],
    }
