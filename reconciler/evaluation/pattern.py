"""Whether a text matches a pattern, within a bound of time that no pattern can break.

Some patterns take longer than the universe on some texts, and nothing tells them apart from
the others beforehand. A process of its own searches, and is ended when its time is over.
"""

import subprocess
import sys
from typing import Final

SEARCH_S: Final = 5.0
_SEARCH: Final = """\
import re, sys
length, _, rest = sys.stdin.buffer.read().partition(b"\\n")
pattern, text = rest[:int(length)].decode(), rest[int(length):].decode()
sys.exit(0 if re.search(pattern, text) else 3)
"""


def matches(pattern: str, text: str) -> bool | None:
    """Whether the pattern is found in the text; None when that took too long to say."""
    wanted = pattern.encode()
    message = f"{len(wanted)}\n".encode() + wanted + text.encode("utf-8", "replace")
    try:
        done = subprocess.run(  # noqa: S603 - our own program; the pattern is its input.
            [sys.executable, "-I", "-S", "-c", _SEARCH],
            input=message,
            capture_output=True,
            timeout=SEARCH_S,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return {0: True, 3: False}.get(done.returncode)
