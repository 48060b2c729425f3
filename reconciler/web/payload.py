"""Whether a delivery is about a ref that a repository does not follow. Pure.

All that is taken from what was sent, and only as a reason to sleep on: what cannot be read
wakes, since whoever sent it has proved who they are and a look costs little.
"""

import json

from runner.contract.source_settings import Source


def pushed_ref(body: bytes) -> str | None:
    """The full ref that a push is about; None where that cannot be told."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):  # No JSON, no text, too long a number, too deep.
        return None
    ref = payload.get("ref") if isinstance(payload, dict) else None
    return ref if isinstance(ref, str) and ref.startswith("refs/") else None


def concerns(ref: str | None, source: Source) -> bool:
    """Whether a push to that ref can be news for a repository."""
    if ref is None or source.commit:
        return True
    if source.semver:
        return ref.startswith("refs/tags/")
    return ref in (source.ref, f"refs/heads/{source.ref}")
