"""What ended calls used, in the place of what they set aside, and whose turn it is then.

    over ──────────────────────────> its usage, or nothing when no model has worked on it
    over, and nobody says what it cost, crashed, cancelled, silent ──> what was set aside

Every settlement is in the log. It may leave room: those who wait longest are woken for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from runner.claim import Held, entry
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.errors import OrlojError
from runner.limit import rows as limit_rows
from runner.limit import rules as limit_rules
from runner.limit.limits import Dimension, Limit
from runner.limit.rows import Row
from runner.pinning import Pins

Message = dict[str, Any]


class Settlements:
    """Settles the calls of one dispatcher; `log` takes the entries about them."""

    def __init__(
        self, connection: Connection, pins: Pins, log: Callable[[list[Entry]], None]
    ) -> None:
        self._connection = connection
        self._pins = pins
        self.log = log

    def limited(self, digest: str | None) -> bool:
        """Whether a manifest set limits anything; one that cannot be read may."""
        if digest is None:
            return False  # No worker ever had the task, so that nothing is set aside for it.
        try:
            return self._pins.load(digest).limited
        except (OrlojError, NoResultFound):
            return True

    def enter(self, sets: Iterable[str], now_us: int) -> None:
        """Lock the limits ahead of any row, so that two hosts do not meet crosswise."""
        if any(self.limited(digest) for digest in sets):
            limit_rows.moment(self._connection, now_us)

    def settle(self, held: Held, message: Message, now_us: int) -> None:
        """Count what an ended call used."""
        if not self.limited(held.manifests):
            return
        rows = [
            row
            for row in limit_rows.open_rows(self._connection, held.task)
            if (row.fence, row.step) == (held.fence, message["step"])
            and row.dimension is not Dimension.CONCURRENT_TASKS
        ]
        if not rows:
            return
        at_us = limit_rows.moment(self._connection, now_us) or now_us
        how = message.get("charge", "estimate")
        used = [(row, self._used(held, row, message, how)) for row in rows]
        self.count(entry(EntryType.TOKENS_SETTLED, held), used, how, at_us, now_us)
        over = [(row, amount) for row, amount in used if amount > row.amount]
        if over:
            facts: dict[str, Any] = {
                "step": message["step"],
                "agent": message["agent"],
                "model": message.get("model"),
                "reason": f"{over[0][0].amount} were reserved and {over[0][1]} were used",
                "at": at_us,
                "charges": _listed(over),
            }
            self.log([entry(EntryType.ALERT_TOKEN_OVERRUN, held, **facts)])

    def close(self, held: Held, now_us: int, *, over: bool, actor: str) -> None:
        """Charge what a task leaves open at what was set aside; `over`: it will not go on."""
        if self.limited(held.manifests):
            about = entry(EntryType.TOKENS_SETTLED, held, actor=actor)
            self.close_about(about, now_us, over=over)

    def close_about(self, about: Entry, now_us: int, *, over: bool) -> None:
        """The same for a task in nobody's hands; `about` is what its entries say."""
        assert about.task is not None
        rows = limit_rows.open_rows(self._connection, about.task)
        wait = limit_rows.waiting(self._connection, about.task) if over else None
        if rows or wait is not None:
            at_us = limit_rows.moment(self._connection, now_us) or now_us
            for step in sorted({(row.fence, row.step) for row in rows}):
                used = [(row, row.amount) for row in rows if (row.fence, row.step) == step]
                self.count(about, used, "estimate", at_us, now_us)
            if wait is not None:
                limit_rows.forget_wait(self._connection, about.task)
                limit_rows.advance(
                    self._connection, (wait.dimension, wait.scope), at_us, now_us
                )
        if over:
            limit_rows.forget_run(self._connection, about.task)

    def count(
        self, about: Entry, used: list[tuple[Row, int]], how: str, at_us: int, now_us: int
    ) -> None:
        """Settle rows of one step, log it, and wake who has room now."""
        limit_rows.settle(self._connection, used, at_us)
        first = used[0][0]
        facts: dict[str, Any] = {"attempt": first.fence, "step": first.step}
        facts |= {"agent": first.agent, "outcome": how, "at": at_us, "charges": _listed(used)}
        self.log([replace(about, **facts)])
        for row, _ in used:
            limit_rows.advance(self._connection, (row.dimension, row.scope), at_us, now_us)

    def _used(self, held: Held, row: Row, message: Message, how: str) -> int:
        """What a call counts under a limit: its usage, nothing, or what was set aside."""
        if row.dimension is Dimension.CALLS_PER_MINUTE or how not in {"usage", "nothing"}:
            return row.amount
        if how == "nothing":
            return 0
        tokens_in, tokens_out = message["tokens_in"], message["tokens_out"]
        if row.dimension is not Dimension.COST_PER_DAY:
            return int(tokens_in + tokens_out)
        manifests = self._pins.load(held.manifests)
        agent = manifests.agent(message["agent"])
        price = limit_rules.prices(manifests, agent, message.get("choice", 0))
        assert price is not None, "a cost was reserved for a model without a price"
        limit = Limit(row.dimension, row.scope, row.bound, "", price.input, price.output)
        return limit.amount(tokens_in, tokens_out)


def _listed(used: list[tuple[Row, int]]) -> tuple[tuple[str, str, int, int], ...]:
    return tuple((row.dimension.value, row.scope, amount, row.bound) for row, amount in used)
