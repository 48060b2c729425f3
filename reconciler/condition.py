"""How the last look at the repository went, as the status shows it.

Ready        the commit applied is the one the ref names
Reconciling  not there yet: the world may mend itself, or a window opens; we try again
Stalled      a person or another commit must act; the last good state stays
"""

from dataclasses import replace
from typing import Final

from reconciler import recorded
from reconciler.git import address as git_address
from reconciler.recorded import SourceState
from runner.contract.database import Database
from runner.contract.source_settings import Source

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
CHECKED_EVERY_US: Final = 60_000_000
"""How often a look that found nothing new is written down: an idle daemon lets disks sleep."""


class Conditions:
    """Reads and writes the row of a repository."""

    def __init__(
        self, name: str, source: Source, database: Database, ref: str | None = None
    ) -> None:
        self.ref = source.ref if ref is None else ref  # As it is shown.
        self.name = name
        self._source = source
        self._database = database

    def state(self) -> SourceState | None:
        """The row; None before the first look."""
        with self._database.read() as connection:
            return recorded.source(connection, self.name)

    def fresh(self) -> SourceState:
        """The row of a repository that nobody looked at."""
        return SourceState(
            name=self.name,
            url=git_address.plain(self._source.url),
            ref=self.ref,
            path=self._source.path,
            settings_digest="",
        )

    def saying(self, condition: str, reason: str, message: str) -> SourceState:
        """The row with this condition; what it says of an earlier one is forgotten."""
        old = self.state() or self.fresh()
        kept = old.problems if old.condition == condition == READY else "[]"
        return replace(
            old,
            # Who reads the condition must see the repository of which it speaks.
            url=git_address.plain(self._source.url),
            ref=self.ref,
            path=self._source.path,
            condition=condition,
            reason=reason,
            message=message,
            problems=kept,
        )

    def write(self, new: SourceState, now_us: int, *, forced: bool = False) -> None:
        """Write the row if it says something new, or nothing was written for a minute."""
        old = self.state()
        recent = old is not None and now_us - (old.checked_at or 0) < CHECKED_EVERY_US
        if forced or not recent or old != new:
            with self._database.write() as connection:
                recorded.put_source(connection, replace(new, checked_at=now_us))
