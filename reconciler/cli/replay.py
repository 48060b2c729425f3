"""The calls of the past under a plan: reads the journal, and says how far it is."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context
from reconciler.governance.world import Declared
from reconciler.surroundings import Surroundings
from runner import past, pinning
from runner.contract import clock
from runner.contract.kinds import Key
from runner.governance import reach, replay
from runner.governance.replay import Replayed
from runner.manifest_set import ManifestSet, Placed

_EVERYBODY: Final = frozenset({"AgentPolicy", "Namespace", "ToolPermission"})
"""Kinds that bear on agents which do not name them."""
_SILENT_US: Final = 1_000_000
_STEP: Final = 250


@dataclass(frozen=True, slots=True)
class _Planned:
    """Resources as they will be: those of the plan, and the record for the rest."""

    connection: Connection
    around: Surroundings

    def manifests(self, subject: Key) -> ManifestSet:
        """The set of a subject once the plan is applied; NotFound."""
        return reach.gather(subject, self.find, self.unnamed)

    def find(self, key: Key) -> Placed | None:
        """A resource, unless the plan deletes it."""
        after = self.around.after.declared
        if key in after:
            return _placed(after[key])
        if key in self.around.before.declared:
            return None
        return pinning.find(self.connection, key)

    def unnamed(self, namespaces: list[str]) -> Iterable[Placed]:
        """What applies without being named."""
        _, planned = reach.among(
            {key: _placed(item) for key, item in self.around.after.declared.items()}
        )
        known = {*self.around.after.declared, *self.around.before.declared}
        yield from planned(namespaces)
        for placed in pinning.unnamed(self.connection, namespaces):
            if placed.key not in known:
                yield placed


def past_under(context: Context, around: Surroundings, since_us: int) -> Replayed:
    """What became of the calls of those whom the plan reaches."""
    everybody = any(key.kind in _EVERYBODY for key in around.changed)
    subjects = None if everybody else set(_subjects(around))
    with context.database.read() as connection:
        planned = _Planned(connection, around)
        calls = past.calls(connection, subjects, since_us)
        return replay.replay(calls, planned.manifests, since_us, _Progress().tell)


def _subjects(around: Surroundings) -> Iterator[Key]:
    yield from around.reached
    for key in around.changed:
        if key.kind in ("Agent", "AgentSystem"):  # A deleted one is reached by nothing.
            yield key


def _placed(item: Declared) -> Placed:
    return Placed(item.key, item.body, item.path, item.line, dict(item.lines))


class _Progress:
    """Says on a terminal how many calls were looked at, once it takes longer than a second."""

    def __init__(self) -> None:
        self._started_us = clock.boot_us()

    def tell(self, count: int) -> None:
        """Say it, if it is time."""
        late = count % _STEP == 0 and clock.boot_us() - self._started_us > _SILENT_US
        if late and sys.stderr.isatty():
            click.echo(f"\rReplayed {count} calls", nl=False, err=True)
