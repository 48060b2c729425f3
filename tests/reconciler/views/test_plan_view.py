"""A plan is shown whole, in words a person can check, and cannot touch their terminal.

The expected text is in `plan.txt`; ORLOJ_GOLDEN=write writes it anew, to be read in the diff.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from reconciler.change import Block, Plan, Target
from reconciler.plan import PlanRequest, explain, plan
from reconciler.problem import Problem, Severity
from reconciler.resource import Recorded, Resource
from reconciler.views.plan import CHANGES_MAX, plan_words
from reconciler.views.plan_json import plan_json
from reconciler.views.plan_line import Same, Telling
from runner.contract.kinds import Key, digest

GOLDEN = Path(__file__).with_name("plan.txt")
OLD, NEW = "696f056d" + "0" * 32, "8411f23d" + "0" * 32
PROMPT = "You triage claims.\nEscalate when the amount exceeds 100 EUR.\nBe brief.\n"
DIGESTS = ["hmac-sha256:" + character * 64 for character in "ac"]


def resource(kind: str, name: str, spec: dict, path: str = "", line: int = 1) -> Resource:
    body = json.dumps({"spec": spec})
    key = Key("support", kind, name)
    path = path or f"teams/support/{name}.yaml"
    return Resource(key, path, line, 1, digest(body), body, {}, blob="0" * 40)


def record(made: Resource, owner: str = "git:default", path: str | None = None) -> Recorded:
    return Recorded(
        *(made.key, owner, OLD, path or made.path, made.line, made.spec_hash, made.body, 3),
        blob=made.blob,
    )


def triage(prompt: str, model: str, permissions: list[str]) -> Resource:
    granted = [{"read": item} for item in permissions]
    spec = {
        "model": model,
        "prompt": prompt,
        "tools": [{"name": "scan", "permissions": granted}],
    }
    return resource("Agent", "triage", spec, line=8)


def sample() -> Plan:
    before = [
        record(triage(PROMPT, "gpt-4", ["docs"])),
        record(resource("Secret", "crm", {"stringData": {"value": DIGESTS[0]}})),
        record(resource("Tool", "mailer", {"type": "http"})),
        record(resource("Agent", "moved", {"model": "m"}), path="old/moved.yaml"),
        record(resource("Agent", "mine", {"model": "m"}), owner="person:dana"),
        record(resource("AgentSystem", "desk", {"agents": ["triage", "closer"]})),
        record(resource("Tool", "old-name", {"type": "sql", "description": "reads"})),
        record(resource("Task", "nightly", {"input": {"text": "one two\n three\n"}})),
        record(resource("Agent", "was", {"model": "a"}, path="teams/support/one.yaml")),
    ]
    after = [
        triage(PROMPT.replace("100", "1000"), "gpt-5", ["docs", "mail"]),
        resource("Secret", "crm", {"stringData": {"value": DIGESTS[1]}}),
        resource("Agent", "moved", {"model": "m"}),
        resource("Agent", "mine", {"model": "m"}),
        resource("AgentSystem", "desk", {"agents": ["triage", "reviewer", "closer"]}),
        resource("Tool", "new-name", {"type": "sql", "description": "reads"}),
        resource("Task", "nightly", {"input": {"text": "one  two\nthree\n"}}),
        resource("Agent", "is", {"model": "b"}, path="teams/support/one.yaml"),
        resource("Agent", "evil", {"model": "\x1b[2Jred\u202e", "prompt": "one\ntwo\nthree\n"}),
    ]
    target = Target(
        owner="git:default",
        source="default",
        ref="refs/heads/main",
        commit=NEW,
        previous_commit=OLD,
        serial=41,
        author="Dana <dana@example.com>",
        subject="Raise the limit \x1b]0;pwned\x07",
        commits=3,
    )
    request = PlanRequest(
        target=target,
        desired={item.key: item for item in after},
        recorded={item.key: item for item in before},
        untouched=1_198,
        removed_paths=frozenset({"teams/support/mailer.yaml"}),
        warnings=(
            Problem(
                "teams/support/triage.yaml", 9, 3, "Tool `x` is odd", None, Severity.WARNING
            ),
        ),
    )
    return explain(plan(request))


def shown(planned: Plan, width: int = 300, **more: object) -> str:
    console = Console(width=width, color_system=None, soft_wrap=True, highlight=False)
    with console.capture() as capture:
        console.print(plan_words(planned, **more))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def test_a_plan_looks_as_it_was_agreed() -> None:
    text = shown(sample(), elapsed_ms=38.4, following="orloj apply plan.json")
    if os.environ.get("ORLOJ_GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_nothing_in_a_manifest_reaches_the_terminal_as_a_command() -> None:
    text = shown(sample())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x07" not in text


def test_markup_in_a_manifest_is_text() -> None:
    made = resource("Agent", "a", {"model": "[red]x[/red][link=file:///etc/passwd]y[/link]"})
    request = PlanRequest(
        target=Target(owner="git:d", commit=NEW), desired={made.key: made}, recorded={}
    )
    assert "[red]x[/red][link=file:///etc/passwd]y[/link]" in shown(explain(plan(request)))


def test_a_plan_without_changes_says_so() -> None:
    made = resource("Agent", "a", {"model": "m"})
    target = Target(owner="git:default", ref="main", commit=NEW, previous_commit=NEW)
    request = PlanRequest(
        target=target, desired={made.key: made}, recorded={made.key: record(made)}, untouched=99
    )
    expected = "No changes. What is recorded is what main@8411f23d says: 100 resources."
    assert shown(plan(request)).splitlines()[-1] == expected


def test_a_rewritten_history_stands_in_the_first_line() -> None:
    planned = sample()
    rewritten = replace(
        planned, target=replace(planned.target, fast_forward=False, commits=None)
    )
    assert "(history REWRITTEN)" in shown(rewritten).splitlines()[0]


def test_a_blocked_plan_says_why_and_that_nothing_can_be_applied() -> None:
    text = shown(
        replace(sample(), blocked=(Block("OwnedElsewhere", "agent/x/y belongs to git:other"),))
    )
    assert "BLOCKED: agent/x/y belongs to git:other" in text
    assert "Blocked by 1 reason: nothing can be applied." in text


def test_what_a_long_plan_does_not_show_is_counted() -> None:
    made = [
        resource("Agent", f"a{number:04}", {"model": "m"}) for number in range(CHANGES_MAX + 7)
    ]
    request = PlanRequest(
        target=Target(owner="git:d", commit=NEW),
        desired={item.key: item for item in made},
        recorded={},
    )
    text = shown(plan(request))
    assert "… and 7 more; --json lists all" in text
    assert f"Plan: {len(made)} to create" in text


def test_what_a_long_text_does_not_show_is_counted() -> None:
    lines = [f"line number {number}\n" for number in range(200)]
    before = resource("Agent", "a", {"prompt": "".join(lines)})
    after = resource("Agent", "a", {"prompt": "".join(lines).replace("number", "count")})
    request = PlanRequest(
        target=Target(owner="git:default", commit=NEW),
        desired={after.key: after},
        recorded={after.key: record(before)},
    )
    text = shown(explain(plan(request)))
    assert "spec.prompt: 200 of 200 lines" in text
    assert "(360 more changed lines hidden)" in text


@pytest.mark.parametrize(
    ("name", "actions", "before", "after"),
    [
        ("evil", ["create"], False, True),
        ("triage", ["update"], True, True),
        ("mailer", ["delete"], True, False),
    ],
)
def test_the_json_of_a_change_has_terraforms_shape(
    name: str, actions: list[str], before: bool, after: bool
) -> None:
    value = plan_json(sample())
    (change,) = [item for item in value["resource_changes"] if item["name"] == name]
    assert change["change"]["actions"] == actions
    assert (change["change"]["before"] is not None) == before
    assert (change["change"]["after"] is not None) == after
    assert change["source"]["commit"] == (NEW if after else OLD)
    assert change["action_reason"]
    json.dumps(value)


def test_words_and_json_agree() -> None:
    planned = sample()
    value = plan_json(planned)
    assert value["summary"] == {
        **{"create": 2, "update": 6, "delete": 2, "move": 1},
        "unchanged": 1_198,
    }
    words = "Plan: 2 to create, 6 to update, 2 to delete, 1 to move, 1 198 unchanged."
    assert words in shown(planned)
    assert value["id"].startswith(f"sha256:{planned.short_id}")


def test_a_line_longer_than_anybody_reads_is_shown_around_its_change() -> None:
    prompt = "be brief and kind " * 14_000
    before = resource("Agent", "a", {"prompt": prompt})
    after = resource("Agent", "a", {"prompt": prompt.replace("brief", "long", 1)})
    request = PlanRequest(
        target=Target(owner="git:default", commit=NEW),
        desired={after.key: after},
        recorded={after.key: record(before)},
    )
    lines = shown(explain(plan(request))).splitlines()
    (gone,) = [line for line in lines if "[-brief-]" in line]
    assert gone.startswith("        - be [-brief-] and kind be brief")
    assert len(gone) < 120


def test_full_hides_nothing() -> None:
    telling = Telling(full=True, same=(Same(Key("support", "Agent", "still"), "s.yaml", 3),))
    text = shown(sample(), telling=telling)
    assert "agent/support/still" in text
    assert "        spec.tools[scan].name: " in text
    assert {line.strip() for line in text.splitlines() if "hidden)" in line} == {
        "(2 unchanged lines hidden)",
        "(1 unchanged line hidden)",
    }
