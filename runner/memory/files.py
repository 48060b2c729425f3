"""Memories in a file of this host: the providers `sqlite` and `in-memory`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from runner.contract import clock
from runner.contract.memory_entry import Entry, Space, agree
from runner.contract.memory_file import MemoryFile, Write
from runner.memory import Hit, Origin, Query, ranking


@dataclass(frozen=True, slots=True)
class FileStore:
    """One memory in a file. Each call opens, works and closes in a thread of its own."""

    file: MemoryFile
    memory: str
    entries_max: int

    async def read(self, key: str) -> str | None:
        """What stands under a key."""
        found = await asyncio.to_thread(self.file.get, self.memory, key)
        return None if found is None else found.value

    async def write(
        self,
        entries: Sequence[Entry],
        origin: Origin,
        space: Space | None,
        replaces: str | None = None,
    ) -> None:
        """Keep entries, all or none, once for each call."""
        asked = Write(
            memory=self.memory,
            entries=[replace(one, task=origin.task, agent=origin.agent) for one in entries],
            call=origin.call,
            space=space,
            entries_max=self.entries_max,
            now_us=clock.now_us(),
            replaces=replaces,
        )
        await asyncio.to_thread(self.file.write, asked)

    async def search(self, query: Query) -> list[Hit]:
        """The entries nearest to a query, best first."""
        return await asyncio.to_thread(self._search, query)

    async def under(self, prefix: str, limit: int) -> list[Entry]:
        """The entries whose keys begin with a prefix, sorted by key."""
        return await asyncio.to_thread(self.file.under, self.memory, prefix, limit)

    async def forget(self, keys: Sequence[str]) -> list[str]:
        """Delete entries; the keys of those that went."""
        gone = await asyncio.to_thread(self.file.forget, self.memory, keys)
        return [key for key, _ in gone]

    def _search(self, query: Query) -> list[Hit]:
        agree(self.file.space(self.memory), query.space)
        return ranking.nearest(self.file.all(self.memory, self.entries_max), query)
