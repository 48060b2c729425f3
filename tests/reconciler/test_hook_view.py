"""A pusher reads what becomes of the push, in lines that fit beside `remote:`."""

from dataclasses import replace

import pytest

from reconciler.change import Block, Target
from reconciler.plan import PlanRequest, plan
from reconciler.problem import Problem
from reconciler.push.verdict import Ending, Verdict
from reconciler.resource import Resource
from reconciler.views.push import PROBLEMS_MAX, WIDTH, Outlook, failure_lines, push_lines
from runner.contract.kinds import Key, digest

UNTIL_US = 1_795_402_800_000_000
TARGET = Target(owner="git:default", source="default", ref="main", commit="b" * 40)
KEY = Key("default", "Agent", "a")
PLAN = plan(
    PlanRequest(
        target=TARGET,
        desired={KEY: Resource(KEY, "a.yaml", 1, 1, digest("{}"), "{}", {})},
        recorded={},
    )
)
FROZEN = Block("Frozen", "nothing is applied at the weekend", UNTIL_US)


def said(ending: Ending, blocks: tuple[Block, ...] = (), **outlook: object) -> list[str]:
    planned = replace(PLAN, blocked=blocks)
    fields = {"ref": "refs/heads/main", "home": "/h", "stands_at": "c" * 40} | outlook
    return push_lines(Verdict(ending=ending, plan=planned), Outlook(**fields))


@pytest.mark.parametrize(
    ("ending", "blocks", "outlook", "words"),
    [
        (Ending.ACCEPTED, (), {}, "The daemon applies this when the push is done."),
        (
            Ending.ACCEPTED,
            (),
            {"daemon": False},
            "No daemon runs for /h. To apply this: orloj rec",
        ),
        (Ending.ACCEPTED, (), {"suspended": "x"}, "It is applied once you say: orloj resume x"),
        (Ending.WAITING, (FROZEN,), {}, "the daemon applies this at 2026-11-23 03:00:00 UTC."),
        (Ending.PLAN_ONLY, (), {}, "Only planned, as you asked: main stays at cccccccc."),
        (
            Ending.REFUSED,
            (),
            {},
            "error: refused: main stays at cccccccc, and nothing is applied.",
        ),
        (Ending.REFUSED, (), {"stands_at": ""}, "error: refused: main is not made"),
        (Ending.REFUSED, (), {"ref": ""}, "error: refused: nothing is pushed"),
    ],
)
def test_the_end_says_what_becomes_of_the_push(
    ending: Ending, blocks: tuple[Block, ...], outlook: dict[str, object], words: str
) -> None:
    assert words in " ".join(" ".join(said(ending, blocks, **outlook)).split())


def test_only_what_can_be_pushed_is_offered_for_approval() -> None:
    offer = f"To push exactly this: git push -o approve={PLAN.short_id}"
    assert offer in said(Ending.PLAN_ONLY)
    assert offer in said(Ending.PLAN_ONLY, (FROZEN,))
    assert offer not in said(Ending.PLAN_ONLY, (Block("PruneBudget", "too many"),))
    assert offer not in said(Ending.REFUSED)
    waiting = Verdict(ending=Ending.REFUSED, plan=PLAN, approvable=True)
    assert offer in push_lines(waiting, Outlook())


def test_long_lines_are_folded_and_the_mark_under_a_line_stays_in_its_place() -> None:
    problem = Problem(
        "a.yaml", 3, 60, "wrong " * 30, "a hint", excerpt=f"{'x' * 59}y{'z' * 30}"
    )
    lines = push_lines(Verdict(ending=Ending.REFUSED, problems=(problem,)), Outlook())
    (excerpt,) = [line for line in lines if "| xxx" in line]
    (mark,) = [line for line in lines if line.endswith("^")]
    assert mark.index("^") == excerpt.index("y")
    assert all(len(line) <= WIDTH for line in lines if line != excerpt)


def test_many_problems_are_counted() -> None:
    problems = tuple(Problem(f"{n}.yaml", 1, 1, "wrong") for n in range(PROBLEMS_MAX + 7))
    lines = push_lines(Verdict(ending=Ending.REFUSED, problems=problems), Outlook())
    assert "Not shown: 7 more problems." in lines
    assert f"{PROBLEMS_MAX + 7} errors in {PROBLEMS_MAX + 7} files" in lines


def test_a_failure_is_one_sentence_with_the_way_out_and_no_escapes() -> None:
    lines = failure_lines("disk\x1b[31m full", "orloj hook uninstall /x")
    assert lines[0].startswith(
        "error: refused, since Orloj cannot look at this push: disk\\x1b"
    )
    assert lines[-1] == "To push without Orloj, on that host: orloj hook uninstall /x"
