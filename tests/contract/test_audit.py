"""The audit log is what was written: any byte, order, number or disclosure changed is found.

Entries are durable together with what they describe, or neither is.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import home
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import audit, audit_check, audit_entry, errors, merkle
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

COMMIT = "c" * 40


def entry(task: str | None = None, **fields) -> Entry:
    kind = fields.pop("type", EntryType.TASK_QUEUED)
    return Entry(type=kind, actor="person:ada", commit=COMMIT, task=task, **fields)


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Database]:
    opened = home.opened(tmp_path, database_url)
    with opened.write() as connection:
        audit.append(
            connection,
            [
                entry("t1", private=(("input", {"who": "Grace Hopper"}),)),
                entry("t1", type=EntryType.ACTION_DECIDED, agent="a", decision="allow"),
                entry("t2", type=EntryType.ACTION_DECIDED, agent="b", decision="deny"),
                entry("t2", type=EntryType.TASK_FINISHED),
            ],
            1_000_000,
        )
    yield opened
    opened.close()


def verify(log: Database) -> audit_check.Verdict:
    with log.read() as connection:
        return audit_check.verify(connection)


def tamper(log: Database, statement: str, *values: object) -> None:
    with log.write() as connection:
        connection.exec_driver_sql(statement, values)


def test_an_untouched_log_holds_and_its_head_covers_every_entry(log: Database) -> None:
    verdict = verify(log)
    with log.read() as connection:
        leaves = [merkle.leaf(stored.raw) for stored in audit.read(connection)]
        end = audit.end(connection)
    assert (verdict.holds, verdict.entries) == (True, 4)
    assert verdict.head == merkle.root(leaves).hex()
    assert end == (4, leaves[-1])


def test_an_empty_log_holds(tmp_path: Path, database_url: str) -> None:
    opened = home.opened(tmp_path, database_url)
    assert verify(opened) == audit_check.Verdict(0, merkle.EMPTY.hex())
    opened.close()


def test_every_single_byte_of_an_entry_is_covered(log: Database) -> None:
    with log.read() as connection:
        raw = next(iter(audit.read(connection, after_seq=1))).raw
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        tamper(log, "UPDATE audit_entry SET raw = ? WHERE seq = 2", changed)
        assert verify(log).bad_seq == 2, f"byte {at} was changed unseen"
    tamper(log, "UPDATE audit_entry SET raw = ? WHERE seq = 2", raw)
    assert verify(log).holds


def test_an_edit_with_its_leaf_recomputed_has_another_head(log: Database) -> None:
    """What shows it is the head, signed and kept elsewhere: see the tests of checkpoints."""
    before = verify(log)
    with log.read() as connection:
        raw = next(iter(audit.read(connection, after_seq=2))).raw
    forged = raw.replace(b'"deny"', b'"nope"')
    tamper(
        log,
        "UPDATE audit_entry SET raw = ?, leaf = ?, decision = 'nope' WHERE seq = 3",
        forged,
        merkle.leaf(forged),
    )
    after = verify(log)
    assert (after.entries, after.holds) == (4, True)
    assert after.head != before.head


@pytest.mark.parametrize(
    ("statement", "bad_seq"),
    [
        pytest.param("DELETE FROM audit_entry WHERE seq = 2", 2, id="removed"),
        pytest.param("DELETE FROM audit_entry WHERE seq = 1", 1, id="first-removed"),
        pytest.param("UPDATE audit_entry SET seq = seq + 10 WHERE seq > 2", 3, id="moved"),
        pytest.param("UPDATE audit_entry SET leaf = raw WHERE seq = 4", 4, id="leaf"),
        pytest.param("UPDATE audit_log SET name = 'x'", 1, id="name-of-the-log"),
        pytest.param(
            "UPDATE audit_entry SET task_seq = 7 WHERE seq = 4", 4, id="copied-task-seq"
        ),
        pytest.param(
            "UPDATE audit_entry SET raw = CAST(raw AS TEXT) WHERE seq = 2", 2, id="type-changed"
        ),
        pytest.param("UPDATE disclosure SET value = '{}' WHERE seq = 1", 1, id="disclosure"),
        pytest.param("UPDATE disclosure SET field = 'x' WHERE seq = 1", 1, id="field"),
        pytest.param("UPDATE disclosure SET seq = 2 WHERE seq = 1", 1, id="foreign"),
        pytest.param("UPDATE disclosure SET salt = 'text'", 1, id="salt-of-another-type"),
        pytest.param("UPDATE disclosure SET value = x'00'", 1, id="value-of-another-type"),
        pytest.param("UPDATE audit_entry SET time = 1 WHERE seq = 2", 2, id="copied-time"),
        pytest.param("UPDATE audit_entry SET type = 'x' WHERE seq = 2", 2, id="copied-type"),
        pytest.param("UPDATE audit_entry SET task = NULL WHERE seq = 3", 3, id="copied-task"),
        pytest.param("UPDATE audit_entry SET agent = 'x' WHERE seq = 3", 3, id="copied-agent"),
        pytest.param("UPDATE audit_entry SET tool = 'x' WHERE seq = 4", 4, id="copied-tool"),
        pytest.param(
            "UPDATE audit_entry SET decision = 'allow' WHERE seq = 3", 3, id="copied-decision"
        ),
        pytest.param(
            "INSERT INTO audit_entry SELECT -7, raw, leaf, time, type, task, agent, tool,"
            " decision, task_seq FROM audit_entry WHERE seq = 1",
            1,
            id="put-before-the-first",
        ),
    ],
)
def test_tampering_is_found_at_the_first_entry_concerned(
    log: Database, statement: str, bad_seq: int
) -> None:
    if log.shared and "CAST(raw AS TEXT)" in statement:
        return  # PostgreSQL keeps no text in a column of bytes.
    tamper(log, statement)
    verdict = verify(log)
    assert (verdict.holds, verdict.bad_seq) == (False, bad_seq)


def test_two_entries_swapped_are_found_at_the_first(log: Database) -> None:
    tamper(log, "UPDATE audit_entry SET seq = -seq WHERE seq IN (2, 3)")
    tamper(log, "UPDATE audit_entry SET seq = 5 + seq WHERE seq < 0")
    assert verify(log).bad_seq == 2


FORGED = [
    b"not json",
    b"[3]",
    b"{}",
    b"[" * 100_000,
    b'{"commit":"x","commit":"y","seq":4,"task":"t2","time":1000000,"type":"task.finished"}',
    b'{"seq":4,"commit":"x","task":"t2","time":1000000,"type":"task.finished"}',
    b'{"seq":4, "task":"t2","time":1000000,"type":"task.finished"}',
    b'{"seq":4,"task":"t2","time":1000000,"type":"task.finished","x":NaN}',
]


@pytest.mark.parametrize(
    "forged",
    FORGED,
    ids=["text", "list", "empty", "deep", "twice", "unsorted", "spaced", "no number"],
)
def test_a_forged_entry_with_all_hashes_recomputed_is_found_by_what_it_says(
    log: Database, forged: bytes
) -> None:
    tamper(
        log,
        "UPDATE audit_entry SET raw = ?, leaf = ? WHERE seq = 4",
        forged,
        merkle.leaf(forged),
    )
    assert verify(log).bad_seq == 4


def test_reading_an_entry_that_nobody_of_us_wrote_says_so(log: Database) -> None:
    tamper(log, "UPDATE audit_entry SET raw = 'text' WHERE seq = 2")
    with log.read() as connection, pytest.raises(errors.AuditBroken, match="entry 2"):
        list(audit.read(connection))


def test_a_value_that_is_gone_without_an_erasure_is_lost_and_every_hash_holds(
    log: Database,
) -> None:
    before = verify(log)
    tamper(log, "DELETE FROM disclosure")
    after = verify(log)
    assert (after.head, after.bad_seq) == (before.head, 1)
    assert after.problem == "the value of its input is lost: no erasure.done tells of it"


def test_a_private_value_stands_nowhere_in_the_entry(log: Database) -> None:
    with log.read() as connection:
        first = next(iter(audit.read(connection)))
    assert b"Hopper" not in first.raw
    assert first.fields["private"]["input"].startswith("hmac-sha256:")


def test_the_entries_of_a_task_are_numbered_and_its_end_says_how_many(log: Database) -> None:
    with log.write() as connection:
        audit.append(connection, [entry("t1"), entry("t3")], 2_000_000)
    with log.read() as connection:
        numbers = [
            [stored.fields["task_seq"] for stored in audit.read(connection, task=task)]
            for task in ("t1", "t2", "t3")
        ]
        closed = [stored.fields.get("entries") for stored in audit.read(connection, task="t2")]
    assert numbers == [[1, 2, 3], [1, 2], [1]]
    assert closed == [None, 2]


def test_more_tasks_than_one_question_asks_for_are_numbered_too(log: Database) -> None:
    with log.write() as connection:
        audit.append(connection, [entry(f"many-{n}") for n in range(1_100)], 2_000_000)
        audit.append(connection, [entry(f"many-{n}") for n in range(1_100)], 2_000_000)
    with log.read() as connection:
        counts = connection.exec_driver_sql(
            "SELECT task_seq, count(*) FROM audit_entry WHERE task LIKE 'many-%%'"
            " GROUP BY task_seq ORDER BY task_seq"
            if log.shared
            else "SELECT task_seq, count(*) FROM audit_entry WHERE task LIKE 'many-%'"
            " GROUP BY task_seq ORDER BY task_seq"
        ).all()
    assert [tuple(row) for row in counts] == [(1, 1_100), (2, 1_100)]


def test_every_type_has_a_code_of_its_own_and_a_denial_is_to_be_looked_at() -> None:
    codes = list(audit_entry.CODES.values())
    assert set(audit_entry.CODES) == set(EntryType)
    assert len(set(codes)) == len(codes)
    allowed, denied = (
        audit_entry.code(entry(type=EntryType.ACTION_DECIDED, decision=decision))
        for decision in ("allow", "deny")
    )
    assert (allowed, denied) == ("ACT002I", "ACT002W")


def test_the_same_private_value_gets_another_commitment_each_time(log: Database) -> None:
    with log.write() as connection:
        same = entry("t9", private=(("input", {"who": "Grace Hopper"}),))
        audit.append(connection, [same, same], 2_000_000)
    with log.read() as connection:
        seen = {e.fields["private"]["input"] for e in audit.read(connection, task="t9")}
    assert len(seen) == 2


def test_entries_of_a_transaction_that_failed_are_not_there(log: Database) -> None:
    with pytest.raises(ZeroDivisionError), log.write() as connection:  # noqa: PT012
        audit.append(connection, [entry("t3")], 3_000_000)
        raise ZeroDivisionError
    assert verify(log).entries == 4


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param({}, [1, 2, 3, 4], id="all"),
        pytest.param({"task": "t2"}, [3, 4], id="task"),
        pytest.param({"agent": "a"}, [2], id="agent"),
        pytest.param({"type_prefix": "action."}, [2, 3], id="type"),
        pytest.param({"type_prefix": "%"}, [], id="percent-is-no-wildcard"),
        pytest.param({"type_prefix": "task_"}, [], id="underscore-is-no-wildcard"),
        pytest.param({"decision": "deny"}, [3], id="decision"),
        pytest.param({"decision": "deny", "task": "t1"}, [], id="all-filters-must-match"),
        pytest.param({"since_us": 1_000_000}, [1, 2, 3, 4], id="since-includes"),
        pytest.param({"until_us": 1_000_000}, [], id="until-excludes"),
        pytest.param({"after_seq": 2}, [3, 4], id="after"),
        pytest.param({"newest": 2}, [3, 4], id="newest-in-order"),
        pytest.param({"newest": 1, "task": "t1"}, [2], id="newest-of-a-task"),
    ],
)
def test_filters_narrow_the_log(log: Database, filters: dict, found: list[int]) -> None:
    with log.read() as connection:
        assert [e.seq for e in audit.read(connection, **filters)] == found


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-audit_entry.INTEGER_MAX, audit_entry.INTEGER_MAX)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_canonical_text_is_that_of_rfc_8785(value: dict) -> None:
    assert audit_entry.canonical(value).encode() == rfc8785.dumps(value)


def test_every_entry_names_its_commit_its_place_and_its_version(log: Database) -> None:
    with log.read() as connection:
        for place, stored in enumerate(audit.read(connection), 1):
            assert stored.fields["commit"] == COMMIT
            assert stored.fields["seq"] == place
            assert stored.fields["v"] == audit_entry.VERSION
            written = json.loads(stored.raw)
            assert written | {"actor": "person:ada"} == stored.fields
            assert written["actor"].startswith("p:")
