"""What an export of the audit log is, in words. Pure."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from reconciler.views.table import number, paragraphs


def exported(fields: Mapping[str, Any]) -> Text:
    """What was written, and how to go on; the fields are those of `--json`."""
    return paragraphs(
        Text(
            f"{number(fields['entries'])} entries ({fields['from']} to {fields['to']}) written"
            f" to {fields['file']}, {number(fields['bytes'])} bytes."
        ),
        _disclosed(fields),
        *([Text(fields["remark"], style="yellow")] if fields["remark"] else []),
        Text(f"sha256 {fields['sha256']}, as entry {fields['audit_entry']} of the log says"),
        Text(f"Next: tar -xf {fields['file']}, and read README.txt in it.", style="dim"),
    )


def _disclosed(fields: Mapping[str, Any]) -> Text:
    if not (fields["disclosed"] or fields["erased"]):
        return Text("No private value is in it: entries hold commitments to them.")
    text = f"{number(fields['disclosed'])} private values are in it, as asked for"
    return Text(f"{text}; {number(fields['erased'])} were erased before.")
