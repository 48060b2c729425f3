"""Sections 14 and 15: the samples with their whole lives, and the appendix."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.evidence.page import words
from reconciler.evidence.page.markup import (
    Child,
    Markup,
    code,
    facts,
    join,
    number,
    paragraph,
    program,
    table,
    tag,
    text,
    time,
)
from reconciler.evidence.population.sampling import Drawn, Sample
from reconciler.evidence.populations import Evidence

REVISIONS_MAX: Final = 100
_TICKET: Final = 16
FIELDS: Final = (
    ("seq, time", "number in the log, and when, in microseconds UTC"),
    ("type, code", "what happened; both are stable names"),
    ("actor", "who did it: a worker, a repository, an approver, a person"),
    ("commit", "the commit it happened under, or none"),
    ("manifests", "digest of all manifests the task worked under"),
    ("task, attempt, step", "which task, which try, which call of it"),
    ("task_seq, entries", "number among the entries of the task; how many it has at its end"),
    ("agent, chain", "which agent, and the agents whose work led to it"),
    ("tool, model", "what was called"),
    ("permission, rule", "what the call needed; path and line of the manifest that decided"),
    ("decision, reason", "allow, ask or deny, and why"),
    ("approval, digest", "the request for an approval, and the digest of its bytes"),
    ("outcome, isolation", "how it ended; the sandbox that the tool ran in"),
    ("tokens_in, tokens_out, duration_us", "what the call used"),
    ("charges, at", "what counts under which limit, and since when"),
    ("private", "salted commitments to values that stand beside the log"),
)
_SHOWN: Final = ("actor", "decision", "rule", "reason", "approval", "outcome", "resource")


def samples(evidence: Evidence) -> Markup:
    """Section 14: 25 changes and 25 calls that nobody chose."""
    root = evidence.scope.checkpoint.root.hex()
    drawn = (
        ("Changes", evidence.sampled_changes, "a change is called by its entry's number"),
        ("Calls", evidence.sampled_calls, "a call is called by the number of its first entry"),
    )
    return join(
        [
            paragraph(
                "The seed is the root of the checkpoint, which nobody could know before the"
                " entries were written. An item's ticket is SHA-256 of the root, the population"
                " and the item's number; the smallest tickets are the sample. To check one:"
            ),
            tag("pre", f"printf '{root}:calls:NUMBER' | sha256sum"),
            *(_sample(*one) for one in drawn),
        ]
    )


def _sample(title: str, sample: Sample, named: str) -> Markup:
    items = sample.items
    count = f"{words.count(len(items))} of {words.count(sample.count)}"
    head = tag("h3", f"{title}: {count}")
    if not items:
        return join([head, paragraph("None in this period.", class_="none")])
    note = paragraph(f"Population “{sample.population}”; {named}.", class_="note")
    return join([head, note, *(_item(one) for one in items)])


def _item(one: Drawn) -> Markup:
    first = one.entries[0] if one.entries else {}
    about = [first.get("agent"), first.get("tool") or first.get("model"), first.get("task")]
    if first.get("type", "").startswith("manifest."):
        about = [f"commit {words.short(first['commit'])}", first.get("outcome")]
    title = " · ".join(str(part) for part in about if part)
    return tag(
        "div",
        tag("h4", text(f"{words.count(int(one.id))}: {title}")),
        table(
            f"Ticket {one.ticket[:_TICKET]}…",
            [number("Entry"), "Time, UTC", program("Type"), "What it says"],
            (_step(entry) for entry in one.entries),
            total=len(one.entries) + one.left_out,
        ),
        class_="item",
    )


def _step(entry: Mapping[str, Any]) -> tuple[Child, ...]:
    said = [f"{name} {entry[name]}" for name in _SHOWN if entry.get(name)]
    if entry.get("tokens_in") is not None:
        said.append(f"tokens {entry['tokens_in']} in, {entry.get('tokens_out')} out")
    return (
        words.count(entry["seq"]),
        time(words.moment(entry["time"])),
        text(entry["type"]),
        text("; ".join(said) or "-"),
    )


def appendix(evidence: Evidence) -> Markup:
    """Section 15: fields, codes, revisions and the checkpoint."""
    found, head = evidence.inventory, evidence.scope.checkpoint
    codes = sorted(evidence.exceptions.codes.items())
    return join(
        [
            tag("h3", "Fields of an entry"),
            facts((name, meaning) for name, meaning in FIELDS),
            table(
                "Codes in this period",
                [program("Code"), program("Type"), number("Entries")],
                ((text(name), text(kind), words.count(count)) for (name, kind), count in codes),
            ),
            paragraph(
                "The last letter of a code: I is news, W is to be looked at, E is an error.",
                class_="note",
            ),
            table(
                "Git revisions in force",
                [program("Commit"), number("First entry"), number("Agents")],
                (
                    (text(one.commit), words.count(one.seq), words.count(one.agents))
                    for one in found.revisions[:REVISIONS_MAX]
                ),
                total=len(found.revisions),
                rest="repositories.txt",
            ),
            tag("h3", "Checkpoint"),
            facts(
                [
                    ("Log", code(head.origin)),
                    ("Size", words.count(head.size)),
                    ("Root", code(head.root.hex())),
                ]
            ),
            paragraph(
                "Earlier checkpoints of the period lie in ",
                code("checkpoints/"),
                ", and ",
                code("consistency/"),
                " proves that each is the one before, grown.",
                class_="note",
            ),
        ]
    )
