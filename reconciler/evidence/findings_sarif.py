"""findings.sarif: what somebody should look at in the period, as review tools read it.

    widenings, overrides, rejections │ denials, unknown outcomes │ overruns, drift ──> results

SARIF 2.1.0 (OASIS). Results are written as entries go by. Nothing of an entry's free text
is in them, only names, codes and the manifest line that the entry names.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

from reconciler import sarif_result
from reconciler.evidence.part import Scope
from runner.contract import audit
from runner.contract.audit_entry import EntryType


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of finding: its id and its level stay what they are."""

    id: str
    level: str
    short: str


RULES: Final = {
    EntryType.MANIFEST_WIDENED: Rule(
        "permission-widened", "warning", "Something became possible that was not before."
    ),
    EntryType.MANIFEST_OVERRIDDEN: Rule(
        "gate-overridden", "warning", "Somebody let a commit pass that would have been stopped."
    ),
    EntryType.MANIFEST_REJECTED: Rule("commit-rejected", "error", "A commit was not applied."),
    EntryType.MANIFEST_REVERTED: Rule("commit-reverted", "warning", "A commit was put back."),
    EntryType.ACTION_DECIDED: Rule("call-denied", "note", "The guard denied a call."),
    EntryType.ACTION_UNKNOWN: Rule(
        "outcome-unknown", "error", "A call began and nobody saw it end."
    ),
    EntryType.APPROVAL_EXPIRED: Rule(
        "approval-expired", "note", "Nobody decided on a request in time."
    ),
    EntryType.DRIFT_DETECTED: Rule(
        "drift", "warning", "Something was not as it had been applied."
    ),
    EntryType.ALERT_TOKEN_OVERRUN: Rule(
        "limit-overrun", "warning", "A call used more than it had set aside."
    ),
    EntryType.LOG_PUBLISH_FAILED: Rule(
        "publish-failed", "error", "A checkpoint could not be published."
    ),
}
_ORDER: Final = {kind: index for index, kind in enumerate(RULES)}
_NAMED: Final = ("agent", "tool", "model", "permission", "resource")
_KEPT: Final = ("seq", "code", "task", "step", *_NAMED, "decision", "approval", "commit")


class FindingsSarif:
    """Writes a result for each entry that is a finding."""

    def __init__(self, scope: Scope, files: ExitStack) -> None:
        self._file = files.enter_context((scope.folder / "findings.sarif").open("w"))
        self._first = True
        self._file.write(_head(scope))

    def take(self, entry: audit.Stored) -> None:
        """Write the entry, if it is a finding."""
        found = result(entry.fields)
        if found is None:
            return
        self._file.write(("\n" if self._first else ",\n") + _text(found))
        self._first = False

    def end(self) -> None:
        """Close what was opened at the beginning."""
        self._file.write("\n]}]}\n")
        self._file.close()


def result(fields: dict[str, Any]) -> dict[str, Any] | None:
    """The finding that an entry is; None: it is none."""
    kind = next((kind for kind in RULES if kind == fields.get("type")), None)
    if kind is None:
        return None
    if kind is EntryType.ACTION_DECIDED and fields.get("decision") != "deny":
        return None
    rule = RULES[kind]
    names = ", ".join(f"{name} {fields[name]}" for name in _NAMED if fields.get(name))
    about = f" {_plain(names)}." if names else ""
    made: dict[str, Any] = {
        "ruleId": rule.id,
        "ruleIndex": _ORDER[kind],
        "level": rule.level,
        "message": {"text": f"{rule.short}{about} Entry {fields.get('seq')} of the log."},
        "properties": {name: fields[name] for name in _KEPT if name in fields},
    }
    place = _place(fields.get("rule"))
    if place is not None:
        made["locations"] = [sarif_result.location(*place)]
    return made


def _place(rule: object) -> tuple[str, int] | None:
    """The path and the line of a rule; None where it names none."""
    path, _, digits = rule.rpartition(":") if isinstance(rule, str) else ("", "", "")
    if not path or not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        return None
    return path, int(digits)


def _plain(text: str) -> str:
    """Text in which nothing steers a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _head(scope: Scope) -> str:
    """All of the file that comes before the results."""
    driver = {
        "name": "orloj",
        "version": metadata.version("orloj"),
        "rules": [
            {"id": rule.id, "shortDescription": {"text": rule.short}} for rule in RULES.values()
        ],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{scope.log}/{scope.first}-{scope.last}"},
        "columnKind": "unicodeCodePoints",
    }
    opening = f'{{"$schema":{_text(sarif_result.SCHEMA)},"version":"2.1.0","runs":['
    return f'{opening}{_text(run)[:-1]},"results":['


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
