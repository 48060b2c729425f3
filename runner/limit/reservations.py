"""What calls set aside under limits, as rows: all of a call's limits, or none.

    ask ──> larger than a limit: denied ──> no room under one: the task waits
        ──> reserved under all of them ──> the call is made ──> settled (`settlements`)

Runs inside the dispatcher's write transaction and its journal calls it; who carries no limit
costs nothing here. All of a call's limits are looked at before any is charged, so that a call
that one of them refuses takes nothing of the others.

The first statement moves the clock of the limits (`limit_clock`), which is the database
server's where there is one, and never goes back. That row is also what keeps two hosts from
looking at the same time: it stays locked until the transaction ends.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from runner import queue
from runner.claim import Held, Parking, entry
from runner.contract.audit_entry import EntryType
from runner.contract.errors import LeaseLost, OrlojError
from runner.contract.task_state import TaskState
from runner.governance.verdict import Decision, Verdict, deny
from runner.limit import rows as limit_rows
from runner.limit import rules as limit_rules
from runner.limit.limits import (
    Ask,
    Dimension,
    Limit,
    Sized,
    TooLarge,
    admits,
    fallback_wait_us,
    size,
)
from runner.limit.rows import Wait
from runner.limit.settlements import Settlements
from runner.manifest_set import PlacedAgent
from runner.pinning import Pins

Message = dict[str, Any]
Charge = tuple[Limit, int]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that asks for room: of which agent, in which step, and when."""

    held: Held
    agent: str
    step: int
    at_us: int
    """By the clock of the limits."""
    now_us: int
    """By the wall clock of this host, by which waits end."""


