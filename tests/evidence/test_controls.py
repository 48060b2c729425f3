"""A status says what entries show: a bad one is an exception, and none is no evidence."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import bundles
import control_entries as log
import pytest
from control_entries import Facts, call, fact, finished, queued
from repository import Repository

from reconciler.evidence import (
    change_checks,
    evaluation,
    framework_files,
    log_checks,
    observation,
)
from reconciler.evidence.call_checks import DecisionsTraceable, FieldsPresent
from reconciler.evidence.checks import CHECKS, Asked, Watching
from reconciler.evidence.controls import Controls
from reconciler.evidence.evaluation import FrameworkResult, Status
from reconciler.evidence.observation import Observation, Period, Watch
from runner.contract import errors
from runner.contract.audit import Stored
from runner.contract.audit_entry import Entry, EntryType

ROOT = Path(__file__).parents[2]
PARAMETERS = {"approved_after_thought": 5, "kept_for": 30, "reviewed_every": 1}


def observed(entries: Sequence[Stored], asked: Asked) -> Observation:
    watching = Watching([asked])
    for entry in entries:
        watching.take(entry.seq, entry.fields)
    return watching.end(log.period(list(entries)))[asked]


def checked(name: str, entries: Sequence[Stored]) -> Observation:
    return observed(entries, Asked("check", name, PARAMETERS.get(name, 0)))


def result(name: str, entries: list[Stored], tmp_path: Path) -> FrameworkResult:
    published = [2] if entries else []
    part = Controls(log.scope(entries, tmp_path), [log.framework(name)], published=published)
    for entry in entries:
        part.take(entry)
    part.end()
    return part.results[0]


APPROVED = log.approval("t1")
DENIED = fact(
    EntryType.ACTION_DECIDED, task="t1", step=1, agent="clerk", tool="file",
    manifests="sha256:m", decision="deny", reason="not granted",
)  # fmt: skip

BAD: dict[str, tuple[list[Facts], int, str]] = {
    "approved_after_thought": (
        [queued("t1"), *log.approval("t1", after_us=1_000_000)],
        3,
        "under 5 s",
    ),
    "approved_before_used": ([queued("t1"), APPROVED[0], APPROVED[2]], 3, "nobody had given"),
    "changes_from_git": ([log.applied(by="person:eve")], 1, "by hand"),
    "changes_reviewed": ([log.applied(reviewed=False)], 1, "without a reviewer"),
    "changes_signed": (
        [fact(EntryType.MANIFEST_APPLIED, actor="git:default")],
        1,
        "without a verified signature",
    ),
    "decided_before_started": ([queued("t1"), DENIED, call("t1", 1)[2]], 3, "was deny"),
    "decisions_traceable": ([queued("t1"), DENIED | {"commit": "none"}], 2, "commit"),
    "drift_healed": (
        [fact(EntryType.DRIFT_DETECTED, resource="agent/default/clerk")],
        1,
        "not set right",
    ),
    "drills_held": ([fact(EntryType.DRILL_DONE, outcome="failed")], 1, "did not hold"),
    "fields_present": (
        [fact(EntryType.ACTION_EXECUTED, task="t1", step=1, tool="file")],
        1,
        "outcome",
    ),
    "four_eyes": ([], 0, ""),  # What Git says is judged in TestChanges.
    "kept_for": ([], 0, ""),  # It cannot find an exception, and has tests of its own.
    "log_whole": ([queued("t1"), finished("t1") | {"edited": {"entries": 3}}], 2, "count"),
    "nothing_overridden": (
        [fact(EntryType.MANIFEST_OVERRIDDEN, outcome="freeze", resource="source/default")],
        1,
        "was let pass: source/default",
    ),
    "programs_isolated": (
        [fact(EntryType.ACTION_EXECUTED, task="t1", tool="file", isolation="none")],
        1,
        "without a sandbox",
    ),
    "published_without_failure": (
        [fact(EntryType.LOG_PUBLISH_FAILED, reason="refused")],
        1,
        "could not be published",
    ),
    "reviewed_every": (
        [
            fact(EntryType.ACCESS_REVIEWED),
            fact(EntryType.ACCESS_REVIEWED, wait_us=log.DAY_US * 2),
        ],
        2,
        "2.0 days without a review",
    ),
    "somebody_else_approved": (
        [queued("t1", "person:ada"), *APPROVED],
        3,
        "queued the task",
    ),
    "started_calls_end": (
        [queued("t1"), *call("t1", 1)[:3], finished("t1")],
        4,
        "no entry says how it ended",
    ),
    "stopped_in_order": (
        [fact(EntryType.LOG_STARTED, actor="dispatcher:h")] * 2,
        2,
        "had not been stopped",
    ),
    "unknown_resolved": (
        [queued("t1"), fact(EntryType.ACTION_UNKNOWN, task="t1", step=1, tool="file")],
        2,
        "nobody said",
    ),
    "within_limits": (
        [fact(EntryType.TOKENS_RESERVED, charges=(("tokens_per_minute", "clerk", 9, 8),))],
        1,
        "where tokens_per_minute is 8",
    ),
}


def test_every_check_is_tried_with_a_bad_entry() -> None:
    assert set(BAD) == set(CHECKS)


@pytest.mark.parametrize(
    "name", sorted(set(CHECKS) - {"four_eyes", "published_without_failure"})
)
def test_a_log_without_a_fault_has_no_exception_and_a_population(name: str) -> None:
    seen = checked(name, log.good_log())
    assert seen.exceptions == ()
    assert seen.exceptions_count == 0
    assert seen.untold is None
    assert seen.population > 0
    assert len(seen.seqs) == min(seen.population, observation.SEQS_MAX)


@pytest.mark.parametrize("name", sorted(set(CHECKS) - {"four_eyes", "kept_for"}))
def test_one_bad_entry_is_an_exception_that_names_it(name: str) -> None:
    facts, seq, words = BAD[name]
    seen = checked(name, log.stored(facts))
    assert [remark.seq for remark in seen.exceptions] == [seq]
    assert words in seen.exceptions[0].what
    assert seen.exceptions_count == 1


@pytest.mark.parametrize("name", CHECKS)
def test_without_any_entry_there_is_neither_a_population_nor_an_exception(name: str) -> None:
    assert checked(name, []) == Observation(0)


class TestCalls:
    def test_a_call_that_nobody_decided_on_is_an_exception(self) -> None:
        seen = checked("decided_before_started", log.stored([queued("t"), call("t", 1)[2]]))
        assert "nobody had decided" in seen.exceptions[0].what

    def test_one_decision_is_worth_one_beginning(self) -> None:
        started = call("t", 1)[2]
        entries = log.stored([queued("t"), *call("t", 1)[:3], started])
        assert checked("decided_before_started", entries).exceptions[0].seq == 5

    def test_what_was_decided_before_the_period_is_not_held_against_it(self) -> None:
        under_way = [item | {"first": 9} for item in call("t", 4)[2:]]
        seen = checked("decided_before_started", log.stored(under_way, first=100))
        assert (seen.population, seen.exceptions) == (1, ())

    def test_a_retried_task_is_followed_again(self) -> None:
        retried = fact(EntryType.TASK_RETRIED, task="t", first=9)
        entries = log.stored([retried, call("t", 1)[2]], first=100)
        assert checked("decided_before_started", entries).exceptions_count == 1

    def test_a_call_under_way_at_the_end_of_the_period_is_no_exception(self) -> None:
        entries = log.stored([queued("t"), *call("t", 1)[:3]])
        assert checked("started_calls_end", entries).exceptions == ()

    def test_a_call_that_was_repeated_after_a_crash_ended_when_the_second_one_did(self) -> None:
        entries = log.stored([queued("t"), *call("t", 1)[:3], *call("t", 1), finished("t")])
        assert checked("started_calls_end", entries).exceptions == ()

    def test_who_cancels_a_task_accounts_for_the_call_under_way(self) -> None:
        cancelled = fact(EntryType.TASK_CANCELLED, task="t", step=1)
        entries = log.stored([queued("t"), *call("t", 1)[:3], cancelled])
        assert checked("started_calls_end", entries).exceptions == ()

    def test_an_overrun_is_an_exception(self) -> None:
        entries = log.stored([fact(EntryType.ALERT_TOKEN_OVERRUN)])
        assert checked("within_limits", entries).exceptions_count == 1


class TestPeople:
    def test_an_approval_that_was_used_twice_is_an_exception(self) -> None:
        entries = log.stored([queued("t1"), *APPROVED, APPROVED[2]])
        seen = checked("approved_before_used", entries)
        assert [remark.what for remark in seen.exceptions] == ["an approval was used twice"]

    def test_an_approval_of_other_bytes_is_an_exception(self) -> None:
        other = APPROVED[1] | {"digest": "sha256:other"}
        entries = log.stored([queued("t1"), APPROVED[0], other])
        assert (
            "not what was asked" in checked("approved_before_used", entries).exceptions[0].what
        )

    def test_a_denied_request_that_was_used_is_an_exception(self) -> None:
        denied = APPROVED[1] | {"type": EntryType.APPROVAL_DENIED}
        entries = log.stored([queued("t1"), APPROVED[0], denied, APPROVED[2]])
        assert checked("approved_before_used", entries).exceptions_count == 1

    def test_the_end_of_the_period_closes_the_last_gap_between_reviews(self) -> None:
        entries = log.stored(
            [
                fact(EntryType.ACCESS_REVIEWED),
                fact(EntryType.DRILL_DONE, wait_us=3 * log.DAY_US),
            ]
        )
        assert "3.0 days" in checked("reviewed_every", entries).exceptions[0].what

    def test_a_person_who_was_erased_evidences_nothing(self) -> None:
        entries = log.stored([queued("t1", "p:0123456789abcdef"), *APPROVED])
        seen = checked("somebody_else_approved", entries)
        assert seen.exceptions == ()
        assert "not disclosed" in (seen.untold or "")


class TestChanges:
    def test_a_plan_that_a_person_approved_needs_no_reviewer(self) -> None:
        approved = fact(EntryType.MANIFEST_OVERRIDDEN, outcome="plan", actor="person:ada")
        entries = log.stored([approved, log.applied(reviewed=False)])
        assert checked("changes_reviewed", entries).exceptions == ()
        assert checked("nothing_overridden", entries).exceptions == ()

    def test_an_approval_counts_for_its_commit_alone(self) -> None:
        approved = fact(EntryType.MANIFEST_OVERRIDDEN, outcome="plan", commit="d" * 40)
        entries = log.stored([approved, log.applied(reviewed=False)])
        assert checked("changes_reviewed", entries).exceptions_count == 1

    def test_without_git_nobody_can_tell_who_wrote_a_commit(self) -> None:
        assert "stands in Git" in (checked("four_eyes", log.good_log()).untold or "")

    def test_a_commit_that_only_its_writers_saw_is_an_exception(self) -> None:
        seen = change_checks.four_eyes(
            [(2, "yes", "a"), (9, "no", "no commit names a reviewer")]
        )
        assert seen.population == 2
        assert [(one.seq, one.what) for one in seen.exceptions] == [
            (9, "no commit names a reviewer")
        ]

    def test_a_commit_that_cannot_be_read_evidences_nothing(self) -> None:
        seen = change_checks.four_eyes([(2, "yes", "a"), (9, "unknown", "it is not there")])
        assert seen.exceptions == ()
        assert "entry 9: it is not there" in (seen.untold or "")


class TestLog:
    def test_checkpoints_that_nobody_published_evidence_nothing(self) -> None:
        seen = checked("published_without_failure", log.good_log())
        assert log_checks.published(seen, []).population == 0
        assert log_checks.published(seen, [4, 9]) == Observation(2, (4, 9))

    def test_a_missing_entry_is_an_exception(self) -> None:
        entries = log.good_log()
        del entries[5]
        words = [remark.what for remark in checked("log_whole", entries).exceptions]
        assert words[0] == "entry 5 is followed by 7"

    def test_a_period_that_lacks_its_last_entry_is_an_exception(self) -> None:
        entries = log.good_log()
        watching = Watching([Asked("check", "log_whole")])
        for entry in entries[:-1]:
            watching.take(entry.seq, entry.fields)
        seen = watching.end(log.period(entries))[Asked("check", "log_whole")]
        assert "were to be" in seen.exceptions[0].what

    def test_an_entry_of_another_log_is_an_exception(self) -> None:
        entries = log.stored([queued("t1"), queued("t2") | {"edited": {"log": "orloj/other"}}])
        assert "another log" in checked("log_whole", entries).exceptions[0].what

    def test_a_log_that_has_its_first_entry_has_lost_none(self) -> None:
        assert checked("kept_for", log.good_log()).untold is None

    def test_a_shorter_period_of_an_older_log_cannot_tell(self) -> None:
        seen = checked("kept_for", log.stored([queued("t1")], first=500))
        assert "export a longer period" in (seen.untold or "")

    def test_an_entry_without_a_type_is_told_and_not_passed_over(self) -> None:
        with pytest.raises(errors.AuditBroken, match="entry 7"):
            Watching([]).take(7, {"time": 1})


class TestStatus:
    @pytest.fixture
    def good(self, tmp_path: Path) -> FrameworkResult:
        return result("soc2", log.good_log(), tmp_path)

    def test_without_a_fault_what_is_looked_at_is_evidenced(
        self, good: FrameworkResult
    ) -> None:
        found = {one.control.id: one.status for one in good.controls}
        assert found.pop("CC7.4") is Status.DEPLOYER
        assert found.pop("CC8.1") is Status.NOT_EVIDENCED  # Without Git nobody knows who wrote.
        assert set(found.values()) == {Status.EVIDENCED}

    def test_one_bad_entry_makes_its_controls_exceptions_and_no_others(
        self, tmp_path: Path
    ) -> None:
        bad = log.applied("d" * 40, reviewed=False)
        entries = log.stored([log.applied(), bad])
        found = {one.control.id: one for one in result("soc2", entries, tmp_path).controls}
        assert found["CC8.1"].status is Status.EXCEPTION
        assert [remark.seq for remark in found["CC8.1"].exceptions] == [2]
        assert found["CC6.6"].status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("name", [one.id for one in framework_files.load().frameworks])
    def test_an_empty_log_is_evidence_of_nothing(self, name: str, tmp_path: Path) -> None:
        for control in result(name, [], tmp_path).controls:
            assert control.status in (
                Status.NOT_EVIDENCED,
                Status.NOT_APPLICABLE,
                Status.DEPLOYER,
            )
            assert control.population == 0

    def test_a_control_of_the_deployer_stays_one_whatever_was_seen(
        self, tmp_path: Path
    ) -> None:
        found = result("gdpr", log.good_log(), tmp_path).controls
        (automated,) = [one for one in found if one.control.id == "22(1)"]
        assert automated.status is Status.DEPLOYER
        assert automated.population > 0

    def test_entries_and_exceptions_are_bounded_and_counted(self, tmp_path: Path) -> None:
        entries = log.stored([log.applied(reviewed=False)] * 250)
        found = result("soc2", entries, tmp_path).controls[-1]
        assert found.control.id == "CC8.1"
        assert len(found.exceptions) == observation.EXCEPTIONS_MAX
        assert len(found.entry_seqs) == observation.SEQS_MAX
        assert (found.population, found.exceptions_count) == (250, 250)


class TestFiles:
    def test_a_file_says_what_was_looked_at_under_which_mapping_and_head(
        self, tmp_path: Path
    ) -> None:
        entries = log.good_log()
        found = result("hipaa", entries, tmp_path)
        written = json.loads((tmp_path / "controls/hipaa.json").read_text())
        assert written == evaluation.as_json(found)
        control = written["controls"][0]
        assert control["mapping_digest"] == log.framework("hipaa").digest
        assert control["evaluated_at"] == log.scope(entries, tmp_path).until_us
        assert control["checkpoint"]["size"] == len(entries)
        assert sum(written["counts"].values()) == len(written["controls"])

    def test_the_same_entries_give_the_same_bytes(self, tmp_path: Path) -> None:
        texts = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            result("pci-dss", log.good_log(), tmp_path / name)
            texts.append((tmp_path / name / "controls/pci-dss.json").read_bytes())
        assert texts[0] == texts[1]

    def test_the_word_that_only_an_auditor_may_say_stands_nowhere(self, tmp_path: Path) -> None:
        """In no module, no mapping and no result: we give evidence, others conclude."""
        word = re.compile("compli" + "ant", re.IGNORECASE)
        result("soc2", log.good_log(), tmp_path)
        places = [
            *tmp_path.rglob("*.json"),
            *(
                path
                for package in ("reconciler", "runner")
                for path in (ROOT / package).rglob("*")
                if path.is_file() and path.suffix != ".pyc"
            ),
        ]
        assert len(places) > 300
        assert not [path for path in places if word.search(path.read_text(errors="replace"))]


def test_memory_does_not_grow_with_tasks_that_are_over() -> None:
    watching = Watching(log.framework("soc2").asked)
    entries = log.stored([queued("t"), *call("t", 1), finished("t")])
    for number in range(2_000):
        for entry in entries:
            fields = entry.fields | {"task": f"t{number}"}
            watching.take(entry.seq, fields)
    seen = watching.end(log.period(entries))
    assert all(len(one.seqs) <= observation.SEQS_MAX for one in seen.values())
    kept = [
        watch._calls._tasks  # type: ignore[attr-defined]
        for watch in watching._watches.values()
        if hasattr(watch, "_calls")
    ]
    assert kept
    assert all(not tasks for tasks in kept)


def test_more_than_can_be_remembered_is_told_and_evidences_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observation, "STATED_MAX", 3)
    entries = log.stored([queued(f"t{number}") for number in range(5)])
    seen = checked("started_calls_end", entries)
    assert seen.untold == "more than 3 things were under way at once"


class TestExport:
    @pytest.fixture
    def exported(self, tmp_path: Path) -> Iterator[bundles.Log]:
        made = bundles.Log(tmp_path / "home", "")
        made.fill(3)
        made.sign()
        yield made
        made.home.close()

    def test_a_bundle_holds_the_results_of_the_frameworks_that_were_asked(
        self, exported: bundles.Log, tmp_path: Path
    ) -> None:
        exported.export(tmp_path / "a.tar", "--framework", "hipaa", "--framework", "gdpr")
        found = bundles.Bundle.unpack(tmp_path / "a.tar", tmp_path / "a").folder
        assert {path.name for path in (found / "controls").iterdir()} == {
            "gdpr.json",
            "hipaa.json",
        }
        written = json.loads((found / "controls/hipaa.json").read_text())
        assert written["controls"][0]["checkpoint"]["size"] > 0
        document = json.loads((found / "oscal-ar.json").read_text())
        assert len(document["assessment-results"]["results"]) == 2

    @pytest.mark.parametrize(
        ("column", "status"), [("NULL", "not-evidenced"), ("signed_at", "evidenced")]
    )
    def test_only_a_checkpoint_that_was_published_is_evidence_of_publication(
        self, exported: bundles.Log, tmp_path: Path, column: str, status: str
    ) -> None:
        with exported.home.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE checkpoint SET published_at = {column}")
        exported.export(tmp_path / "a.tar", "--framework", "hipaa")
        found = bundles.Bundle.unpack(tmp_path / "a.tar", tmp_path / "a").folder
        controls = json.loads((found / "controls/hipaa.json").read_text())["controls"]
        (changed,) = [one for one in controls if one["id"] == "164.312(c)(1)"]
        statuses = {one["name"]: one["status"] for one in changed["evidence"]}
        assert statuses["published"] == status

    def test_git_says_who_looked_at_a_commit(
        self, exported: bundles.Log, tmp_path: Path
    ) -> None:
        repository = Repository(tmp_path)
        seen = repository.commit("Change a\n\nReviewed-by: Grace <grace@example.com>\n")
        unseen = repository.commit("Change it again\n")
        repository.push()
        exported.follow(repository)
        for commit in (seen, unseen):
            applied = Entry(
                type=EntryType.MANIFEST_APPLIED,
                actor="git:default",
                commit=commit,
                private=(("signer", "s"), ("reviewers", ["r"])),
            )
            exported.add(applied)
        exported.sign()
        exported.export(tmp_path / "a.tar", "--framework", "soc2")
        found = bundles.Bundle.unpack(tmp_path / "a.tar", tmp_path / "a").folder
        controls = json.loads((found / "controls/soc2.json").read_text())["controls"]
        (changes,) = [one for one in controls if one["id"] == "CC8.1"]
        four_eyes = next(one for one in changes["evidence"] if one["name"] == "four-eyes")
        assert four_eyes["population"] == 2
        assert four_eyes["exceptions"] == [{"seq": 5, "what": "no commit names a reviewer"}]
        assert changes["status"] == "exception"

    def test_own_frameworks_with_a_mistake_stop_an_export_before_it_is_told_of(
        self, exported: bundles.Log, tmp_path: Path
    ) -> None:
        (tmp_path / "own").mkdir()
        (tmp_path / "own/x.yaml").write_text("framework: x\n")
        done = exported.home.orloj(
            *("audit", "export", "--out", str(tmp_path / "a.tar")),
            *("--controls", str(tmp_path / "own")),
        )
        assert done.returncode == 1
        assert f"{tmp_path}/own/x.yaml:1:1: `framework` needs `" in done.stderr
        assert not (tmp_path / "a.tar").exists()
        assert not [one for one in exported.home.entries() if one["type"] == "access.exported"]


@pytest.mark.parametrize("check", [FieldsPresent, DecisionsTraceable])
def test_a_tool_that_is_withheld_is_one_that_is_named(check: type[Watch]) -> None:
    """A name that a model made up stands in an entry as a commitment."""
    said = {
        "type": "action.decided",
        "decision": "deny",
        "commit": "c" * 40,
        **dict.fromkeys(("actor", "agent", "manifests", "code"), "x"),
        "time": 1,
        "private": {"tool": "hmac-sha256:1", "reason": "hmac-sha256:2"},
    }
    period = Period("log", 0, 2, 1, 1)
    for private, exceptions in ((said["private"], 0), ({"reason": "hmac-sha256:2"}, 1)):
        made = check()
        made.take(1, {**said, "private": private})
        assert made.end(period).exceptions_count == exceptions
