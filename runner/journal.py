"""The journal of tasks: every model and tool call, intent first, then result.

Runs inside the dispatcher's write transaction, where each call is also decided and logged.
LeaseLost means that the task belongs to somebody else now, and nothing was written.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from runner import call_facts, model_choice, queue, turn_note, visits
from runner.agent import Step
from runner.approval import asking
from runner.approval.approvals import Answer, Approvals
from runner.approval.asking import Question
from runner.claim import Held, Parking, entry
from runner.contract.audit_entry import Entry, EntryType, canonical
from runner.contract.errors import LeaseLost, OrlojError, Refused, ToolCode
from runner.governance import evaluations, judge
from runner.governance.verdict import Call, Decision, Verdict, deny
from runner.limit.reservations import Reservations
from runner.limit.settlements import Settlements
from runner.manifest_set import ManifestSet
from runner.pinning import Pins
from runner.reviewing import Reviews
from runner.workflow import Visit, from_json
from runner.world.answered import Answers

Message = dict[str, Any]


class Journal:
    """Writes steps on one held connection; `log` takes the entries about them."""

    def __init__(
        self, connection: Connection, pins: Pins, log: Callable[[list[Entry]], None]
    ) -> None:
        self._connection = connection
        self._pins = pins
        self._log = log
        self._approvals = Approvals(connection, log)
        self.settlements = Settlements(connection, pins, log)
        self.answers = Answers(connection)
        self.reviews = Reviews(connection, pins, self._approvals, log)
        self._limits = Reservations(connection, pins, self.settlements)

    def steps(self, task: str) -> list[Step]:
        """The steps of a task so far."""
        return [
            Step(
                *(row[0], row[1], row[2], row[3], row[4], json.loads(row[5])),
                None if row[6] is None else json.loads(row[6]),
                row[7],
            )
            for row in queue.steps(self._connection, task)
        ]

    def visits(self, task: str) -> list[Visit]:
        """The visits of a task so far."""
        return visits.of(self._connection, task)

    def begin(self, held: Held, message: Message, now_us: int) -> Verdict | Message | Parking:
        """Decide on what a worker asks for, before it is done: a model, a tool, a review."""
        match message["op"]:
            case "model":
                return self.begin_model(held, message, now_us)
            case "tool":
                return self.begin_tool(held, message, now_us)
        return self.reviews.begin(held, message, now_us)

    def take(self, held: Held, message: Message, now_us: int) -> None:
        """Write down what a worker tells: how a step ended, a note, where a visit stands."""
        if message["op"] != "visit":
            write = self.end if message["op"] == "result" else self._note
            write(held, message, now_us)
            return
        visit = from_json(message["visit"])
        if not visits.save(self._connection, (held.task, held.fence), visit, now_us):
            raise LeaseLost

    def begin_model(self, held: Held, message: Message, now_us: int) -> Verdict | Parking:
        """Decide on a question to a model and write it down, before it is asked."""
        manifests = self._pins.load(held.manifests)
        agent = manifests.agent(message["agent"])
        decided = call_facts.of_model(manifests, agent, message, held.task_name)
        verdict = self._limits.model(held, message, decided, now_us)
        if isinstance(verdict, Parking):
            return verdict
        if verdict.decision is Decision.ALLOW:
            self._begin(held, message, ("model", message["endpoint"], "begun", None), now_us)
        facts = {"model": message["model"], "chain": manifests.chain_names(agent)}
        self._decided(held, verdict, facts, message)
        return verdict

    def begin_tool(self, held: Held, message: Message, now_us: int) -> Verdict | Parking:
        """Decide on a tool call and write request and decision down, before it is made."""
        manifests = self._pins.load(held.manifests)
        if "misfit" in message:
            return self._misfit(held, manifests, message, now_us)
        return self._judged(held, manifests, message, now_us)

    def _judged(
        self, held: Held, manifests: ManifestSet, message: Message, now_us: int
    ) -> Verdict | Parking:
        agent = manifests.agent(message["agent"])
        name, arguments = message["tool"], message["request"]["arguments"]
        call = Call(name, arguments, held.task_name)
        granted = judge.decide(manifests, agent, call)
        verdict = evaluations.decide(manifests, agent, call, granted)
        facts, withheld = call_facts.named(manifests, agent, name, verdict)
        private: tuple[tuple[str, Any], ...] | None = (("arguments", arguments), *withheld)
        approval = ""
        if verdict.decision is Decision.ASK:
            answer = self._asked(held, manifests, message, verdict, now_us=now_us)
            if isinstance(answer, Question):
                self._decided(held, verdict, facts, message, private)
                return self._approvals.request(held, answer, now_us)
            if isinstance(answer, Parking):
                return answer
            verdict, approval = answer.verdict, answer.approval
        limited = self._limits.tool(held, message, verdict, now_us)
        if isinstance(limited, Parking):
            return limited  # What people said of it still stands, and is not used up.
        verdict = limited
        if verdict.decision is Decision.ALLOW:
            if approval:
                self._approvals.consume(held, approval, now_us)
            self._begin(held, message, ("tool", name, "begun", None), now_us)
        else:
            result = canonical({"denied": verdict.reason, "code": verdict.code})
            self._begin(held, message, ("tool", name, "denied", result), now_us)
        if approval:  # That it was requested stands in the log since people were asked.
            facts["approval"], private = approval, None
        self._decided(held, verdict, facts, message, private)
        return verdict

    def _misfit(
        self, held: Held, manifests: ManifestSet, message: Message, now_us: int
    ) -> Verdict:
        """Write down a call whose arguments its tool does not take: nobody is asked about it.

        The worker looked, since a look may take long. What it found may name the arguments,
        so the entry names the line of the schema instead.
        """
        agent, misfit = manifests.agent(message["agent"]), message["misfit"]
        tool = manifests.tool(agent, message["tool"])
        at = (tool or agent).at("/spec/input_schema")
        reason = f"the arguments do not meet {misfit['rule']} of its input_schema"
        verdict = deny(reason, at, code=ToolCode(misfit["code"]))
        facts, withheld = call_facts.named(manifests, agent, message["tool"], verdict)
        arguments = message["request"]["arguments"]
        result = canonical({"denied": misfit["said"], "code": verdict.code})
        self._begin(held, message, ("tool", message["tool"], "denied", result), now_us)
        self._decided(held, verdict, facts, message, (("arguments", arguments), *withheld))
        return replace(verdict, reason=misfit["said"])

    def _asked(
        self,
        held: Held,
        manifests: ManifestSet,
        message: Message,
        verdict: Verdict,
        *,
        now_us: int,
    ) -> Parking | Answer | Question:
        """What people said of a call; the question itself when nobody was asked."""
        try:
            agent = manifests.agent(message["agent"])
            question = asking.question(held, manifests, agent, message, verdict)
        except Refused as refused:
            return Answer(replace(verdict, decision=Decision.DENY, reason=str(refused)), "")
        return self._approvals.look(held, question, now_us) or question

    def _note(self, held: Held, message: Message, now_us: int) -> None:
        """Write down, as a step, what an agent's turn came to without a call."""
        note = message["note"]
        what = ("turn", note["name"], "done", canonical(note["result"]))
        self._begin(held, message | {"request": note["request"]}, what, now_us)
        agent = self._pins.load(held.manifests).agent(message["agent"])
        self._log([turn_note.entry_of(held, message, agent)])

    def end(self, held: Held, message: Message, now_us: int) -> None:
        """Write down how a step ended."""
        failed = message["outcome"] == "failed"
        tokens = (message["tokens_in"], message["tokens_out"])
        row = (held.task, held.fence, message["step"], "failed" if failed else "done")
        if not queue.end_step(
            self._connection, (*row, canonical(message["result"]), *tokens), now_us
        ):
            raise LeaseLost
        self.settlements.settle(held, message, now_us)
        if not failed and "model" in message:
            self._answered(held, message, now_us)
        self._log(
            [
                entry(
                    EntryType.ACTION_FAILED if failed else EntryType.ACTION_EXECUTED,
                    held,
                    step=message["step"],
                    agent=message["agent"],
                    tool=message.get("tool"),
                    model=message.get("model"),
                    outcome=message["outcome"],
                    tool_code=message.get("code"),
                    tries=message.get("tries"),
                    isolation=message.get("isolation"),
                    reason=message.get("reason"),
                    tokens_in=tokens[0],
                    tokens_out=tokens[1],
                    duration_us=message["duration_us"],
                    private=(("result", message["result"]),),
                )
            ]
        )

    def _answered(self, held: Held, message: Message, now_us: int) -> None:
        """Take down which model an endpoint says that answered."""
        manifests = self._pins.load(held.manifests)
        agent = manifests.agent(message["agent"])
        asked = model_choice.numbered(manifests, agent, message.get("choice", 0))
        if asked.endpoint.provider != "mock":
            said = message["result"].get("model")
            self.answers.note(asked.key, asked.model, said, now_us)

    def interrupted(self, held: Held) -> Step | None:
        """A tool call that began, did not end, and may not be repeated; None: there is none."""
        return self.open_call(held.task, held.manifests)

    def open_call(self, task: str, digest: str) -> Step | None:
        """The same for a task in nobody's hands, under the manifest set of this digest."""
        for step in self.steps(task):
            if (
                step.kind == "tool"
                and step.phase == "begun"
                and not self._idempotent(step, digest)
            ):
                return step
        return None

    def _idempotent(self, step: Step, digest: str) -> bool:
        """Whether a tool says that its calls may be repeated; an unreadable one does not."""
        try:
            manifests = self._pins.load(digest)
            tool = manifests.tool(manifests.agent(step.agent), step.name)
            return tool is not None and tool.spec.idempotent
        except OrlojError:
            return False

    def _begin(
        self, held: Held, message: Message, what: tuple[str, str, str, str | None], now_us: int
    ) -> None:
        kind, name, phase, result = what
        row = (held.task, held.fence, message["step"], message["agent"], kind, name)
        request = canonical(message["request"])
        if not queue.begin_step(
            self._connection, (*row, request, phase, result, message.get("visit", 1)), now_us
        ):
            raise LeaseLost

    def _decided(
        self,
        held: Held,
        verdict: Verdict,
        facts: dict[str, Any],
        message: Message,
        private: tuple[tuple[str, Any], ...] | None = (),
    ) -> None:
        """Log a decision, and the request before it unless that was done: `private` None.

        What is allowed begins as soon as this is durable, and never before.
        """
        facts = {**facts, "step": message["step"], "agent": message["agent"]}
        withheld = facts.pop("private", ())
        decided = entry(
            EntryType.ACTION_DECIDED,
            held,
            **facts,
            decision=verdict.decision.value,
            rule=verdict.rule,
            reason=verdict.reason,
            tool_code=call_facts.code(verdict, facts),
            private=withheld,
        )
        if private is not None:
            self._log([entry(EntryType.ACTION_REQUESTED, held, **facts, private=private)])
        self._log([decided])
        if verdict.decision is Decision.ALLOW:
            self._log([entry(EntryType.ACTION_STARTED, held, **facts, rule=verdict.rule)])
