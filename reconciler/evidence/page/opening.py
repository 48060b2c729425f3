"""Sections 1 to 5: the verdict, the scope, how to check it, the agents and what they may do."""

from collections.abc import Iterator
from typing import Final

from reconciler.evidence.integrity import PASS, UNCHECKED, Integrity
from reconciler.evidence.page import words
from reconciler.evidence.page.markup import (
    Child,
    Markup,
    code,
    facts,
    join,
    listing,
    number,
    paragraph,
    program,
    table,
    tag,
    text,
)
from reconciler.evidence.population.inventory import Granted, Inhabitant
from reconciler.evidence.populations import Evidence

AGENTS_MAX: Final = 200
GRANTS_MAX: Final = 300
DIFFS_MAX: Final = 200
_NOT_COVERED: Final = (
    "What a tool or a model did outside the call that was made: the log says what was asked,"
    " allowed and answered, not what the other side made of it.",
    "Arguments, results and other private values: entries hold commitments to them. Those that"
    " were chosen stand in disclosures.jsonl; erased ones cannot be shown by anybody.",
    "Whether a control is well designed, and everything that people do outside Orloj: such"
    " controls are marked “deployer”.",
    "Whether the clock of a host was right: times are those of the host that wrote the entry.",
    "What was applied by hand from a file: it is in the log, and in no commit.",
    "What was written after the last entry of the period.",
)


def mark(word: str, *, good: bool, open: bool = False) -> Markup:
    """A verdict that is told by its word and its frame, not by a colour."""
    return tag(
        "span", text(word), class_="mark " + ("good" if good else "open" if open else "bad")
    )


def verdict(evidence: Evidence, integrity: Integrity) -> Markup:
    """Section 1: what a reader must know before all else."""
    scope, calls = evidence.scope, evidence.calls
    violations = sum(1 for _ in evidence.violations())
    seen = evidence.coverage
    broken = sum(1 for one in evidence.limits if one.worst is not None and not one.worst.holds)
    signed = [one for one in integrity.signers if one.signed]
    cells: list[tuple[str, Child]] = [
        (
            "Integrity of the log, as of this export",
            mark(
                integrity.verdict,
                good=integrity.verdict == PASS,
                open=integrity.verdict == UNCHECKED,
            ),
        ),
        ("Entries in the period", words.count(seen.entries)),
        ("Covered by the checkpoint of", f"{words.count(scope.checkpoint.size)} entries"),
        ("Calls without a complete record", _zero(calls.orphan_count)),
        ("Tasks whose entries are not complete", _zero(seen.fault_count)),
        ("Limits exceeded in any window", _zero(broken)),
        ("Changes that nobody else reviewed", _zero(violations)),
        ("Calls with an unknown outcome", _zero(evidence.exceptions.counts["action.unknown"])),
        ("Denied calls", words.count(sum(one.deny for one in evidence.tallies))),
    ]
    strip = tag(
        "div",
        *(
            tag("div", tag("span", name, class_="k"), tag("span", value, class_="v"))
            for name, value in cells
        ),
        class_="verdict",
    )
    keys = [
        ("Root of the checkpoint", code(scope.checkpoint.root.hex())),
        *(("Signed by", _key(one.name, one.id, one.fingerprint)) for one in signed),
        *(("Also signed by", code(one)) for one in integrity.cosigners),
    ]
    why = paragraph(
        "Integrity: ",
        integrity.why,
        ". The export itself computed this; section"
        " 3 says how to compute it again without trusting who made it.",
    )
    return join([strip, why, facts(keys)])


def _key(name: str, id: str, fingerprint: str) -> Markup:
    return join([code(name), " key id ", code(id), ", SHA-256 of the key ", code(fingerprint)])


def _zero(value: int) -> Markup:
    return mark(words.count(value), good=value == 0)


def scope(evidence: Evidence) -> Markup:
    """Section 2: what the report is about, and what it says nothing about."""
    found, seen = evidence.scope, evidence.coverage
    inventory = evidence.inventory
    return join(
        [
            facts(
                [
                    ("Log", code(found.log)),
                    ("From", f"{words.moment(found.since_us)} UTC, included"),
                    ("To", f"{words.moment(found.until_us)} UTC, not included"),
                    ("Entries", f"{words.count(seen.entries)}, {_numbers(evidence)}"),
                    ("Tasks", _tasks(evidence)),
                    ("Agents that acted", words.count(len(evidence.agents))),
                    ("Models that were asked", words.count(len(evidence.models))),
                    ("Revisions in force", words.count(len(inventory.revisions))),
                    ("Commits that could not be read", words.count(inventory.missing)),
                ]
            ),
            tag("h3", "What is not covered"),
            listing(_NOT_COVERED),
        ]
    )


