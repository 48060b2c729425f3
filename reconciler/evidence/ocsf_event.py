"""An entry of the log as an OCSF event: API Activity (class 6003) of OCSF 1.9.0. Pure.

Source: schema.ocsf.io, class api_activity with the profiles ai_operation and
record_integrity. Only fields of the entry's header go in, which name people by what stands
for them, and none of its free text: no reason, no outcome, no value.

`attestation.fingerprint` is SHA-256 over the event itself in RFC 8785, without it, as the
profile says. The log's own proof is about the entry, which is something else: it stands
under `unmapped`, where nobody takes it for a signature over this event.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from runner.contract import audit_entry
from runner.contract.audit_entry import EntryType

VERSION: Final = "1.9.0"
CLASS_UID: Final = 6003
SHA_256: Final = 3
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
SUCCESS, FAILURE, UNKNOWN = 1, 2, 0
_PREFIXES: Final = ("action.", "manifest.", "resource.")
_BY_VERB: Final = {
    "create": CREATE, "read": READ, "write": UPDATE, "update": UPDATE, "delete": DELETE,
}  # fmt: skip
_BY_TYPE: Final = {
    EntryType.APPROVAL_REQUESTED: CREATE,
    EntryType.APPROVAL_GRANTED: UPDATE,
    EntryType.APPROVAL_DENIED: UPDATE,
    EntryType.APPROVAL_WITHDRAWN: UPDATE,
    EntryType.APPROVAL_EXPIRED: UPDATE,
    EntryType.APPROVAL_CONSUMED: UPDATE,
    EntryType.RESOURCE_CREATED: CREATE,
    EntryType.RESOURCE_UPDATED: UPDATE,
    EntryType.RESOURCE_MOVED: UPDATE,
    EntryType.RESOURCE_DELETED: DELETE,
    EntryType.MANIFEST_APPLIED: UPDATE,
    EntryType.MANIFEST_REVERTED: UPDATE,
}
_ACTIVITIES: Final = {
    CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete", OTHER: "Other",
}  # fmt: skip
_FAILED: Final = frozenset(
    {
        EntryType.ACTION_FAILED,
        EntryType.APPROVAL_DENIED,
        EntryType.APPROVAL_EXPIRED,
        EntryType.MANIFEST_REJECTED,
    }
)
_SEVERITIES: Final = {"I": (1, "Informational"), "W": (3, "Medium"), "E": (4, "High")}
_STATUSES: Final = {SUCCESS: "Success", FAILURE: "Failure", UNKNOWN: "Unknown"}
_KEPT: Final = (
    *(
        "decision",
        "chain",
        "attempt",
        "step",
        "isolation",
        "tool_code",
        "tries",
        "tokens_in",
        "tokens_out",
    ),
    *("rule", "manifests", "task_seq"),
)
_PERSON: Final = ("person:", "approver:", "p:")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the log says of every entry of an export: its checkpoint and who signed that."""

    log: str
    size: int
    root: str
    signers: tuple[tuple[str, str], ...]
    """The name and the key id of each signature on the checkpoint."""


def event(fields: dict[str, Any], leaf: bytes, proof: Proof, product: str) -> Any | None:
    """The event of an entry; None for one that is about neither calls nor manifests."""
    kind = str(fields.get("type", ""))
    if not kind.startswith(_PREFIXES):
        return None
    activity = _activity(fields, kind)
    status = _status(fields, kind)
    severity_id, severity = _SEVERITIES.get(str(fields.get("code"))[-1:], (0, "Unknown"))
    made: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity] if activity != OTHER else kind,
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "type_uid": CLASS_UID * 100 + activity,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status,
        "status": _STATUSES[status],
        "time": int(fields.get("time", 0)) // 1_000,
        "actor": _actor(str(fields.get("actor", "unknown"))),
        "api": _api(fields, kind),
        "src_endpoint": {"svc_name": "orloj", "instance_uid": proof.log},
        "resources": list(_resources(fields)),
        "metadata": _metadata(fields, proof, product),
        "unmapped": _unmapped(fields, leaf, proof),
    }
    if not made["resources"]:
        del made["resources"]
    if "duration_us" in fields:
        made["duration"] = int(fields["duration_us"]) // 1_000
    made |= _ai(fields)
    return _attested(made, int(fields.get("seq", 0)), proof)


