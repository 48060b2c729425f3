"""The report in its fifteen sections, as one HTML text that needs nothing else. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.evidence.integrity import Integrity
from reconciler.evidence.page import (
    activity,
    closing,
    findings,
    opening,
    oversight,
    style,
    words,
)
from reconciler.evidence.page.markup import Markup, join, paragraph, tag, text
from reconciler.evidence.populations import Evidence

_SHORT: Final = 16
TITLES: Final = (
    "Verdict",
    "Scope",
    "How to verify this again",
    "Agents and who answers for them",
    "Effective permissions",
    "Changes",
    "Actions",
    "Approvals",
    "Limits",
    "Denials",
    "What stood out, and what became of it",
    "Controls and evidence",
    "Exceptions, erasures, legal holds and retention",
    "Samples",
    "Appendix",
)


def document(
    evidence: Evidence, integrity: Integrity, frameworks: Sequence[Mapping[str, Any]]
) -> str:
    """The whole page. `frameworks` are the contents of `controls/*.json`."""
    scope = evidence.scope
    period = f"{words.moment(scope.since_us)} to {words.moment(scope.until_us)} UTC"
    title = f"Audit report of {scope.log}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=style.POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", text(title)),
        tag("style", Markup(style.sheet(foot(evidence, integrity)))),
    )
    sections = _sections(evidence, integrity, frameworks)
    body = tag(
        "body",
        tag(
            "header",
            tag("h1", text(title)),
            paragraph(period, class_="sub"),
        ),
        tag("main", *sections),
        tag("footer", paragraph(text(foot(evidence, integrity)))),
    )
    page = tag("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page.html}\n"


def foot(evidence: Evidence, integrity: Integrity) -> str:
    """What stands at the foot of each page of paper."""
    head = evidence.scope.checkpoint
    keys = [one for one in integrity.signers if one.signed] or list(integrity.signers)
    key = f"key {keys[-1].id} SHA-256 {keys[-1].fingerprint[:_SHORT]}" if keys else "no key"
    return f"{head.origin} | checkpoint {head.size} | root {head.root.hex()} | {key}"


def _sections(
    evidence: Evidence, integrity: Integrity, frameworks: Sequence[Mapping[str, Any]]
) -> Iterator[Markup]:
    contents = (
        opening.verdict(evidence, integrity),
        opening.scope(evidence),
        opening.verify(evidence),
        opening.inventory(evidence),
        opening.permissions(evidence),
        activity.changes(evidence),
        activity.actions(evidence),
        oversight.approvals(evidence),
        oversight.limits(evidence),
        oversight.denials(evidence),
        findings.anomalies(evidence),
        findings.controls(frameworks),
        findings.exceptions(evidence),
        closing.samples(evidence),
        closing.appendix(evidence),
    )
    for place, (title, content) in enumerate(zip(TITLES, contents, strict=True), start=1):
        heading = tag("h2", f"{place}. {title}", id=f"s{place}")
        yield tag("section", heading, content, aria_labelledby=f"s{place}")
        if place == 1:  # Whoever reads one thing reads the verdict.
            yield _contents()


def _contents() -> Markup:
    items = (
        tag("li", tag("a", title, href=f"#s{place}"))
        for place, title in enumerate(TITLES, start=1)
    )
    return tag("nav", tag("h2", "Contents"), tag("ol", join(items)), aria_label="Contents")