def _numbers(evidence: Evidence) -> str:
    found = evidence.scope
    if found.last < found.first:
        return "so there is none"
    return f"numbers {words.count(found.first)} to {words.count(found.last)}"


def _tasks(evidence: Evidence) -> str:
    seen = evidence.coverage
    return (
        f"{words.count(seen.tasks)}, of which {words.count(seen.closed)} ended in the period"
        f" and {words.count(seen.earlier)} had begun before it"
    )


def verify(evidence: Evidence) -> Markup:
    """Section 3: how to check it without us."""
    lines = (
        "sha256sum -c MANIFEST.sha256",
        "python3 verify.py .",
        'python3 verify.py . --key "$(cat KEY.vkey)"',
    )
    return join(
        [
            paragraph("In the folder that this report came in, without any network:"),
            tag("pre", join(lines, "\n")),
            listing(
                (
                    "The first says that no file was changed since the export.",
                    "The second computes the root anew from the entries, and checks the"
                    " signature, the growth of the log and what is disclosed.",
                    "The third does so with a key that you got from elsewhere. Without it, the"
                    " key is the word of this folder only.",
                )
            ),
            paragraph(
                "verify.py needs Python 3.8 or newer and nothing else. README.txt names checks"
                " with the tools of others (git, openssl, ssh-keygen)."
            ),
        ]
    )


def inventory(evidence: Evidence) -> Markup:
    """Section 4: the agents of the last revision."""
    agents = evidence.inventory.agents
    declared = {one.name for one in agents}
    strangers = sorted(
        name
        for name in evidence.agents
        if name not in declared and f"default/{name}" not in declared
    )
    parts = [
        paragraph(
            "As the last revision of the period declares them. The owner is the label or"
            " annotation ",
            code("owner"),
            " or ",
            code("team"),
            " of the manifest.",
        ),
        table(
            "Agents",
            [
                program("Agent"),
                "Owner",
                program("Model"),
                program("Tools"),
                program("Limits"),
                program("Declared at"),
            ],
            (_agent(one) for one in agents[:AGENTS_MAX]),
            total=len(agents),
            rest="repo.bundle",
        ),
    ]
    if strangers:
        shown = ", ".join(strangers[:20])
        parts.append(
            paragraph(
                tag("strong", "Acted, and is not declared by that revision: "),
                text(shown),
                ". It was removed, or applied by hand.",
                class_="note",
            )
        )
    return join(parts)


def _agent(one: Inhabitant) -> tuple[Child, ...]:
    return (
        text(one.name),
        text(one.owner or "not named"),
        text(one.model),
        text(", ".join(one.tools) or "none"),
        text(", ".join(one.limits) or "none"),
        text(one.place),
    )


def permissions(evidence: Evidence) -> Markup:
    """Section 5: what the manifests grant, and how that changed."""
    found = evidence.inventory
    rows = (_grant_row(one) for one in found.grants[:GRANTS_MAX])
    granted = (program("Agent"), program("Permission"), program("Through"))
    return join(
        [
            paragraph(
                "A call is allowed only if its tool declares what it needs and the agent is"
                " granted that for the tool. What is not granted is denied."
            ),
            table(
                "Effective permissions at the last revision",
                [*granted, "A person approves"],
                rows,
                total=len(found.grants),
                rest="repo.bundle",
            ),
            table(
                "How they changed over the period",
                [program("Commit"), number("Entry"), number("Agents"), "Change", *granted],
                list(_diffs(evidence))[:DIFFS_MAX],
                total=sum(len(one.gained) + len(one.lost) or 1 for one in found.revisions),
                rest="repo.bundle",
            ),
        ]
    )


def _grant_row(one: Granted) -> tuple[Child, ...]:
    return text(one.agent), text(one.permission), text(one.through), "yes" if one.asks else "no"


def _diffs(evidence: Evidence) -> Iterator[tuple[Child, ...]]:
    for place, revision in enumerate(evidence.inventory.revisions):
        head = (words.short(revision.commit), words.count(revision.seq), revision.agents)
        lines = [("gained", one) for one in revision.gained]
        lines += [("lost", one) for one in revision.lost]
        if not lines:
            what = "the first revision known here" if place == 0 else "no permission changed"
            yield (*head, what, "", "", "")
        for what, one in lines:
            yield (*head, what, text(one.agent), text(one.permission), text(one.through))
