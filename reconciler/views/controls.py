"""Frameworks and their controls as words and as JSON. Pure. The JSON fields are promises."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from reconciler.evidence.checks import CHECKS
from reconciler.evidence.framework import Control, Evidence, Framework
from reconciler.views.plain import plain
from reconciler.views.table import block, heading, number, paragraphs, table

_DIGEST_SHOWN = len("sha256:") + 12


def framework_list(frameworks: Sequence[Framework]) -> Text:
    """Every framework with its edition and its digest."""
    headers = ("FRAMEWORK", "CONTROLS", "VERSION", "STATUS", "DIGEST", "EDITION")
    rows = [
        (
            one.id,
            number(len(one.content.controls)),
            str(one.content.version),
            one.content.status,
            one.digest[:_DIGEST_SHOWN],
            one.content.source.edition,
        )
        for one in frameworks
    ]
    following = Text(f"\nNext: orloj audit controls {frameworks[0].id}", "dim")
    return paragraphs(table(headers, rows), following)


def framework_page(one: Framework) -> Text:
    """A framework with all its controls."""
    content = one.content
    draft = " (draft)" if content.status == "draft" else ""
    return paragraphs(
        heading(plain(f"{content.title}, mapping version {content.version}{draft}")),
        Text(plain(f"  {content.source.edition}")),
        Text(plain(f"  {content.source.address}"), "dim"),
        Text(plain(f"  {one.path}  {one.digest}"), "dim"),
        *(part for control in content.controls for part in _control(control)),
        Text(
            f"\nNext: orloj audit export --framework {one.id}"
            " says what the entries of a period show of each",
            "dim",
        ),
    )


def _control(control: Control) -> list[Text]:
    about = f"  ({control.responsibility}, {control.frequency})"
    lines = [Text.assemble("\n", (plain(control.id), "bold"), (about, "dim"))]
    lines.append(block(control.question))
    lines += [
        Text.assemble("    ", (f"{item.kind:<7}", "cyan"), plain(_meaning(item)))
        for item in control.evidence
    ]
    if control.note:
        lines.append(block(control.note, "    Yours: " if control.evidence else "    "))
    return lines


def _meaning(item: Evidence) -> str:
    if item.expr is None:
        return f"{item.select}"
    bound = f" {item.days} days." if item.days else ""
    bound = f" {item.seconds} seconds." if item.seconds else bound
    return f"{CHECKS[item.expr].meaning}{bound}"


def framework_json(one: Framework) -> dict[str, Any]:
    """One framework for machines: what stands in its file, and the digest of that."""
    content = one.content.model_dump(mode="json", by_alias=True)
    for control in content["controls"]:
        for item in control["evidence"]:
            check = CHECKS.get(item["expr"] or "")
            item["meaning"] = check.meaning if check is not None else None
    return {"digest": one.digest, "path": one.path, **content}
