"""Erase what stands beside the log: values, the bodies of tasks, the names of people.

    chosen ──> under a hold? Refused ──> delete ──> erasure.done with the digest of the list

Everything happens in the caller's transaction, with the log to itself. An entry is never
touched, so every proof holds; the list of what went (numbers and field names, no values)
lets `verify` tell erased from lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from reconciler.privacy import holds
from reconciler.privacy.record import LegalHold
from runner.contract import audit, audit_header, disclosures, errors, kinds, persons
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType, canonical
from runner.contract.database import dialect
from runner.contract.task_state import FINISHED

ERASED: Final = audit_header.ERASED
_PEOPLE_FIELDS: Final = (
    "author", "committer", "signer", "reviewers", "trailers", "requested_by", "approved_by",
)  # fmt: skip
_BODIES: Final = (
    # Whoever reads a task later finds it ended, and its error says why it is empty.
    ("UPDATE task SET input = '{}', output = NULL, error = ? WHERE id = ?", True),
    (
        "UPDATE step SET request = '{}', result = CASE WHEN result IS NULL THEN NULL ELSE"
        " '{}' END, name = CASE phase WHEN 'denied' THEN ? ELSE name END WHERE task_id = ?",
        True,
    ),
    ("UPDATE attempt SET error = NULL WHERE task_id = ?", False),
    (
        "DELETE FROM notification WHERE approval_id IN"
        " (SELECT id FROM approval WHERE task_id = ?)",
        False,
    ),
    ("DELETE FROM approval WHERE task_id = ?", False),
    ("UPDATE task_child SET labels = '{}' WHERE task_id = ?", False),
    # A judge may have quoted the answer.
    ("UPDATE eval_result SET reason = '' WHERE task_id = ?", False),
    ("UPDATE eval_result SET reason = '' WHERE judge_task = ?", False),
)
_ACTORS: Final = (
    ("task", "actor"),
    ("eval_run", "actor"),
    ("eval_result", "scorer"),
    ("source_control", "suspended_by"),
    ("source_control", "requested_by"),
    ("source_override", "actor"),
    ("history", "actor"),
    ("legal_hold", "person"),
)
_AUTHORS: Final = (("revision", "author"), ("revision", "committer"), ("history", "author"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """On whose word and on what ground something is erased. `rule` is a policy's line."""

    actor: str
    requested_by: str = ""
    approved_by: str = ""
    basis: str = ""
    commit: str = NO_COMMIT
    rule: str | None = None


@dataclass(slots=True)
class Erased:
    """What was erased. `listed` has the entries by field, and pseudonyms under `person`."""

    listed: dict[str, list[Any]] = field(default_factory=dict)
    tasks: int = 0
    seq: int = 0

    @property
    def values(self) -> int:
        """How many values beside the log."""
        return sum(len(found) for name, found in self.listed.items() if name != _PERSON)

    @property
    def people(self) -> int:
        """How many pseudonyms nobody can resolve any more."""
        return len(self.listed.get(_PERSON, ()))

    def add(self, name: str, found: Iterable[Any]) -> None:
        """Take down what went."""
        if some := list(found):
            self.listed.setdefault(name, []).extend(some)

    @property
    def counted(self) -> str:
        """The counts and the range in words, as the log keeps them."""
        seqs = [seq for name, found in self.listed.items() if name != _PERSON for seq in found]
        between = f" of entries {min(seqs)} to {max(seqs)}" if seqs else ""
        return f"{self.values} values{between}, {self.tasks} tasks, {self.people} people"


_PERSON: Final = disclosures.PEOPLE


def tasks(connection: Connection, ids: Iterable[str], erased: Erased) -> None:
    """Erase tasks that are over: what they were given, said and answered; Refused."""
    standing = holds.standing(connection)
    for id in ids:
        _refuse_task(connection, id, standing)
        found = connection.exec_driver_sql(
            "SELECT d.seq, d.field FROM disclosure d JOIN audit_entry e ON e.seq = d.seq"
            " WHERE e.task = ? ORDER BY d.seq, d.field",
            (id,),
        ).all()
        _delete(connection, [(row[0], row[1]) for row in found], erased)
        for statement, marked in _BODIES:
            connection.exec_driver_sql(statement, (ERASED, id) if marked else (id,))
        erased.tasks += 1


def values(connection: Connection, chosen: Iterable[tuple[int, str]], erased: Erased) -> None:
    """Erase single values by entry and field; Refused for what is held or is not there."""
    standing = holds.standing(connection)
    for seq, name in chosen:
        row = connection.exec_driver_sql(
            "SELECT e.task, e.agent, t.namespace FROM disclosure d"
            " JOIN audit_entry e ON e.seq = d.seq LEFT JOIN task t ON t.id = e.task"
            " WHERE d.seq = ? AND d.field = ?",
            (seq, name),
        ).one_or_none()
        if row is None:
            raise errors.NotFound(f"entry {seq} discloses no {name}: nothing was erased")
        _refuse_held(standing, f"entry {seq}", row[0], row[2], {row[1]})
        _delete(connection, [(seq, name)], erased)


