"""The walk from a call to the people who answer for it. Reads only, and by indexes only.

    call ─> task ─> agent, chain ─> rule: path:line ─> blob ─> commit ─> author, committer,
    signer, reviewers ─> plan ─> who let it pass ─> applied ─> how well the log proves it

What the log says comes first; what a row says beside it is a `fault` where it differs.
What cannot be found is None, and is shown as not known: never guessed.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.why import applied, manifest, proof, rows
from reconciler.why.applied import Applied, Brought
from reconciler.why.call import Call
from reconciler.why.entries import Logged
from reconciler.why.manifest import Held, Line
from reconciler.why.proof import Proof
from reconciler.why.rows import Disclosed, TaskRow
from runner.contract import errors
from runner.contract.audit_entry import NO_COMMIT
from runner.contract.kinds.base import named
from runner.contract.settings import DEFAULT_SOURCE, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """All that is known of why a call was made, or was not."""

    call: Call
    task: TaskRow | None
    arguments: Disclosed
    held: Held | None
    rule: Line | None
    agent: Brought | None
    tool: Brought | None
    applied: Applied | None
    proof: Proof
    faults: tuple[str, ...]

    @property
    def commit(self) -> str:
        """The commit that the call was decided under, `none` where it was none."""
        return _commit(self.call)


def walk(connection: Connection, settings: Settings, call: Call) -> Walk:
    """The walk of one call; NotFound when the log holds no decision on it."""
    decided = call.decided
    if decided is None:
        raise errors.NotFound(
            f"the log has no decision on step {call.step} of task {call.task}; see"
            f" `orloj audit log --task {call.task}`"
        )
    about, commit = rows.task(connection, call.task), _commit(call)
    arguments = rows.arguments(connection, call)
    names = (DEFAULT_SOURCE, *settings.followed)
    done = None if commit == NO_COMMIT else applied.of_commit(connection, names, commit)
    first = (done.record.source,) if done else ()
    held = manifest.holder(settings, first, commit)
    agent, tool = _brought(connection, decided, about)
    rests_on = [entry.seq for entry in call.rests_on]
    for entry in (done and done.entry, agent and agent.entry, tool and tool.entry):
        rests_on += [entry.seq] if entry else []
    faults = [fault for entry in call.entries for fault in entry.faults]
    faults += rows.faults(connection, call, about, arguments)
    for one in (done, agent and agent.applied, tool and tool.applied):
        faults += one.faults if one else ()
    return Walk(
        call=call,
        task=about,
        arguments=arguments,
        held=held,
        rule=manifest.line(held, decided.text("rule") or "") if held else None,
        agent=agent,
        tool=tool,
        applied=done,
        proof=proof.proof(connection, rests_on),
        faults=tuple(dict.fromkeys(faults)),
    )


def _commit(call: Call) -> str:
    found = call.decided.text("commit") if call.decided else None
    return found or NO_COMMIT


def _brought(
    connection: Connection, decided: Logged, about: TaskRow | None
) -> tuple[Brought | None, Brought | None]:
    """What the agent and the tool were changed by last, before the decision."""
    name, tool = decided.text("agent"), decided.text("tool")
    if about is None or name is None:
        return None, None
    agent = named("Agent", name, about.subject.namespace)
    found = applied.brought(connection, agent, decided.at)
    if tool is None:
        return found, None
    return found, applied.brought(connection, named("Tool", tool, agent.namespace), decided.at)
