"""The commands with which a reviewer checks each step of a walk by themselves. Pure.

They need a clone of the repository and nothing of ours, but for the last ones, which read
the log. Each is quoted for a shell: names come from manifests.
"""

import shlex
from typing import Any

Fields = dict[str, Any]


def commands(fields: Fields) -> list[str]:
    """The commands, in the order of the walk."""
    found: list[str] = []
    rule, commit = fields.get("rule") or {}, fields["commit"]["commit"]
    if fields["commit"]["in_mirror"]:
        if rule.get("blob"):
            found += _line(commit, rule)
        found.append(f"git log -1 --format=fuller --show-signature {commit}")
    if fields["plan"] is not None:
        found.append(f"orloj history show {fields['applied']['history']}")
    approval = fields.get("approval")
    if approval is not None:
        found.append(f"orloj approvals show {shlex.quote(approval['id'])} --payload request")
    task = (fields.get("task") or {}).get("id")
    if task is not None:
        found.append(f"orloj audit log --task {shlex.quote(task)} --json")
    decided = ((fields.get("call") or {}).get("decided") or {}).get("entry")
    if decided is not None and fields["proof"]["proved"]:
        found.append(f"orloj audit prove {decided}")
    return [*found, "orloj audit verify"]


def _line(commit: str, rule: Fields) -> list[str]:
    first, last = rule["excerpt"][0][0], rule["excerpt"][-1][0]
    spec = shlex.quote(f"{commit}:{rule['path']}")
    place = f"-L {rule['line']},{rule['line']} {commit} -- {shlex.quote(rule['path'])}"
    written = rule["written"]
    found = [
        f"git rev-parse {spec}",
        f"git show {spec} | sed -n '{first},{last}p'",
        f"git blame {place}",
    ]
    if written is not None and written["commit"] != commit:
        found.append(f"git log -1 --format=fuller --show-signature {written['commit']}")
    return found
