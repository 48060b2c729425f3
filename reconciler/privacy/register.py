"""The register of erasures: what the log says was erased, by whom and on what ground."""

import json

from sqlalchemy import Connection

from reconciler.privacy.record import Registered
from runner.contract import audit, disclosures
from runner.contract.audit_entry import EntryType


def listed(connection: Connection) -> list[Registered]:
    """Every erasure, oldest first."""
    found = []
    for stored in audit.read(connection, type_prefix=EntryType.ERASURE_DONE.value):
        said = connection.exec_driver_sql(
            "SELECT field, value FROM disclosure WHERE seq = ?", (stored.seq,)
        )
        text = connection.exec_driver_sql(
            "SELECT listed FROM erasure WHERE seq = ?", (stored.seq,)
        ).scalar_one_or_none()
        whole = text is not None and disclosures.vouched(stored.fields, text)
        found.append(
            Registered(
                stored.seq,
                stored.fields,
                {name: str(json.loads(value)) for name, value in said},
                json.loads(str(text)) if whole else None,
            )
        )
    return found
