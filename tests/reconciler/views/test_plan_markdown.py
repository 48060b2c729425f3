"""A plan on a pull request: the words of the terminal, and nothing that a stranger could use.

The expected page is in `plan.md.txt`; ORLOJ_GOLDEN=write writes it anew, to be read in the
diff. What a forge does with the page is looked at by rules of CommonMark: where a code block
begins and ends, and what stands outside of one.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan_view import record, resource, sample, shown

from reconciler.change import Block, Plan, Target
from reconciler.governance.finding import Finding, Severity
from reconciler.plan import PlanRequest, explain, plan
from reconciler.problem import Problem
from reconciler.review.selection import select
from reconciler.views.plan_line import Telling
from reconciler.views.plan_markdown import (
    CHARACTERS_MAX,
    marker,
    plan_markdown,
    problems_markdown,
)

GOLDEN = Path(__file__).with_name("plan.md.txt")
HOSTILE = [
    "```\n<script>alert(1)</script>",
    "\n```\n\n@everyone <img src=x onerror=y>\n",
    "   ````\n/approve\n/merge\n",
    "</details><h1>Approved</h1>",
    "[click](javascript:x) ![](http://tracker/x.png) #1 org/repo#2",
    "~~~\n<!-- orloj-plan default -->\n",
    "\r\n```\r\n@team\r\n",
    "\u2028```\u2028@team",
    "`" * 5_000 + "@team",
    "\x00\x1b[2J\u202e@team",
]


def outside(page: str) -> list[str]:
    """The lines of a page that stand in no code block, as CommonMark has it."""
    found, fence = [], ""
    for line in re.split(r"\r\n|\r|\n", page):
        if fence:
            closing = re.fullmatch(r" {0,3}(`+|~+)[ \t]*", line)
            if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
                fence = ""
            continue
        if opening := re.match(r" {0,3}(`{3,}|~{3,})[^`]*$", line):
            fence = opening[1]
        else:
            found.append(line)
    assert not fence, "a code block is never closed"
    return found


OURS = re.compile(
    r"|<!-- orloj-plan [a-z0-9-]+ -->"
    r"|### Orloj[^<@`]*(\*\*widens permissions \([\d ]+\)\*\*)?"
    r"|\*\*(Permissions: [\w ,]+|Blocked|[\d ]+ warnings?)\*\*"
    r"|<details( open)?><summary>[\d ]+ changes?</summary>|</details>|Next:"
)


def assert_only_ours(page: str) -> None:
    for line in outside(page):
        assert OURS.fullmatch(line), f"this stands outside of a code block: {line!r}"


def full(planned: Plan) -> Plan:
    findings = (
        Finding(
            Severity.WIDENS, planned.changes[0].key, "evil gains mail", "a.yaml", 3, "x", False
        ),
        Finding(Severity.NARROWS, planned.changes[0].key, "less", "a.yaml", 4, "x", False),
    )
    return replace(planned, findings=findings)


def test_a_page_looks_as_it_was_agreed() -> None:
    telling = Telling(following="orloj plan", remarks=("main → HEAD, between two commits",))
    page = plan_markdown(full(sample()), telling)
    if os.environ.get("ORLOJ_GOLDEN") == "write":
        GOLDEN.write_text(page, encoding="utf-8")
    assert page == GOLDEN.read_text(encoding="utf-8")
    assert_only_ours(page)


def test_the_page_says_what_the_terminal_says() -> None:
    planned = sample()
    page = " ".join(plan_markdown(planned).split())
    for line in shown(planned).splitlines():
        words = re.sub(r"^ *([+\-~>#] )?", "", line)
        words = words.removeprefix("Warning: ").removeprefix("Plan: ").removeprefix("Next: ")
        assert " ".join(words.split()) in page, line


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_gets_out_of_its_code_block(text: str) -> None:
    made = resource("Agent", "a", {"model": text, "prompt": f"{text}\nand\nmore\n"})
    old = resource("Agent", "a", {"model": "m", "prompt": "one\nand\nmore\n"})
    target = Target(
        owner="git:default",
        source="default",
        ref=f"refs/heads/{text}",
        commit="b" * 40,
        previous_commit="a" * 40,
        subject=text,
        author=text,
    )
    request = PlanRequest(
        target=target,
        desired={made.key: made},
        recorded={old.key: record(old)},
        warnings=(Problem(text, 1, 1, text, text),),
    )
    planned = replace(
        explain(plan(request)),
        blocked=(Block(text, text),),
        findings=(Finding(Severity.WIDENS, made.key, text, text, 1, text, True),),
    )
    telling = Telling(following=text, remarks=(text,))
    for page in (
        plan_markdown(planned, telling),
        plan_markdown(replace(planned, blocked=()), telling),
        plan_markdown(replace(planned, changes=(), blocked=()), telling),
        problems_markdown((Problem(text, 1, 1, text, text),), (Block(text, text),), text),
    ):
        assert_only_ours(page)
        assert "\x1b" not in page
        assert "\u202e" not in page


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_changes_stays_in_its_code_block(before: str, after: str) -> None:
    old = resource("Agent", "a", {"prompt": f"a long prompt of words\n{before}"})
    new = resource("Agent", "a", {"prompt": f"a long prompt of words\n{after}"})
    request = PlanRequest(
        target=Target(owner="git:default", source="default", commit="b" * 40),
        desired={new.key: new},
        recorded={old.key: record(old)},
    )
    assert_only_ours(plan_markdown(explain(plan(request))))


def test_a_page_is_never_longer_than_a_forge_takes_and_counts_what_it_leaves_out() -> None:
    made = [
        resource("Agent", f"a{number:04}", {"model": "𝔪" * 80, "prompt": "a b\n" * 9})
        for number in range(2_000)
    ]
    request = PlanRequest(
        target=Target(owner="git:default", source="default", commit="b" * 40),
        desired={item.key: item for item in made},
        recorded={},
        warnings=tuple(Problem("a.yaml", at, 1, "𝔪 " * 400) for at in range(900)),
    )
    planned = explain(plan(request))
    planned = replace(planned, blocked=(Block("X", "𝔪hy " * 500),) * 400)
    page = plan_markdown(planned, Telling(following="orloj plan"))
    assert len(page.encode("utf-16-le")) // 2 <= CHARACTERS_MAX
    assert len(page) > CHARACTERS_MAX * 0.4
    assert re.search(r"… [\d ]+ more lines left out; orloj plan shows all", page)
    assert "… and 880 more" in page
    assert page.endswith("orloj plan\n```\n")
    assert_only_ours(page)


def test_a_page_of_problems_is_not_longer_either() -> None:
    problems = [Problem("a.yaml", at, 1, "𝔪 " * 400, "𝔪 " * 400) for at in range(900)]
    page = problems_markdown(problems, [Block("X", "𝔪 " * 900)] * 90, "default")
    assert len(page.encode("utf-16-le")) // 2 <= CHARACTERS_MAX
    assert "… and 820 more" in page


def test_who_may_do_more_stands_before_what_folds() -> None:
    page = plan_markdown(full(sample()))
    assert page.index("! widens: evil gains mail") < page.index("<details")
    assert "**widens permissions (1)**" in page.splitlines()[2]


def test_a_part_of_a_plan_says_so_in_its_title() -> None:
    part, partial = select(sample(), ["agent/support/triage"])
    page = plan_markdown(part, Telling(partial=partial))
    assert "### Orloj part of a plan: 0 to create, 1 to update" in page
    assert "A commit is applied whole; this is for reading." in page


def test_each_repository_has_a_marker_of_its_own() -> None:
    assert marker("default") == "<!-- orloj-plan default -->"
    assert marker("teams-a") != marker("teams-b")
    assert marker("--> <b>") == "<!-- orloj-plan --b -->"
