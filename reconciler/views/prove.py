"""What a proof file proves, as words. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text


def proved(found: Mapping[str, Any]) -> Text:
    """The entry that a proof holds, and what it is proved by."""
    by = f", cosigned by {', '.join(found['cosigned'])}" if found["cosigned"] else ""
    text = Text(f"Proved: entry {found['seq']} of {found['log']}, ")
    text.append(f"one of {found['size']} that were signed{by}.\n")
    text.append(json.dumps(found["entry"], indent=2, ensure_ascii=True))
    return text
