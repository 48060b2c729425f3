"""The annotations that Orloj acts on: how a resource wants to be deleted and changed. Pure.

They stand in the recorded body, so that what was asked for outlives the manifest.
"""

import json
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "orloj.dev/"
PROTECT: Final = "orloj.dev/protect"
"""`"true"`: it is not deleted, renamed or handed over unless somebody names it."""
IN_FLIGHT: Final = "orloj.dev/in-flight"
"""What becomes of tasks in flight when it changes: `continue`, `cancel` or `drain`."""
DRAIN_TIMEOUT: Final = "orloj.dev/drain-timeout"
"""How long `drain` waits, as `10m`."""
KNOWN: Final = (PROTECT, IN_FLIGHT, DRAIN_TIMEOUT)


def annotations(body: str) -> Mapping[str, str]:
    """The annotations in a stored text that are ours; most have none, and are not parsed."""
    if PREFIX not in body:
        return {}
    found = json.loads(body).get("annotations", {})
    return {name: value for name, value in found.items() if name in KNOWN}


def protected(body: str) -> bool:
    """Whether it is protected from deletion. What was recorded and is no answer is a yes."""
    return annotations(body).get(PROTECT, "false") != "false"