def person(connection: Connection, name: str, erased: Erased) -> None:
    """Erase a name: whose pseudonyms were, and who wrote, signed or reviewed; Refused."""
    _refuse_held(holds.standing(connection), name, None, None, set())
    actors = [f"person:{name}", f"approver:{name}"]
    owned = connection.exec_driver_sql(
        "SELECT count(*) FROM resource WHERE owner = ?", (actors[0],)
    ).scalar_one()
    if owned:
        raise errors.Refused(
            f"{name} owns {owned} resources that were applied by hand: declare them in a"
            " repository, or delete them, and erase the name then"
        )
    for chosen, known in persons.names(connection).items():
        if known in actors:
            erased.add(_PERSON, [chosen])
            connection.exec_driver_sql("DELETE FROM person WHERE pseudonym = ?", (chosen,))
            for table, column in _ACTORS:
                _replace(connection, table, column, f"{column} = ?", (chosen, known))
    _delete(connection, _naming(connection, name), erased)
    for table, column in _AUTHORS:
        _replace(connection, table, column, f"{column} LIKE ? ESCAPE '!'", (ERASED, like(name)))


def _naming(connection: Connection, name: str) -> list[tuple[int, str]]:
    """The disclosed values about people that hold a name."""
    marks = ", ".join("?" * len(_PEOPLE_FIELDS))
    rows = connection.exec_driver_sql(
        f"SELECT seq, field FROM disclosure WHERE field IN ({marks})"
        " AND value LIKE ? ESCAPE '!' ORDER BY seq, field",
        (*_PEOPLE_FIELDS, like(name)),
    )
    return [(row[0], row[1]) for row in rows]


def like(name: str) -> str:
    """The pattern of texts that hold a name."""
    escaped = name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _replace(
    connection: Connection, table: str, column: str, condition: str, values: tuple[str, str]
) -> None:
    connection.exec_driver_sql(f"UPDATE {table} SET {column} = ? WHERE {condition}", values)


def done(connection: Connection, erased: Erased, order: Order, now_us: int) -> Erased:
    """Write down what was erased; NotFound when it is nothing."""
    if not erased.listed and not erased.tasks:
        raise errors.NotFound("there is nothing to erase")
    dialect.alone(connection, dialect.LOG)
    listed = canonical({name: sorted(found) for name, found in erased.listed.items()})
    said = (("requested_by", order.requested_by), ("approved_by", order.approved_by))
    entry = Entry(
        type=EntryType.ERASURE_DONE,
        actor=order.actor,
        commit=order.commit,
        digest=kinds.digest(listed),
        outcome=erased.counted,
        rule=order.rule,
        private=tuple(pair for pair in (*said, ("basis", order.basis)) if pair[1]),
    )
    end = audit.append(connection, [entry], now_us)
    assert end is not None
    connection.exec_driver_sql("INSERT INTO erasure VALUES (?, ?, ?)", (end[0], listed, now_us))
    erased.seq = end[0]
    return erased


def _delete(connection: Connection, chosen: list[tuple[int, str]], erased: Erased) -> None:
    for seq, name in chosen:
        connection.exec_driver_sql(
            "DELETE FROM disclosure WHERE seq = ? AND field = ?", (seq, name)
        )
        erased.add(name, [seq])


def _refuse_task(connection: Connection, id: str, standing: list[LegalHold]) -> None:
    row = connection.exec_driver_sql(
        "SELECT namespace, state FROM task WHERE id = ? /* lock */", (id,)
    ).one_or_none()
    if row is None:
        raise errors.NotFound(f"there is no task {id}")
    if row[1] not in {state.value for state in FINISHED}:
        raise errors.Refused(f"the task {id} is not over: `orloj cancel {id}` ends it")
    agents = connection.exec_driver_sql(
        "SELECT DISTINCT agent FROM audit_entry WHERE task = ? AND agent IS NOT NULL", (id,)
    ).scalars()
    _refuse_held(standing, f"the task {id}", id, row[0], set(agents))


def _refuse_held(
    standing: list[LegalHold],
    what: str,
    task: str | None,
    namespace: str | None,
    agents: set[str],
) -> None:
    hold = holds.covering(standing, task=task, namespace=namespace, agents=agents)
    if hold is not None:
        raise errors.Refused(
            f"{what} is under the legal hold {hold.id}: `orloj audit hold release {hold.id}`"
            " comes first"
        )