class Reservations:
    """Looks at the limits of the calls of one dispatcher, and sets aside what they take."""

    def __init__(self, connection: Connection, pins: Pins, settlements: Settlements) -> None:
        self._connection = connection
        self._pins = pins
        self._settlements = settlements

    def model(
        self, held: Held, message: Message, verdict: Verdict, now_us: int
    ) -> Verdict | Parking:
        """The verdict on a question to a model once its limits have been looked at."""
        if verdict.decision is not Decision.ALLOW:
            return verdict
        manifests = self._pins.load(held.manifests)
        agent = manifests.agent(message["agent"])
        if not manifests.limited:
            return replace(verdict, output_max=agent.spec.limits.max_output_tokens)
        try:
            choice = message.get("choice", 0)
            limits = limit_rules.of_model(manifests, agent, held.task, held.task_name, choice)
        except OrlojError as error:
            return deny(str(error), agent.at("/spec/governance"))
        call = self._call(held, message, now_us)
        if call is None:
            return deny("the clock of the database cannot be read", agent.at(""))
        self._leave_others(call)
        sized = self._sized(limits, message.get("tokens"), agent)
        if isinstance(sized, Verdict):
            return sized
        charges = self._charges(limits, sized, held.task)
        own = agent.spec.limits.max_output_tokens
        output = own if sized is None else sized.output
        refused = self._reserved(call, charges, sized)
        return refused or replace(verdict, output_max=output)

    def tool(
        self, held: Held, message: Message, verdict: Verdict, now_us: int
    ) -> Verdict | Parking:
        """The verdict on a tool call once its limits have been looked at."""
        if verdict.decision is not Decision.ALLOW:
            return verdict
        manifests = self._pins.load(held.manifests)
        if not manifests.limited:
            return verdict
        agent = manifests.agent(message["agent"])
        limits = limit_rules.of_tool(manifests, agent, message["tool"])
        if not limits:
            return verdict
        call = self._call(held, message, now_us)
        if call is None:
            return deny("the clock of the database cannot be read", limits[0].rule)
        return self._reserved(call, [(limit, 1) for limit in limits], None) or verdict

    def _call(self, held: Held, message: Message, now_us: int) -> _Call | None:
        """A call of a task that is still in its holder's hands; None when no clock can be read.

        What the task left open, which a worker that asks twice may, is charged first.
        """
        if (held.task, held.fence) not in queue.in_hand(self._connection, [held.task]):
            raise LeaseLost
        at_us = limit_rows.moment(self._connection, now_us)
        if at_us is None:
            return None
        call = _Call(held, message["agent"], message["step"], at_us, now_us)
        left = [
            row
            for row in limit_rows.open_rows(self._connection, held.task)
            if row.dimension is not Dimension.CONCURRENT_TASKS
        ]
        if left:
            about = entry(EntryType.TOKENS_SETTLED, held)
            used = [(row, row.amount) for row in left]
            self._settlements.count(about, used, "estimate", at_us, now_us)
        return call

    def _leave_others(self, call: _Call) -> None:
        """Give back the places that the task held while agents before this one worked."""
        rows = [
            row
            for row in limit_rows.open_rows(self._connection, call.held.task)
            if row.agent != call.agent
        ]
        if rows:
            about = entry(EntryType.TOKENS_SETTLED, call.held)
            used = [(row, row.amount) for row in rows]
            self._settlements.count(about, used, "left", call.at_us, call.now_us)

    def _sized(
        self, limits: list[Limit], asked: Message | None, agent: PlacedAgent
    ) -> Sized | Verdict | None:
        """What the call sets aside; None: nothing counts tokens; or a denial: it never fits."""
        counting = [one for one in limits if one.dimension is not Dimension.CONCURRENT_TASKS]
        if not counting:
            return None
        if asked is None:
            return deny("the worker did not say what the call may take", counting[0].rule)
        wanted, known = limit_rules.output_wanted(agent), asked["output"]
        ask = Ask(
            asked["input"], asked["likely"], wanted if known is None else min(known, wanted)
        )
        sized = size(ask, [(limit, self._room(limit)) for limit in counting])
        if isinstance(sized, TooLarge):
            return deny(str(sized), sized.limit.rule)
        return sized

    def _room(self, limit: Limit) -> int:
        """What a limit could ever give the call: all of it, or what the task has left of it."""
        if limit.dimension is not Dimension.TOKENS_PER_RUN:
            return limit.bound
        return limit.bound - limit_rows.counted(self._connection, limit, 0)

    def _charges(self, limits: list[Limit], sized: Sized | None, task: str) -> list[Charge]:
        charges: list[Charge] = []
        for limit in limits:
            if limit.dimension is not Dimension.CONCURRENT_TASKS:
                assert sized is not None
                charges.append((limit, limit.amount(sized.input, sized.output)))
            elif not limit_rows.holds_place(self._connection, task, limit.scope):
                charges.append((limit, 1))
        return charges

    def _reserved(
        self, call: _Call, charges: list[Charge], sized: Sized | None
    ) -> Parking | None:
        """Reserve all of a call, and None; or nothing, and how long its task must wait."""
        wait = limit_rows.waiting(self._connection, call.held.task)
        place = (call.at_us if wait is None else wait.since_us, call.held.task)
        refused = [
            (limit, amount, self._due(limit, amount, place, call.at_us))
            for limit, amount in charges
            if not self._admits(limit, amount, place, call.at_us)
        ]
        if refused:
            return self._parking(call, max(refused, key=lambda one: one[2]), wait)
        if charges:
            self._write(call, charges, sized)
        if wait is not None:
            limit_rows.forget_wait(self._connection, call.held.task)
            what = (wait.dimension, wait.scope)
            limit_rows.advance(self._connection, what, call.at_us, call.now_us)
        return None

    def _parking(
        self, call: _Call, refused: tuple[Limit, int, int], wait: Wait | None
    ) -> Parking:
        """Put the task in line under the limit that keeps it longest."""
        limit, amount, due_us = refused
        made = Wait(
            task=call.held.task,
            dimension=limit.dimension,
            scope=limit.scope,
            amount=amount,
            bound=limit.bound,
            since_us=call.at_us if wait is None else wait.since_us,
            due_us=due_us,
        )
        limit_rows.wait(self._connection, made)
        if wait is not None and (wait.dimension, wait.scope) != (limit.dimension, limit.scope):
            what = (wait.dimension, wait.scope)
            limit_rows.advance(self._connection, what, call.at_us, call.now_us)
        counted = limit_rows.counted(self._connection, limit, call.at_us)
        reason = (
            f"waits for {limit}: {counted} of {limit.bound} {limit.unit} are in use and"
            f" {amount} are needed"
        )
        until_us = call.now_us + due_us - call.at_us
        return Parking(TaskState.WAITING_TOKENS, until_us, reason)

    def _admits(self, limit: Limit, amount: int, place: tuple[int, str], at_us: int) -> bool:
        ahead = limit_rows.ahead(self._connection, limit, place, at_us)
        counted = limit_rows.counted(self._connection, limit, at_us)
        return admits(limit.bound, counted, ahead, amount)

    def _due(self, limit: Limit, amount: int, place: tuple[int, str], at_us: int) -> int:
        """When a task that has no room should look again, unless it is woken earlier."""
        ahead = limit_rows.ahead(self._connection, limit, place, at_us)
        if not ahead:
            found = limit_rows.due(self._connection, limit, amount, at_us)
            if found is not None:
                return found
        return at_us + fallback_wait_us(limit.bound, ahead, amount)

    def _write(self, call: _Call, charges: list[Charge], sized: Sized | None) -> None:
        held = call.held
        limit_rows.reserve(
            self._connection,
            [
                (held.task, held.fence, call.step, call.agent, limit.dimension.value)
                + (limit.scope, amount, limit.bound, call.at_us)
                for limit, amount in charges
            ],
        )
        for limit, _ in charges:
            limit_rows.prune(self._connection, limit, call.at_us)
        listed = tuple(
            (limit.dimension.value, limit.scope, amount, limit.bound)
            for limit, amount in charges
        )
        facts: dict[str, Any] = {"step": call.step, "agent": call.agent, "at": call.at_us}
        if sized is not None:
            facts |= {"tokens_in": sized.input, "tokens_out": sized.output}
            facts |= {"outcome": "estimate" if sized.estimated else "bound"}
        facts |= {"rule": charges[0][0].rule, "charges": listed}
        self._settlements.log([entry(EntryType.TOKENS_RESERVED, held, **facts)])
