"""Which model an endpoint says that answered: a name such as `gpt-4` is an alias that moves.

Kept when it is first seen and when it changes, in the transaction of the step. An answer is
compared in memory, so that a question costs nothing more as long as nothing changes.
"""

from typing import Final

from sqlalchemy import Connection

from runner.contract import observations
from runner.contract.kinds import Key

ANSWERED: Final = "model "
KNOWN_MAX: Final = 1_000


class Answers:
    """What is known of the endpoints, on one held connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[Key, str], str] = {}

    def note(self, endpoint: Key, asked: str, said: object, now_us: int) -> None:
        """Take down what an endpoint called the model that answered."""
        place = (endpoint, asked)
        if not isinstance(said, str) or not said or self._known.get(place) == said:
            return
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[place] = said
        at = ("", str(endpoint), _plain(f"{ANSWERED}{asked}"))
        known = observations.one(self._connection, at)
        changed = observations.fresh(known, [(at, _plain(said))], now_us)
        observations.write(self._connection, changed, ())

    def forget(self) -> None:
        """Believe nothing of a transaction that did not come about."""
        self._known.clear()


def _plain(text: str) -> str:
    """What any database takes: a stranger wrote it."""
    return text.encode("unicode_escape").decode("ascii")[: observations.TEXT_MAX]