def _activity(fields: dict[str, Any], kind: str) -> int:
    for known, activity in _BY_TYPE.items():
        if known == kind:
            return activity
    verbs = {part.partition(":")[0] for part in str(fields.get("permission", "")).split()}
    found = {_BY_VERB[verb] for verb in verbs if verb in _BY_VERB}
    return found.pop() if len(found) == 1 and len(verbs) == 1 else OTHER


def _status(fields: dict[str, Any], kind: str) -> int:
    if kind in _FAILED or fields.get("decision") == "deny":
        return FAILURE
    undecided = kind == EntryType.ACTION_UNKNOWN or fields.get("decision") == "ask"
    return UNKNOWN if undecided else SUCCESS


def _actor(actor: str) -> dict[str, Any]:
    """Whoever did it: a person by what stands for them, else a program of ours."""
    if actor.startswith(_PERSON):
        return {"user": {"uid": actor}}
    return {"application": {"uid": actor}}


def _api(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    name = fields.get("tool") or fields.get("model")
    made: dict[str, Any] = {"operation": kind}
    if name:
        service = "tool" if fields.get("tool") else "model"
        made["service"] = {"name": str(name), "labels": [service]}
    if "task" in fields:
        made["request"] = {"uid": f"{fields['task']}/{fields.get('step', 0)}"}
    return made


def _resources(fields: dict[str, Any]) -> Any:
    """What an event is about, each with its type."""
    for permission in str(fields.get("permission", "")).split():
        yield {"type": "permission", "name": permission}
    for name in ("resource", "rule"):
        if fields.get(name):
            yield {"type": "manifest" if name == "rule" else name, "name": str(fields[name])}
    for name in ("approval", "commit"):
        if fields.get(name) and fields[name] != audit_entry.NO_COMMIT:
            yield {"type": name, "uid": str(fields[name])}


def _metadata(fields: dict[str, Any], proof: Proof, product: str) -> dict[str, Any]:
    profiles = ["record_integrity"]
    if "agent" in fields:
        profiles.insert(0, "ai_operation")
    made: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "orloj", "vendor_name": "Orloj", "version": product},
        "profiles": profiles,
        "uid": f"{proof.log}/{fields.get('seq')}",
        "sequence": int(fields.get("seq", 0)),
        "event_code": str(fields.get("code")),
        "log_name": proof.log,
        "type": str(fields.get("type")),
    }
    if "task" in fields:
        made["correlation_uid"] = str(fields["task"])
    return made


def _ai(fields: dict[str, Any]) -> dict[str, Any]:
    """The profile ai_operation: which agent, and which model where one was asked."""
    if "agent" not in fields:
        return {}
    agent: dict[str, Any] = {"name": str(fields["agent"])}
    if "model" in fields:
        # The schema wants a provider, and an entry does not name one.
        agent["ai_model"] = {"name": str(fields["model"]), "ai_provider": "unknown"}
    return {"ai_agent": agent}


def _unmapped(fields: dict[str, Any], leaf: bytes, proof: Proof) -> dict[str, Any]:
    return {
        **{name: fields[name] for name in _KEPT if name in fields},
        "transparency_log": {
            "leaf_index": int(fields.get("seq", 1)) - 1,
            "leaf_hash": leaf.hex(),
            "checkpoint_size": proof.size,
            "checkpoint_root": proof.root,
            "checkpoint_signatures": [
                {"name": name, "key_id": key_id} for name, key_id in proof.signers
            ],
        },
    }


def _attested(made: dict[str, Any], seq: int, proof: Proof) -> dict[str, Any]:
    """The event with the fingerprint of all that is in it but the fingerprint."""
    made["attestation"] = {"uid": f"{proof.log}/{seq}", "chain_uid": proof.log}
    made["attestation"]["authority_uid"] = proof.log
    digest = hashlib.sha256(audit_entry.encoded(made)).hexdigest()
    made["attestation"]["fingerprint"] = {
        "algorithm_id": SHA_256,
        "algorithm": "SHA-256",
        "value": digest,
    }
    return made
