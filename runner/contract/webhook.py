"""What all webhooks that we call have in common: signature and harmless text. Pure."""

import hashlib
import hmac
from typing import Final

SIGNATURE_HEADER: Final = "Orloj-Signature"
KEY_HEADER: Final = "Idempotency-Key"
WORD_CHARACTERS_MAX: Final = 120


def signature(secret: str, time_s: int, content: bytes) -> str:
    """The value of the signature header: a time, and an HMAC over the time and the body.

    `t=SECONDS,v1=HEX`, HEX = HMAC-SHA256(secret, "SECONDS." ‖ body).
    """
    message = str(time_s).encode() + b"." + content
    digest = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    return f"t={time_s},v1={digest}"


def line(text: str, characters_max: int = WORD_CHARACTERS_MAX) -> str:
    """A text on one line, cut, without a character that cannot be seen."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + "…"


def slack_code(text: str, characters_max: int = WORD_CHARACTERS_MAX) -> str:
    """A text that Slack shows letter by letter: escaped, cut, no mention and no format."""
    short = line(text, characters_max).replace("`", "'")
    escaped = short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{escaped or '-'}`"
