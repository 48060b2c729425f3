"""How commits are signed, for people and for programs. Pure."""

from typing import Any

from rich.text import Text

from reconciler.trust.verdict import Inspection, Judged
from reconciler.views.plain import plain
from reconciler.views.plan import block_lines
from reconciler.views.plan_json import blocks_json
from reconciler.views.problems import counted
from reconciler.views.table import table, word


def trust_words(found: Inspection) -> Text:
    """A line for each commit, and what forbids to follow the newest."""
    since = f" since {found.previous[:8]}, which is applied" if found.previous else ""
    history = "" if found.fast_forward else ", history REWRITTEN"
    more = "" if found.complete else " at least"
    head = (
        f"{plain(found.source)}@{found.commit[:8]}: {counted(len(found.commits), 'commit')}"
        f"{more}{since}{history} · verify {found.verify}"
    )
    parts = [Text(head, "bold"), Text()]
    headers = ("COMMIT", "SIGNATURE", "SIGNER", "AUTHOR", "SUBJECT")
    parts.append(table(headers, [_row(one) for one in found.commits]))
    if found.blocks:
        parts += [Text(), *block_lines(found.blocks)]
    return Text("\n").join(parts)


def trust_json(found: Inspection) -> dict[str, Any]:
    """The same; docs/cli.md lists the fields."""
    return {
        "source": found.source,
        "commit": found.commit,
        "previous": found.previous,
        "verify": found.verify,
        "fast_forward": found.fast_forward,
        "complete": found.complete,
        "commits": [_json(one) for one in found.commits],
        "blocks": blocks_json(found.blocks),
    }


def _row(one: Judged) -> tuple[str | Text, ...]:
    signer = one.verdict.signer or one.verdict.key or one.verdict.why
    seal = "SEAL " if one.seal else ""
    return (
        *(one.commit[:12], word(one.verdict.signature.value), signer),
        *(one.author, f"{seal}{one.subject}"),
    )


def _json(one: Judged) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "commit": one.commit,
        "signature": verdict.signature.value,
        "signer": verdict.signer or None,
        "key": verdict.key or None,
        "why": verdict.why or None,
        "author": one.author,
        "committer": one.committer,
        "subject": one.subject,
        "seal": one.seal,
    }
