"""The populations of a period are what its entries say: nothing more, nothing left out."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from period import CLERK, COMMIT, SECOND_US, Period
from repository import Repository

from reconciler.evidence.population import sampling
from reconciler.evidence.population.changes import NO, UNKNOWN, YES, four_eyes
from reconciler.evidence.population.commits import Brought
from reconciler.evidence.population.oversight import bucket
from runner.contract.audit_entry import EntryType
from runner.limit.worst_window import worst_windows

ON_CALL: dict[str, Any] = {"task": "t", "step": 1, "attempt": 1, **CLERK}


@pytest.fixture
def period(tmp_path: Path) -> Iterator[Period]:
    opened = Period(tmp_path / "home")
    yield opened
    opened.database.close()


def counted(period: Period, folder: Path, **which: int) -> dict[str, Any]:
    """The one tally of a period, and what else is said of its calls."""
    with period.evidence(folder, **which) as found:
        calls = found.calls
        (tally,) = found.tallies
        return {
            **{name: getattr(tally, name) for name in ("requested", "allow", "ask", "deny")},
            **{name: getattr(tally, name) for name in ("executed", "failed", "unknown")},
            "interrupted": tally.interrupted,
            "orphans": [orphan.what for orphan in calls.orphans],
            "earlier": calls.earlier,
            "under_way": calls.under_way,
        }


def test_every_way_a_call_can_go_is_counted_and_is_no_orphan(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    period.call("t", 1, EntryType.ACTION_EXECUTED)
    period.call("t", 2, EntryType.ACTION_FAILED)
    period.decide("t", 3, "deny", rule="a.yaml:3", reason="not granted")
    period.call("t", 4, EntryType.ACTION_UNKNOWN)
    period.decide("t", 5, "allow")
    period.add(EntryType.TASK_RELEASED, task="t", outcome="pending")
    period.call("t", 5, EntryType.ACTION_EXECUTED)
    period.finish("t")
    period.queue("u")
    period.decide("u", 1, "allow")
    assert counted(period, tmp_path) == {
        **{"requested": 7, "allow": 6, "ask": 0, "deny": 1},
        **{"executed": 2, "failed": 1, "unknown": 1, "interrupted": 1},
        **{"orphans": [], "earlier": 0, "under_way": 1},
    }


ABOUT = {"task": "t", "step": 1, "attempt": 1, **CLERK}
ASKED, DECIDED = EntryType.ACTION_REQUESTED, EntryType.ACTION_DECIDED
STARTED, EXECUTED = EntryType.ACTION_STARTED, EntryType.ACTION_EXECUTED
WHOLE = (ASKED, DECIDED, STARTED, EXECUTED)


@pytest.mark.parametrize(
    ("left_out", "orphans"),
    [
        (ASKED, ["decided without being requested"]),
        (DECIDED, ["started without being allowed"]),
        (STARTED, ["ended without being started"]),
        (EXECUTED, ["started and never ended, though its task succeeded"]),
        (None, []),
    ],
)
def test_a_step_that_is_missing_is_an_orphan(
    period: Period, tmp_path: Path, left_out: EntryType | None, orphans: list[str]
) -> None:
    period.queue("t")
    for type in WHOLE:
        if type is not left_out:
            decision = {"decision": "allow"} if type is DECIDED else {}
            period.add(type, **ABOUT, **decision)
    period.finish("t")
    assert counted(period, tmp_path)["orphans"] == orphans


@pytest.mark.parametrize(
    ("steps", "orphans"),
    [
        ((ASKED,), ["requested and never decided"]),
        ((ASKED, DECIDED), ["allowed and never started"]),
        ((ASKED, ASKED, DECIDED, STARTED), ["requested and never decided"]),
    ],
)
def test_what_one_transaction_should_have_brought_is_missed_at_the_end(
    period: Period, tmp_path: Path, steps: tuple[EntryType, ...], orphans: list[str]
) -> None:
    for type in steps:
        decision = {"decision": "allow"} if type is DECIDED else {}
        period.add(type, **ABOUT, **decision)
    assert counted(period, tmp_path)["orphans"] == orphans


def test_a_call_that_was_denied_and_ran_all_the_same_is_an_orphan(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    period.decide("t", 1, "deny")
    period.add(EXECUTED, **ABOUT)
    assert counted(period, tmp_path)["orphans"] == ["ended without being started"]


def test_a_call_across_the_border_is_counted_on_both_sides_and_is_no_orphan(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    period.decide("t", 1, "allow")
    border = len(period.entries())
    period.add(EXECUTED, **ABOUT)
    period.finish("t")
    before = counted(period, tmp_path, last=border)
    after = counted(period, tmp_path, first=border + 1)
    assert (before["under_way"], before["orphans"]) == (1, [])
    assert (after["earlier"], after["executed"], after["orphans"]) == (1, 1, [])


def test_an_approval_is_followed_from_the_question_to_its_use(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    for number, (later_us, answer) in enumerate(
        [
            (2 * SECOND_US, EntryType.APPROVAL_GRANTED),
            (90 * SECOND_US, EntryType.APPROVAL_GRANTED),
            (600 * SECOND_US, EntryType.APPROVAL_DENIED),
            (9 * SECOND_US, EntryType.APPROVAL_EXPIRED),
            (9 * SECOND_US, EntryType.APPROVAL_WITHDRAWN),
        ]
    ):
        about = {**ABOUT, "step": number, "approval": f"r{number}"}
        period.decide("t", number, "ask")
        period.add(EntryType.APPROVAL_REQUESTED, **about)
        period.add(answer, later_us, **{**about, "actor": "approver:ada", "reason": "login"})
    period.add(EntryType.APPROVAL_CONSUMED, **{**ABOUT, "step": 1, "approval": "r1"})
    with period.evidence(tmp_path) as found:
        states = [(one.id, one.state, one.decision, one.approver) for one in found.approvals()]
        assert states == [
            ("r0", "granted", "granted", "ada"),
            ("r1", "consumed", "granted", "ada"),
            ("r2", "denied", "denied", "ada"),
            ("r3", "expired", "", ""),
            ("r4", "withdrawn", "", ""),
        ]
        seen = found.oversight
        assert (seen.decided, seen.quick) == (3, 1)
        assert (seen.median_us, seen.longest_us) == (90 * SECOND_US, 600 * SECOND_US)
        assert seen.buckets["under 5 s"] == 1
        assert seen.buckets["10 min to 1 h"] == 1
        assert seen.approvers == {"ada": {"granted": 2, "denied": 1}}
        assert found.calls.under_way == 5


def test_every_time_has_one_bar() -> None:
    assert bucket(0) == bucket(4_999_999) == "under 5 s"
    assert bucket(5_000_000) == "5 s to 1 min"
    assert bucket(86_400_000_000) == "over 24 h"


def test_the_worst_window_is_that_of_limits_verify(period: Period, tmp_path: Path) -> None:
    for number, after_us in enumerate([1, 30, 20, 15, 40, 1, 1]):
        charges = (
            ("tokens_per_minute", "default/clerk", 100 + number, 250),
            ("tokens_per_run", "default/clerk t", 100, 10_000),
            ("concurrent_tasks", "default/clerk", 1, 3),
        )
        about = {"task": "t", "attempt": 1, "step": number}
        at = {"at": period.now_us}
        period.add(
            EntryType.TOKENS_RESERVED, after_us * SECOND_US, **about, charges=charges, **at
        )
        if number % 3 != 2:
            used = tuple((name, scope, 70 * number, bound) for name, scope, _, bound in charges)
            period.add(EntryType.TOKENS_SETTLED, **about, charges=used, at=period.now_us + 5)
    expected = {
        (one.dimension.value, one.scope): one
        for one in worst_windows(entry.fields for entry in period.entries())
    }
    with period.evidence(tmp_path) as found:
        worst = {(one.dimension, one.scope): one.worst for one in found.limits}
        assert worst == expected
        minute = next(one for one in found.limits if one.dimension == "tokens_per_minute")
        assert (minute.reserved, minute.settled) == (721, 70 * (0 + 1 + 3 + 4 + 6))
        assert minute.open == 2


def test_a_number_that_is_missing_among_the_entries_of_a_task_shows(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    period.queue("u")
    period.call("t", 1, EXECUTED)
    period.finish("t")
    entries = period.entries()
    with period.evidence(tmp_path) as found:
        coverage = found.coverage
        assert (coverage.tasks, coverage.closed, coverage.faults) == (2, 1, [])
        seen = [type(coverage)(coverage.spool) for _ in range(2)]
        for entry in entries:
            if entry.seq != 4:
                seen[0].take(entry.fields)
            closing = entry.fields | {"entries": 3} if "entries" in entry.fields else {}
            seen[1].take(entry.fields | closing)
        (lost,), (short,) = seen[0].faults, seen[1].faults
        assert (lost.task, lost.seq, lost.what) == ("t", 5, "number 4 follows number 2")
        assert short.what == "it is said to have 3 entries and has 6"


def test_a_log_that_was_not_stopped_before_it_started_again_is_a_gap(
    period: Period, tmp_path: Path
) -> None:
    started, stopped = EntryType.LOG_STARTED, EntryType.LOG_STOPPED
    for type, writer in [
        *((started, "a"), (stopped, "a"), (started, "a"), (started, "b")),
        *((started, "a"), (stopped, "b")),
    ]:
        period.add(type, 10 * SECOND_US, actor=writer)
    with period.evidence(tmp_path) as found:
        (gap,) = found.coverage.gaps
        assert (gap.writer, gap.started, gap.again) == ("a", 3, 5)
        assert found.coverage.writing == 1
        assert found.coverage.quiet.length_us == 10 * SECOND_US


def test_a_sample_can_be_drawn_again_with_nothing_but_the_root(
    period: Period, tmp_path: Path
) -> None:
    period.queue("t")
    for step in range(40):
        period.call("t", step, EXECUTED)
    requested = [entry.seq for entry in period.entries() if entry.fields["type"] == ASKED.value]
    with period.evidence(tmp_path) as found:
        root = found.scope.checkpoint.root.hex()
        tickets = {
            str(seq): hashlib.sha256(f"{root}:calls:{seq}".encode()).hexdigest()
            for seq in requested
        }
        drawn = found.drawn["calls"]
        assert [one.id for one in drawn] == sorted(tickets, key=tickets.__getitem__)[:25]
        assert found.sampled_calls.count == 40
        for one in drawn:
            types = [entry["type"] for entry in one.entries]
            assert types == [type.value for type in WHOLE]
            assert str(one.entries[0]["seq"]) == one.id


def test_another_root_draws_another_sample() -> None:
    drawn = []
    for root in (b"\x01" * 32, b"\x02" * 32):
        sample = sampling.Sample("calls", root, 5)
        for number in range(100):
            sample.offer(str(number))
        drawn.append([one.id for one in sample.items])
    assert drawn[0] != drawn[1]


MESSAGES = {
    "nobody": ("Change\n", NO, "no commit names a reviewer"),
    "another": ("Change\n\nReviewed-by: Eve <eve@example.com>\n", YES, "Eve"),
    "oneself": ("Change\n\nReviewed-by: A. <ADA@example.com>\n", NO, "only who wrote"),
    "co-author": (
        "Change\n\nCo-authored-by: Eve <eve@example.com>\nReviewed-by: E <eve@example.com>\n",
        NO,
        "only who wrote",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_four_eyes_are_found_in_git_and_only_in_somebody_else(
    tmp_path: Path, case: str
) -> None:
    message, verdict, why = MESSAGES[case]
    repository = Repository(tmp_path)
    commits = []
    for text in ("First\n", message):
        repository.write("a.yaml", text)
        commits.append(repository.commit(text))
    repository.push()
    period = Period(tmp_path / "home", repository.origin)
    for commit in commits:
        facts = {"actor": "git:default", "commit": commit}
        period.together(
            (
                EntryType.MANIFEST_OVERRIDDEN,
                facts | {"outcome": "freeze", "actor": "person:eve"},
            ),
            (EntryType.MANIFEST_APPLIED, facts | {"digest": "plan", "outcome": "+1"}),
            (EntryType.RESOURCE_CREATED, facts | {"resource": "Agent default/a"}),
            (EntryType.MANIFEST_WIDENED, facts),
        )
    with period.evidence(tmp_path) as found:
        first, second = found.changes()
        assert (second.four_eyes, first.four_eyes) == (verdict, NO)
        assert why in second.why
        assert (first.before, second.before) == (None, commits[0])
        assert (first.fast_forward, second.fast_forward) == (UNKNOWN, YES)
        assert second.authors[0] == "Ada Author <ada@example.com>"
        assert (second.subject, second.signature) == ("Change", "none")
        assert (second.created, second.widened) == (1, 1)
        assert second.overrides == ("freeze: person:eve",)
        violations = [change.commit for change in found.violations()]
        assert violations == (commits if verdict == NO else commits[:1])
        lifecycle = [entry["type"] for entry in found.drawn["changes"][0].entries]
        assert lifecycle == ["manifest.applied", "resource.created", "manifest.widened"]
    period.database.close()


def test_an_approval_of_the_plan_is_no_violation_and_no_proof_of_two_people() -> None:
    brought = Brought("", ("Ada <a@b.c>",), ("Ada <a@b.c>",), (), "none", 1, True, True)
    assert four_eyes(brought, ["freeze: person:eve"])[0] == NO
    verdict, why = four_eyes(brought, ["plan: person:eve"])
    assert verdict == UNKNOWN
    assert "person:eve approved the plan" in why


def test_a_history_that_was_rewritten_is_no_fast_forward(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write("a.yaml", "1")
    first = repository.commit("First")
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.write("a.yaml", "2")
    second = repository.commit("Other")
    period = Period(tmp_path / "home", repository.work / ".git")
    for commit in (first, second):
        period.add(EntryType.MANIFEST_APPLIED, actor="git:default", commit=commit)
    with period.evidence(tmp_path) as found:
        assert [change.fast_forward for change in found.changes()] == [UNKNOWN, NO]
    period.database.close()


def test_without_git_nobody_is_said_to_have_looked(period: Period, tmp_path: Path) -> None:
    period.add(EntryType.MANIFEST_APPLIED, actor="git:default", commit=COMMIT)
    with period.evidence(tmp_path) as found:
        (change,) = found.changes()
        assert change.four_eyes == UNKNOWN
        assert "no mirror" in change.why
        assert list(found.violations()) == []


def test_denials_are_counted_by_the_rule_that_made_them(period: Period, tmp_path: Path) -> None:
    for step, rule in enumerate(["b.yaml:1", "a.yaml:9", "b.yaml:1"]):
        period.decide("t", step, "deny", rule=rule, reason=f"reason {step}")
    with period.evidence(tmp_path) as found:
        seen = [(one.rule, one.count, one.reason) for one in found.denials]
        assert seen == [("b.yaml:1", 2, "reason 0"), ("a.yaml:9", 1, "reason 1")]


def test_exceptions_are_all_counted_and_the_first_of_each_kept(
    period: Period, tmp_path: Path
) -> None:
    many = [(EntryType.DRIFT_DETECTED, {"reason": str(number)}) for number in range(250)]
    period.together(*many, (EntryType.ERASURE_DONE, {}))
    with period.evidence(tmp_path) as found:
        assert found.exceptions.counts == {"drift.detected": 250, "erasure.done": 1}
        kept = list(found.exceptions.kept("drift.detected"))
        assert [one["reason"] for one in kept] == [str(number) for number in range(200)]
        assert found.exceptions.codes["DRI001W", "drift.detected"] == 250
