"""An entry's header names nobody: whatever a caller writes, people and free text stay out.

What is withheld is found again by readers, until it is erased; and whoever edits what stands
beside the log is found by `verify`.
"""

from collections.abc import Iterator
from pathlib import Path

import home
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.contract import audit, audit_check, audit_header, errors, persons
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

CANARY = "Wilhelmina Zobrist"
COMMIT = "c" * 40


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Database]:
    opened = home.opened(tmp_path, database_url)
    yield opened
    opened.close()


def written(log: Database, *entries: Entry) -> list[audit.Stored]:
    with log.write() as connection:
        after = audit.end(connection)[0]
        audit.append(connection, entries, 1_000_000)
    with log.read() as connection:
        return list(audit.read(connection, after_seq=after))


def entry(**fields: object) -> Entry:
    fields = {"type": EntryType.SOURCE_SUSPENDED, "actor": "daemon", "commit": COMMIT} | fields
    return Entry(**fields)  # type: ignore[arg-type]


def test_no_slot_that_people_fill_reaches_a_header(log: Database) -> None:
    for kind in EntryType:
        nothing_personal(log, kind)


def nothing_personal(log: Database, kind: EntryType) -> None:
    slots = {
        "actor": f"person:{CANARY}",
        "reason": f"asked by {CANARY}",
        "private": (("input", CANARY), ("author", CANARY), ("arguments", {CANARY: [CANARY]})),
    }
    if kind not in audit_header.COUNTED:
        slots["outcome"] = CANARY
    if kind in audit_header.FILLED:
        slots["permission"] = f"read:mail/{CANARY}"
    (stored,) = written(log, entry(type=kind, **slots))
    assert CANARY.encode() not in stored.raw
    for slot in set(slots) - {"private"}:
        assert stored.fields[slot] == slots[slot]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    actor=st.sampled_from(["person:", "approver:", "", "ldap:", "p:", "Git:", "worker"]),
    name=st.text(min_size=8, max_size=40).filter(lambda text: "\x00" not in text),
    kind=st.sampled_from(list(EntryType)),
)
def test_whoever_is_not_known_to_be_a_machine_gets_a_pseudonym(
    tmp_path_factory: pytest.TempPathFactory, actor: str, name: str, kind: EntryType
) -> None:
    found, withheld = audit_header.split(entry(type=kind, actor=actor + name, reason=name))
    assert audit_header.personal(actor + name)
    assert found.reason is None
    assert ("reason", name) in withheld


@pytest.mark.parametrize(
    "actor", ["daemon", "worker:host-1", "git:default", "schedule:default/daily", "canary:a"]
)
def test_machines_stay_what_they_are_called(log: Database, actor: str) -> None:
    (stored,) = written(log, entry(actor=actor))
    assert f'"actor":"{actor}"'.encode() in stored.raw


def test_a_person_has_one_pseudonym_until_it_is_erased(log: Database) -> None:
    found = written(log, entry(actor="person:ada"), entry(actor="person:bob"))
    found += written(log, entry(actor="person:ada"))
    with log.read() as connection:
        known = {name: one for one, name in persons.names(connection).items()}
    assert [stored.fields["actor"] for stored in found] == [
        "person:ada", "person:bob", "person:ada",
    ]  # fmt: skip
    assert [known["person:ada"].encode() in stored.raw for stored in found] == [
        True, False, True,
    ]  # fmt: skip
    with log.write() as connection:
        connection.exec_driver_sql("DELETE FROM person WHERE name = 'person:ada'")
    (again,) = written(log, entry(actor="person:ada"))
    assert known["person:ada"].encode() not in again.raw
    with log.read() as connection:
        first = next(iter(audit.read(connection)))
    assert first.fields["actor"] == known["person:ada"]


def test_a_withheld_text_that_is_gone_reads_as_erased(log: Database) -> None:
    written(log, entry(reason="her own words", private=(("input", "x"),)))
    with log.write() as connection:
        connection.exec_driver_sql("DELETE FROM disclosure")
    with log.read() as connection:
        (stored,) = audit.read(connection)
    assert stored.fields["reason"] == audit_header.ERASED


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE person SET name = 'person:eve'", "whose pseudonym"),
        ("UPDATE person SET salt = x'00'", "whose pseudonym"),
        ("DELETE FROM person", "whose pseudonym"),
        ("UPDATE disclosure SET value = '\"other\"'", "not the one committed to"),
        ("DELETE FROM disclosure", "the value of its reason is lost"),
    ],
)
def test_what_is_edited_or_lost_beside_the_log_is_found(
    log: Database, statement: str, problem: str
) -> None:
    written(log, entry(actor="person:ada", reason="why"))
    if log.shared:
        statement = statement.replace("x'00'", "'\\x00'::bytea")
    with log.write() as connection:
        connection.exec_driver_sql(statement)
    with log.read() as connection:
        verdict = audit_check.verify(connection)
    assert verdict.bad_seq == 1
    assert problem in (verdict.problem or "")


def test_a_reader_is_not_told_a_text_that_was_put_in_its_place(log: Database) -> None:
    written(log, entry(reason="why"))
    with log.write() as connection:
        connection.exec_driver_sql("UPDATE disclosure SET value = '\"other\"'")
    with log.read() as connection, pytest.raises(errors.AuditBroken, match="reason of entry 1"):
        list(audit.read(connection))


def test_another_name_put_to_a_pseudonym_is_not_believed(log: Database) -> None:
    (stored,) = written(log, entry(actor="person:ada"))
    with log.write() as connection:
        connection.exec_driver_sql("UPDATE person SET name = 'person:eve'")
    with log.read() as connection:
        (stored,) = audit.read(connection)
    assert stored.fields["actor"].startswith("p:")


def test_filters_find_what_is_withheld_as_before(log: Database) -> None:
    written(
        log,
        entry(type=EntryType.ACTION_DECIDED, agent="a", decision="deny", reason="no"),
        entry(type=EntryType.ACTION_DECIDED, agent="b", decision="allow", reason="yes"),
    )
    with log.read() as connection:
        (denied,) = audit.read(connection, decision="deny", agent="a")
    assert (denied.fields["reason"], denied.seq) == ("no", 1)


def test_more_entries_than_one_question_asks_for_are_all_disclosed(log: Database) -> None:
    found = written(log, *[entry(actor="person:ada", reason=f"why {n}") for n in range(1_201)])
    assert [stored.fields["reason"] for stored in found] == [f"why {n}" for n in range(1_201)]
