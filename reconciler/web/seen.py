"""Which deliveries were accepted before, so that none counts twice. In memory, bounded.

Only what was proved goes in, so that a stranger cannot push anything out. It is forgotten at
a restart: a delivery that somebody recorded then costs one more look, which finds nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

KEPT_MAX: Final = 10_000


class Seen:
    """The keys of the newest deliveries."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._keys: OrderedDict[str, None] = OrderedDict()

    def first(self, keys: Sequence[str]) -> bool:
        """Whether none of these was seen before; from now on all of them were."""
        fresh = not any(key in self._keys for key in keys)
        self._keys.update(dict.fromkeys(keys))
        while len(self._keys) > self._kept_max:
            self._keys.popitem(last=False)
        return fresh
