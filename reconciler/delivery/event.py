"""What a proved delivery says: which event it is, and the input of the task. Pure.

Refused tells whoever sent it, who has shown that they know the secret, what to mend.
"""

import hashlib
import json
from typing import Any, Final

from reconciler.delivery.evidence import Header
from runner.contract.errors import Refused
from runner.contract.kinds import Key, TaskWebhook

BODY_BYTES_MAX: Final = 262_144
"""As long as an input in a manifest may be."""
EVENT_CHARACTERS_MAX: Final = 256


def event(spec: TaskWebhook, header: Header, body: bytes) -> str:
    """By what the sender calls this event; Refused when it has no name."""
    if spec.event_header is not None:
        found = header(spec.event_header.lower())
        if not found:
            raise Refused(f"the header {spec.event_header}, the event's id, must be there once")
    else:
        path = spec.idempotency.event_id_from_body or ""
        found = _at(_json(body), path)
    if len(found) > EVENT_CHARACTERS_MAX:
        raise Refused(f"the event's id is longer than {EVENT_CHARACTERS_MAX} characters")
    return found


def digest(event_id: str) -> str:
    """What an event is known by in the database; the id itself may be anything."""
    return hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()


def inputs(
    key: Key,
    spec: TaskWebhook,
    body: bytes,
    event_id: str,
    *,
    received_at: str,
    declared: set[str],
) -> dict[str, str]:
    """The inputs that a delivery fills; Refused. `declared` are the names the task knows."""
    told = {
        "webhook_event_id": event_id,
        "webhook_received_at": received_at,
        "webhook_source": f"{key.namespace}/{key.name}",
    }
    if spec.payload.mode == "raw":
        return told | {spec.payload.input_key: _text(body)}
    value = _json(body)
    if not isinstance(value, dict):
        raise Refused("the body must be a JSON object: its members become the task's inputs")
    return told | {
        name: item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        for name, item in value.items()
        if name in declared and name not in told
    }


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("the body is no UTF-8") from error
    if "\x00" in text:  # PostgreSQL keeps none.
        raise Refused("the body holds a NUL")
    return text


def _json(body: bytes) -> Any:
    try:
        value = json.loads(_text(body))
        # As it will be stored: half of a surrogate pair can be neither.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Refused("the body is no JSON") from error
    if "\\u0000" in json.dumps(value):
        raise Refused("the body holds a NUL")
    return value


def _at(value: Any, path: str) -> str:
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Refused(f"the body has no text or whole number at {path}, the event's id")
    return str(value)
