"""`orloj why` believes the log and Git, and says where the database tells another story.

One real run is copied for each test; what an attacker with the database could do is done to
the copy. Nothing that is gone, edited or hostile is guessed at, hidden or printed raw.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import git
from why_world import WhyWorld

from reconciler import cli
from reconciler.history import history
from reconciler.proof import checkpoints
from reconciler.proof.keeper import Keeper
from reconciler.why import applied, call, entries, proof, rows, walk, whole
from runner.contract import audit, clock, errors, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import open_database

WRITE = "UPDATE audit_entry SET raw = CAST(replace(CAST(raw AS TEXT), ?, ?) AS BLOB)"


@dataclass(frozen=True)
class Ran:
    """A home after a run, to be copied."""

    home: Path
    task: str
    commit: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    world = WhyWorld(tmp_path_factory.mktemp("why"))
    with world.running():
        task = world.ran()
        with world.home.database.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        yield Ran(world.home.folder, task, world.commit)


class Copy:
    """A copy of the home, and what the command says in it."""

    def __init__(self, ran: Ran, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(ran.home, folder, ignore=shutil.ignore_patterns("run", "*.log"))
        self.folder, self.task, self.capsys = folder, ran.task, capsys
        self.code = 0

    def why(self, subject: str, *more: str) -> str:
        arguments = ["--home", str(self.folder), "why", subject, *more]
        self.code = cli.group.main(arguments, standalone_mode=False)
        return self.capsys.readouterr().out

    def json(self, subject: str) -> Any:
        return json.loads(self.why(subject, "--json"))

    def call(self) -> Any:
        return self.json(f"{self.task}/2")

    def edit(self, statement: str, *values: Any) -> None:
        database = open_database(self.folder)
        with database.write() as connection:
            changed = connection.exec_driver_sql(statement, values)
            assert changed.rowcount != 0, "the test has to change something"
        database.close()

    def seq(self, kind: str) -> int:
        database = open_database(self.folder)
        with database.read() as connection:
            query = "SELECT max(seq) FROM audit_entry WHERE type = ? AND tool = 'tickets'"
            found = connection.exec_driver_sql(query, (kind,)).scalar_one()
        database.close()
        return int(found)

    def mirror(self, *arguments: str) -> bytes:
        return git(*arguments, folder=self.folder / "git" / "mirror.git")


@pytest.fixture
def copy(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Copy:
    return Copy(ran, tmp_path / "home", capsys)


def test_an_untouched_call_holds_and_is_judged_the_same(copy: Copy, ran: Ran) -> None:
    found = copy.call()
    assert (copy.code, found["holds"], found["faults"]) == (0, True, [])
    assert found["again"]["result"] == "same"
    assert found["again"]["manifests_match"] is True
    assert found["commit"]["commit"] == ran.commit
    assert {one["state"] for one in found["proof"]["entries"]} == {"included"}


def test_a_number_names_the_call_that_its_entry_belongs_to(copy: Copy) -> None:
    assert copy.json(str(copy.seq("action.started")))["call"]["step"] == 2
    assert copy.json(copy.task[:-2])["task"]["id"] == copy.task
    assert copy.json("1")["entry"]["type"] == "manifest.applied"


def test_a_tasks_walk_says_that_its_numbering_is_whole(copy: Copy) -> None:
    found = copy.json(copy.task)
    assert found["numbered"]
    assert found["closed"] == found["entries"]
    assert [call["outcome"] for call in found["calls"]] == ["executed"] * 3
    assert [call["again"]["result"] for call in found["calls"]] == ["same"] * 3


def test_an_entry_taken_out_of_a_task_leaves_a_gap(copy: Copy) -> None:
    copy.edit("DELETE FROM audit_entry WHERE seq = ?", copy.seq("action.requested"))
    found = copy.json(copy.task)
    assert (copy.code, found["numbered"]) == (1, False)
    assert any("are not 1 to" in fault for fault in found["faults"])


def test_an_entry_rewritten_with_its_leaf_is_not_what_was_signed(copy: Copy) -> None:
    seq = copy.seq("action.decided")
    copy.edit(f"{WRITE} WHERE seq = ?", "agents/clerk.yaml:13", "agents/clerk.yaml:12", seq)
    database = open_database(copy.folder)
    with database.read() as connection:
        (raw,) = connection.exec_driver_sql(
            "SELECT raw FROM audit_entry WHERE seq = ?", (seq,)
        ).one()
    database.close()
    assert "leaf hash" in " ".join(copy.call()["faults"])
    from_bytes = proof.merkle.leaf(bytes(raw))
    copy.edit("UPDATE audit_entry SET leaf = ? WHERE seq = ?", from_bytes, seq)
    found = copy.call()
    assert copy.code == 1
    assert {e["entry"]: e["state"] for e in found["proof"]["entries"]}[seq] == "excluded"
    assert found["again"]["result"] == "different", "the guard names line 13"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit_entry SET decision = 'deny' WHERE type = 'action.decided'", "decision"),
        ("UPDATE audit_entry SET tool = 'other' WHERE type = 'action.started'", "says tool"),
        ("UPDATE audit_entry SET time = time - 1 WHERE type = 'action.decided'", "says time"),
        ("UPDATE step SET name = 'other' WHERE number = 2", "the step's row"),
        ("UPDATE step SET phase = 'denied' WHERE number = 2", "the step's row"),
        ("UPDATE step SET request = '{}' WHERE number = 2", "other arguments"),
        ("UPDATE task SET commit_sha = 'none'", "the task's row"),
        ("UPDATE task SET manifest_set = 'sha256:0'", "the task's row"),
        ("UPDATE disclosure SET value = '{}' WHERE field = 'arguments'", "committed to"),
        ("UPDATE history SET plan_id = 'sha256:0'", "says plan"),
        ("UPDATE approval SET approver = 'eve'", "says approver:ada"),
        ("DELETE FROM approval", "no request for approval"),
        ("DELETE FROM step WHERE number = 2", "no such row"),
    ],
)
def test_a_row_edited_after_the_fact_is_named(copy: Copy, statement: str, says: str) -> None:
    copy.edit(statement)
    found = copy.call()
    assert copy.code == 1
    assert says in " ".join(found["faults"])


def test_a_signature_that_was_exchanged_is_named(copy: Copy) -> None:
    copy.edit("UPDATE approval SET signature = replace(signature, 'U1NIU0lH', 'U1NIU0lI')")
    found = copy.call()
    assert found["approval"]["signature"] == "invalid"
    assert (copy.code, found["holds"]) == (1, False)


def test_erased_arguments_cannot_be_judged_and_nothing_is_made_up(copy: Copy) -> None:
    copy.edit("DELETE FROM disclosure WHERE field = 'arguments'")
    found = copy.call()
    assert found["arguments"] == "erased"
    assert found["again"]["result"] == "cannot be told"
    assert found["again"]["decision"] is None
    assert (copy.code, found["faults"]) == (0, []), "an erasure is no fault"


def test_a_commit_that_the_mirror_lost_is_said_to_be_lost(copy: Copy, ran: Ran) -> None:
    shutil.rmtree(copy.folder / "git" / "mirror.git" / "objects")
    (copy.folder / "git" / "mirror.git" / "objects").mkdir()
    found = copy.call()
    assert not found["commit"]["in_mirror"]
    assert found["rule"]["at"] == "agents/clerk.yaml:13", "the log still says it"
    assert found["again"]["result"] == "cannot be told"
    assert "no mirror of this home has this commit" in copy.why(f"{copy.task}/2")


def test_manifests_edited_in_the_database_do_not_move_the_judgement(copy: Copy) -> None:
    copy.edit("UPDATE resource SET body = replace(body, 'write:tickets', 'read:tickets')")
    copy.edit("UPDATE blob_cache SET documents = '[]'")
    assert copy.call()["again"]["result"] == "same"


def test_a_manifest_set_edited_in_the_database_is_not_believed(copy: Copy) -> None:
    copy.edit("UPDATE manifest_set SET content = replace(content, 'tickets', 'letters')")
    again = copy.call()["again"]
    assert (again["result"], again["manifests_match"]) == ("same", True), "Git has all of it"
    assert any("was changed" in note for note in again["not_evaluated"])


@pytest.mark.parametrize("number", ["0", "1000", "9223372036854775808", "99999999999999999999"])
def test_a_number_out_of_range_is_one_clear_sentence(copy: Copy, number: str) -> None:
    with pytest.raises(errors.NotFound):
        copy.why(number)


def test_an_empty_log_has_no_entry(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.read() as connection, pytest.raises(errors.NotFound, match="is empty"):
        entries.one(connection, 1)
    database.close()


def test_what_steers_a_terminal_is_shown_and_not_obeyed(copy: Copy) -> None:
    database = open_database(copy.folder)
    evil = "\x1b[2Jgone\u202e"
    entry = Entry(
        type=EntryType.ACTION_DECIDED, actor="worker:w", commit="none", task=copy.task,
        step=9, agent=evil, tool=evil, decision="deny", rule=f"{evil}:1", reason=evil,
    )  # fmt: skip
    with database.write() as connection:
        end = audit.append(connection, [entry], clock.now_us())
    database.close()
    assert end is not None
    for shown in (copy.why(str(end[0])), copy.why(str(end[0]), "--json"), copy.why(copy.task)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "\\x1b[2Jgone" in copy.why(str(end[0]))


def test_an_entry_that_no_checkpoint_covers_is_open(copy: Copy) -> None:
    copy.edit("DELETE FROM checkpoint")
    found = copy.call()
    assert {one["state"] for one in found["proof"]["entries"]} == {"open"}
    assert (copy.code, found["proof"]["proved"]) == (0, False)


def test_a_checkpoint_that_no_key_signed_is_not_believed(copy: Copy) -> None:
    copy.edit("UPDATE checkpoint SET note = replace(note, 'orloj/', 'other/')")
    found = copy.call()
    assert {one["state"] for one in found["proof"]["entries"]} == {"unsigned"}
    assert copy.code == 1


def test_every_question_is_answered_from_an_index(copy: Copy) -> None:
    database = open_database(copy.folder)
    asked = [
        entries.ONE, entries.OF_TASK, entries.STEPS, entries.END,
        rows.TASK, rows.STEP, rows.DISCLOSURE,
        proof.PUBLISHED, checkpoints._COVERING, checkpoints._NEWEST,
        f"{history._SELECT} WHERE id = ?",
        f"{history._SELECT} WHERE source = ? AND commit_sha = ? ORDER BY id DESC LIMIT 1",
        f"{history._CHANGES} WHERE kind = ? AND name = ? AND namespace = ?"
        " ORDER BY id DESC LIMIT ?",
        "SELECT kind FROM source_override WHERE source = ? AND commit_sha = ?",
        "SELECT id FROM approval WHERE id = ?",
    ]  # fmt: skip
    assert applied.LOOKED_AT_MAX <= 50
    with database.read() as connection:
        for query in asked:
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?")
            ).all()
            words = [row[3] for row in plan]
            # The end of a table is one row; all else is searched for.
            scans = [w for w in words if w.startswith("SCAN") and "checkpoint" not in w]
            assert not scans, (query, words)
    database.close()


def test_a_walk_reads_the_same_from_each_database(tmp_path: Path, database_url: str) -> None:
    home = Home(tmp_path / "home", database_url)
    about = {"actor": "worker:w", "commit": "a" * 40, "task": "t1", "step": 1, "attempt": 1}
    about |= {"agent": "clerk", "tool": "tickets", "manifests": "sha256:0"}
    made = [
        Entry(type=EntryType.ACTION_REQUESTED, private=(("arguments", {"a": 1}),), **about),
        Entry(type=EntryType.ACTION_DECIDED, decision="deny", rule="a.yaml:1", **about),
    ]
    with home.database.write() as connection:
        audit.append(connection, made, clock.now_us())
    loaded = settings.load(home.folder)
    assert Keeper(loaded, home.database, clock.now_us).step(at_once=True)
    with home.database.read() as connection:
        step = call.step(entries.of_step(connection, "t1", 1), "t1", 1)
        assert step is not None
        found = walk.walk(connection, loaded, step)
        both = whole.whole(connection, loaded, "t1")
    assert (step.outcome, found.arguments.value, found.proof.holds) == (
        "denied",
        {"a": 1},
        True,
    )
    assert found.faults == ("the log tells of task t1, and there is no such row",)
    assert (both.numbering, both.closed, both.faults) == ((), None, ())
    home.close()


def test_what_an_entry_withholds_is_told_unless_it_was_edited_or_erased(tmp_path: Path) -> None:
    """A tool that a model made up, and why it was denied: what is asked about at 3am."""
    with closing(Home(tmp_path)) as home:
        denied = Entry(
            type=EntryType.ACTION_DECIDED,
            actor="worker:1",
            commit="c" * 40,
            task="t",
            step=1,
            decision="deny",
            reason="the agent is not granted the tool export-customers",
            private=(("tool", "export-customers"),),
        )
        with home.database.write() as connection:
            audit.append(connection, [denied], 1)
        told: dict[str, Any] = {}
        for edited in (
            "SELECT 1",
            "UPDATE disclosure SET value = '\"x\"' WHERE field = 'tool'",
        ):
            with home.database.write() as connection:
                connection.exec_driver_sql(edited)
                (entry,) = entries.of_step(connection, "t", 1)
            told[edited] = (entry.text("tool"), entry.text("reason"), entry.faults)
        whole, spoilt = told.values()
        assert whole == ("export-customers", denied.reason, ())
        assert (spoilt[0], spoilt[1]) == (None, denied.reason)
        assert "its tool is not the one committed to" in spoilt[2][0]
        with home.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM disclosure")
            assert entries.one(connection, 1).text("reason") == "(erased)"
