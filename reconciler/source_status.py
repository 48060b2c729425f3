"""What the rows say of every repository: those that are followed, and those that still own.

settings.followed ─┐
rows of sources ───┼─> one record each, the default one first
owners of resources┘
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from reconciler import control, recorded, transition
from reconciler.condition import RECONCILING
from reconciler.control import Control
from reconciler.git import address as git_address
from reconciler.history import history
from reconciler.history.plan import Record
from reconciler.recorded import SourceState
from reconciler.resource import git_owner
from reconciler.transition import Standing
from runner.contract.settings import DEFAULT_SOURCE, Settings
from runner.contract.source_settings import Source

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that the rows say of a repository. `standing` is None before its first look."""

    state: SourceState
    standing: Standing | None
    control: Control
    record: Record | None
    settings: Source | None
    resources: int

    @property
    def next_at(self) -> int | None:
        """When it will be looked at again by itself, as far as that can be told."""
        if self.standing is not None and self.standing.retry_at is not None:
            return self.standing.retry_at
        if self.settings is None or self.state.checked_at is None:
            return None
        return self.state.checked_at + int(self.settings.interval_s * _SECOND_US)


def known(connection: Connection, settings: Settings) -> list[Known]:
    """Every repository, the default one first."""
    rows = {state.name: state for state in recorded.sources(connection)}
    owned = _owned(connection)
    followed = settings.followed
    # A home that another part of the settings filled once still shows what it owns.
    names = [
        *followed,
        *(name for name in rows if name not in followed and _shown(name, owned)),
    ]
    names.sort(key=lambda name: (name != DEFAULT_SOURCE, name))
    standings, controls = transition.standings(connection), control.controls(connection)
    return [
        Known(
            state=rows.get(name) or _fresh(name, followed[name]),
            standing=standings.get(name),
            control=controls.get(name) or Control(name=name),
            record=_applied(connection, rows.get(name)),
            settings=followed.get(name),
            resources=owned.get(name, 0),
        )
        for name in names
    ]


def _shown(name: str, owned: Mapping[str, int]) -> bool:
    """Whether a repository without settings matters: the default one always did."""
    return name == DEFAULT_SOURCE or bool(owned.get(name))


def _owned(connection: Connection) -> dict[str, int]:
    rows = connection.exec_driver_sql("SELECT owner, count(*) FROM resource GROUP BY owner")
    start = git_owner("")
    return {
        owner.removeprefix(start): count for owner, count in rows if owner.startswith(start)
    }


def _applied(connection: Connection, state: SourceState | None) -> Record | None:
    if state is None or state.applied_commit is None:
        return None
    return history.of_commit(connection, state.name, state.applied_commit)


def _fresh(name: str, source: Source) -> SourceState:
    state = SourceState(
        name=name,
        url=git_address.plain(source.url),
        ref=source.ref,
        path=source.path,
        settings_digest="",
    )
    return replace(state, condition=RECONCILING, message="nothing has looked at it yet")
