"""Each way to tamper with the log is named, with the first entry it strikes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from test_keeper import Log

from reconciler.proof import checkpoint, checkpoints, keys, note, policy, verification, walk
from reconciler.proof.finding import Attack, Report
from reconciler.proof.verification import Witnessed
from runner.contract import audit, audit_entry, merkle, settings
from runner.contract.audit_entry import Entry, EntryType

MINUTE_US = 60_000_000


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[Log]:
    """Twelve entries under three checkpoints: 4, 8 and 12."""
    made = Log(tmp_path, database_url)
    for _ in range(3):
        entries = [
            Entry(
                type=EntryType.ACTION_DECIDED,
                actor="runner",
                commit="c" * 40,
                task="t",
                agent="a",
                decision="allow",
                private=(("arguments", {"n": number}),),
            )
            for number in range(4)
        ]
        with made.database.write() as connection:
            audit.append(connection, entries, made.now_us)
        made.signed()
        made.now_us += MINUTE_US
    yield made
    made.database.close()


def verify(log: Log, **more) -> Report:
    with log.database.read() as connection:
        return verification.verify(connection, log.now_us, **more)


def first(report: Report) -> tuple[Attack, int | None]:
    assert report.findings, "nothing was found"
    return report.findings[0].attack, report.findings[0].seq


def rewrite(
    log: Log,
    change: Callable[[dict], dict | None],
    *,
    sign: bool = False,
    numbered: bool = True,
) -> None:
    """Write the whole log anew, every hash made to fit; with the key, the checkpoints too."""
    with log.database.read() as connection:
        entries = [stored.fields for stored in audit.read(connection)]
        name = audit.name(connection)
    fitting = [changed for entry in entries if (changed := change(entry)) is not None]
    leaves = []
    with log.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM audit_entry")
        for seq, fields in enumerate(fitting, 1):
            fields |= {"seq": seq, "task_seq": seq} if numbered else {}
            raw = audit_entry.encoded(fields)
            leaves.append(merkle.leaf(raw))
            copies = [fields.get(n) for n in ("time", "type", "task", "task_seq")]
            copies += [fields.get(n) for n in ("agent", "tool", "decision")]
            connection.exec_driver_sql(
                "INSERT INTO audit_entry (seq, raw, leaf, time, type, task, task_seq, agent,"
                " tool, decision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (seq, raw, leaves[-1], *copies),
            )
        if sign:
            key = keys.signing(log.settings, name)
            for size in (4, 8, len(leaves)):
                text = checkpoint.Checkpoint(name, size, merkle.root(leaves[:size])).text
                signed = note.Note(text, (key.sign(text),))
                connection.exec_driver_sql(
                    "UPDATE checkpoint SET note = ? WHERE size = ?", (str(signed), size)
                )


def denied(entry: dict) -> dict:
    return {**entry, "decision": "deny"} if entry["seq"] == 6 else entry


def notes(log: Log) -> list[Witnessed]:
    with log.database.read() as connection:
        found = connection.exec_driver_sql("SELECT note, signed_at FROM checkpoint").all()
    return [Witnessed(text, at, "the remote") for text, at in found]


def test_an_untouched_log_holds(log: Log) -> None:
    report = verify(log, kept=notes(log))
    assert (report.holds, report.entries, report.signed, report.checkpoints) == (
        True,
        12,
        12,
        3,
    )
    assert not report.warnings


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257])
def test_logs_of_every_shape_hold(tmp_path: Path, size: int) -> None:
    log = Log(tmp_path)
    if size:
        log.add(size)
        log.signed()
    report = verify(log)
    assert (report.holds, report.entries, report.signed) == (True, size, size)
    log.database.close()


def test_every_field_of_an_entry_is_covered(log: Log) -> None:
    with log.database.read() as connection:
        raw = next(iter(audit.read(connection, after_seq=5))).raw
    fields = audit_entry.parsed(raw)
    assert fields is not None
    for name, value in fields.items():
        other = value + 1 if isinstance(value, int) else "other"
        log.tamper(
            "UPDATE audit_entry SET raw = ? WHERE seq = 6",
            audit_entry.encoded({**fields, name: other}),
        )
        assert first(verify(log)) == (Attack.EDIT, 6), name
    log.tamper("UPDATE audit_entry SET raw = ? WHERE seq = 6", raw)
    assert verify(log).holds


@pytest.mark.parametrize(
    ("statements", "attack", "seq"),
    [
        pytest.param(
            ["UPDATE disclosure SET value = '{\"n\":9}' WHERE seq = 6"],
            *(Attack.DISCLOSURE, 6),
            id="body",
        ),
        pytest.param(
            [
                "UPDATE audit_entry SET seq = 100 WHERE seq = 6",
                "UPDATE audit_entry SET seq = 6 WHERE seq = 7",
                "UPDATE audit_entry SET seq = 7 WHERE seq = 100",
            ],
            *(Attack.REORDERING, 6),
            id="two-swapped",
        ),
        pytest.param(["DELETE FROM audit_entry WHERE seq = 6"], Attack.DELETION, 6, id="one"),
        pytest.param(
            ["DELETE FROM audit_entry WHERE seq = 12"], Attack.TRUNCATION, 12, id="the-last"
        ),
        pytest.param(
            [
                "INSERT INTO audit_entry (seq, raw, leaf, time, type)"
                " SELECT -1, raw, leaf, time, type FROM audit_entry WHERE seq = 1"
            ],
            *(Attack.INSERTION, 1),
            id="put-before",
        ),
        pytest.param(
            ["UPDATE checkpoint SET note = replace(note, '\u2014 ', '\u2014 x')"],
            *(Attack.SIGNATURE, 4),
            id="signature-of-another-name",
        ),
        pytest.param(
            ["UPDATE audit_key SET note = 'x'"], Attack.WRONG_KEY, None, id="key-not-introduced"
        ),
    ],
)
def test_tampering_is_named(
    log: Log, statements: list[str], attack: Attack, seq: int | None
) -> None:
    for statement in statements:
        log.tamper(statement)
    assert first(verify(log)) == (attack, seq)


def test_a_rewrite_without_the_key_is_found_between_two_checkpoints(log: Log) -> None:
    rewrite(log, denied)
    report = verify(log)
    assert first(report) == (Attack.REWRITE, 5)
    assert report.findings[0].until == 8
    assert report.signed == 4


def test_a_rewrite_with_the_key_is_shown_by_what_others_keep(log: Log) -> None:
    kept = notes(log)
    rewrite(log, denied, sign=True)
    assert verify(log).holds, "who has the key and the database can fool only the database"
    report = verify(log, kept=kept)
    assert {found.attack for found in report.findings} == {Attack.FORK}
    assert report.findings[0].until == 8
    assert report.findings[0].sentence.count("orloj/") >= 2, "both notes are shown as proof"


def test_a_rewrite_with_the_key_and_other_checkpoints_is_one_too(log: Log) -> None:
    kept = notes(log)
    rewrite(log, denied, sign=True)
    log.tamper("DELETE FROM checkpoint WHERE size < 12")
    report = verify(log, kept=kept)
    assert first(report) == (Attack.REWRITE_WITH_KEY, 5)
    assert report.findings[0].until == 8


def test_a_log_without_its_last_checkpoint_and_entries_is_shown_by_what_others_keep(
    log: Log,
) -> None:
    kept = notes(log)
    log.tamper("DELETE FROM checkpoint WHERE size > 8")
    log.tamper("DELETE FROM disclosure WHERE seq > 8")
    log.tamper("DELETE FROM audit_entry WHERE seq > 8")
    assert verify(log).holds
    assert first(verify(log, kept=kept)) == (Attack.ROLLBACK, 9)


def test_an_entry_of_a_time_to_come_is_found(log: Log) -> None:
    log.now_us += 60 * MINUTE_US
    log.add()
    log.now_us -= 60 * MINUTE_US
    assert first(verify(log)) == (Attack.BACK_DATING, 13)


def test_an_entry_that_says_an_earlier_time_is_told_of(log: Log) -> None:
    log.now_us -= 60 * MINUTE_US
    log.add()
    log.now_us += 60 * MINUTE_US
    report = verify(log)
    assert report.holds
    assert "entry 13 says an earlier time" in report.warnings[0]


def test_a_key_that_the_reader_knows_otherwise_must_be_one_of_the_log(log: Log) -> None:
    other = note.generate("orloj/other").verifier
    assert first(verify(log, pinned=[other])) == (Attack.WRONG_KEY, None)
    with log.database.read() as connection:
        ours = keys.known(connection)[0].key
    assert verify(log, pinned=[ours]).holds


def test_a_log_whose_key_was_rotated_holds(log: Log) -> None:
    with log.database.write() as connection:
        keys.rotate(log.settings, connection, "person:ada", log.now_us)
    keys.finish(log.settings)
    log.add(3)
    log.signed()
    report = verify(log)
    assert (report.holds, report.signed, len(report.keys)) == (True, 16, 2)


def test_a_value_that_nobody_erased_and_is_gone_is_found(log: Log) -> None:
    log.tamper("DELETE FROM disclosure WHERE seq = 6")
    assert first(verify(log)) == (Attack.DISCLOSURE, 6)


def test_a_log_that_nobody_signed_is_said_to_prove_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add(3)
    report = verify(log)
    assert report.holds
    assert "no checkpoint is there" in report.warnings[0]
    assert not report.told
    log.database.close()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        pytest.param("SELECT 1", None, id="untouched"),
        pytest.param("DELETE FROM audit_entry WHERE seq = 9", (Attack.DELETION, 9), id="first"),
        pytest.param(
            "DELETE FROM audit_entry WHERE seq = 600", (Attack.DELETION, 600), id="second"
        ),
        pytest.param(
            "DELETE FROM audit_entry WHERE seq > 500", (Attack.TRUNCATION, 501), id="end"
        ),
    ],
)
def test_two_processes_find_what_one_does(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    found: tuple[Attack, int] | None,
) -> None:
    """Halves meet at the end of a block; roots are asked for on both sides of it."""
    monkeypatch.setattr(walk, "MANY", 2)
    log = Log(tmp_path, database_url)
    for size in (100, 256, 300, 1):
        log.add(size)
        log.signed()
    log.add(3)
    if statement.startswith("DELETE"):
        log.tamper(statement)
    told: list[int] = []
    shared = log.settings.model_copy(
        update={"database": settings.Database(url=SecretStr(database_url))}
    )
    report = verify(log, settings=shared, progress=told.append)
    if found is None:
        assert (report.holds, report.entries, report.signed) == (True, 660, 657)
        assert report.head == merkle.root(log.leaves()).hex()
        assert told
    else:
        assert first(report) == found
    log.database.close()


def test_a_task_of_which_an_entry_is_missing_is_found_although_the_key_signed_it(
    log: Log,
) -> None:
    def gap(entry: dict) -> dict:
        number = entry["seq"] if entry["seq"] < 6 else entry["seq"] + 1
        return {**entry, "task_seq": number}

    rewrite(log, gap, sign=True, numbered=False)
    report = verify(log)
    assert first(report) == (Attack.DELETION, 6)
    assert "has no entry number 6" in report.findings[0].sentence


def test_a_task_that_ends_with_another_count_is_found(log: Log) -> None:
    finished = Entry(type=EntryType.TASK_FINISHED, actor="runner", commit="none", task="t")
    with log.database.write() as connection:
        audit.append(connection, [finished], log.now_us)
    assert verify(log).holds
    rewrite(log, lambda entry: {**entry, "entries": 12} if entry["seq"] == 13 else entry)
    report = verify(log)
    assert first(report) == (Attack.DELETION, 13)
    assert "says 12 entries, and is number 13" in report.findings[0].sentence


def test_of_a_rewrite_that_no_program_of_ours_made_the_entry_is_named(log: Log) -> None:
    """Under a signed root entries are not encoded anew, until it does not fit."""
    with log.database.read() as connection:
        raw = next(iter(audit.read(connection, after_seq=5))).raw
    for old, new in ((b'{"actor"', b'{"actor":"x","actor"'), (b'":"', b'": "')):
        other = raw.replace(old, new, 1)
        log.tamper(
            "UPDATE audit_entry SET raw = ?, leaf = ? WHERE seq = 6", other, merkle.leaf(other)
        )
        assert first(verify(log)) == (Attack.EDIT, 6)


@pytest.mark.parametrize("at", [1, 256, 257, 700])
def test_roots_of_blocks_that_were_left_alone_narrow_a_rewrite(tmp_path: Path, at: int) -> None:
    log = Log(tmp_path)
    log.add(1_000)
    log.signed()
    with log.database.read() as connection:
        raw = next(iter(audit.read(connection, after_seq=at - 1))).raw
    other = raw.replace(b'"code":"TSK001I"', b'"code":"TSK001W"')
    assert other != raw
    log.tamper(
        "UPDATE audit_entry SET raw = ?, leaf = ? WHERE seq = ?", other, merkle.leaf(other), at
    )
    found = verify(log).findings[0]
    block = (at - 1) // 256
    assert found.attack is Attack.REWRITE
    assert (found.seq, found.until) == (block * 256 + 1, (block + 1) * 256)
    log.tamper("DELETE FROM audit_subtree WHERE number = 1")
    found = verify(log).findings[0]
    assert (found.seq, found.until) == (1, 1_000)
    log.database.close()


def test_a_rewrite_under_another_key_is_shown_by_what_others_keep(log: Log) -> None:
    kept = notes(log)
    with log.database.read() as connection:
        ours, name = keys.known(connection)[0].key, audit.name(connection)
    log.tamper("DELETE FROM checkpoint")
    log.tamper("DELETE FROM audit_key")
    (log.folder / "audit.key").write_text(note.generate(name).secret)
    rewrite(log, denied)
    log.keeper = log.new_keeper()
    log.signed()
    assert verify(log).holds, "the database vouches for itself"
    assert first(verify(log, kept=kept)) == (Attack.WRONG_KEY, 1)
    assert first(verify(log, pinned=[ours])) == (Attack.WRONG_KEY, None)


def test_checkpoints_that_were_all_taken_out_are_missed(log: Log) -> None:
    kept = notes(log)
    with log.database.read() as connection:
        ours = keys.known(connection)[0].key
    log.tamper("DELETE FROM checkpoint")
    assert not verify(log).told
    assert first(verify(log, kept=kept)) == (Attack.SIGNATURE, None)
    assert first(verify(log, pinned=[ours])) == (Attack.SIGNATURE, None)


def test_the_last_checkpoint_that_was_taken_out_is_told_of(log: Log) -> None:
    kept = notes(log)
    log.tamper("DELETE FROM checkpoint WHERE size = 12")
    assert (verify(log).holds, verify(log).signed) == (True, 8)
    report = verify(log, kept=kept)
    assert (report.holds, report.kept) == (True, 12)
    assert "first that of 12 entries" in report.warnings[0]


def test_two_checkpoints_that_others_keep_prove_a_fork(log: Log) -> None:
    with log.database.read() as connection:
        name = audit.name(connection)
    key = keys.signing(log.settings, name)
    text = checkpoint.Checkpoint(name, 20, merkle.leaf(b"x")).text
    other = checkpoint.Checkpoint(name, 20, merkle.leaf(b"y")).text
    kept = [
        Witnessed(str(note.Note(one, (key.sign(one),))), log.now_us, where)
        for one, where in ((text, "the remote"), (other, "the auditor"))
    ]
    found = verify(log, kept=kept).findings
    shown = next(one.sentence for one in found if one.attack is Attack.FORK)
    assert text in shown
    assert other in shown


def test_an_entry_older_than_what_a_witness_saw_before_it_is_back_dated(log: Log) -> None:
    witness = note.generate("w.example", note.COSIGNATURE)
    asked = policy.parse(f"witness w {witness.verifier}\nquorum w\n", "policy")
    assert first(verify(log, policy=asked)) == (Attack.SIGNATURE, None), "stripped"
    with log.database.read() as connection:
        newest = checkpoints.newest(connection)
    assert newest is not None
    found = note.parse(newest.note)
    signature = witness.sign(found.text, log.now_us // 1_000_000)
    cosigned = note.Note(found.text, (*found.signatures, signature))
    with log.database.write() as connection:
        checkpoints.replace(connection, 12, cosigned)
    report = verify(log, policy=asked)
    assert (report.holds, report.cosigned) == (True, 12)
    log.now_us -= 10 * MINUTE_US
    log.add()
    log.now_us += 10 * MINUTE_US
    assert first(verify(log, policy=asked)) == (Attack.BACK_DATING, 13)
    report = verify(log)
    assert report.holds, "our own clock may have been put back"
    assert any("entry 13" in warning for warning in report.warnings)
