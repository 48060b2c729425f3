"""The approval that a call rests on, held against the log and against its own signature."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.why.call import Call
from runner.approval import rows, signature
from runner.approval.request import ApprovalRecord, digest_of
from runner.approval.rows import Declared
from runner.contract import clock, persons
from runner.contract.audit_entry import EntryType
from runner.contract.errors import NotFound, Refused

_APPROVER: Final = "approver:"


def fields(connection: Connection, call: Call) -> dict[str, Any] | None:
    """What `orloj why` says of the request of a call; None: nobody was asked."""
    ids = [entry.text("approval") for entry in call.approval]
    id = ids[-1] if ids else None
    if id is None:
        return None
    try:
        record = rows.get(connection, id)
        request = record.request()
    except (NotFound, Refused) as error:
        return _shown(id, None, "none", [str(error)])
    faults = _faults(record, call, persons.names(connection))
    found = _signature(record, rows.approvers(connection, request.call.namespace))
    if found == "invalid":
        faults.append(f"the signature of request {id} is not the approver's")
    return _shown(id, record, found, faults)


def _shown(
    id: str, record: ApprovalRecord | None, found: str, faults: list[str]
) -> dict[str, Any]:
    decided = record.decided_at if record else None
    return {
        "id": id,
        "state": record.state.value if record else None,
        "approver": record.approver if record else None,
        "assurance": record.assurance if record else None,
        "signature": found,
        "digest": record.digest if record else None,
        "reason": record.reason if record else None,
        "requested_at": clock.iso(record.requested_at) if record else None,
        "decided_at": clock.iso(decided) if decided is not None else None,
        "faults": faults,
    }


def _faults(record: ApprovalRecord, call: Call, people: Mapping[str, str]) -> list[str]:
    """What the request's row says that the entries about it do not."""
    about = [entry for entry in call.approval if entry.text("approval") == record.id]
    faults = []
    if {entry.text("digest") for entry in about} - {None, digest_of(record.raw)}:
        faults.append(f"the log knows request {record.id} with other bytes than are kept")
    granted = [entry for entry in about if entry.type == EntryType.APPROVAL_GRANTED]
    actor = granted[-1].text("actor") if granted else None
    said = people.get(actor, actor) if actor else None  # Erased: the log names nobody.
    if said and said.startswith(_APPROVER) and said != f"{_APPROVER}{record.approver}":
        faults.append(f"entry {granted[-1].seq} says {said}, and the row {record.approver}")
    if not granted and record.state.value in ("approved", "consumed"):
        faults.append(f"the row of request {record.id} says yes, and the log knows of none")
    return faults


def _signature(record: ApprovalRecord, declared: Sequence[Declared]) -> str:
    """`verified`, `none`, `invalid`, or `unchecked`: the approver is another one by now."""
    if record.signature is None:
        return "none"
    theirs = [one for one in declared if one.name == record.approver]
    if not theirs or theirs[0].hash != record.approver_hash:
        return "unchecked"
    try:
        signature.signer(record.raw, record.signature, theirs)
    except Refused:
        return "invalid"
    return "verified"
