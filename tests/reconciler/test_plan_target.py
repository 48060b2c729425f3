"""A part of a plan shows what is named and what that needs, counts the rest, and is never
applied.
"""

from pathlib import Path

import pytest
from home import opened

from reconciler import apply
from reconciler.change import Action, Plan, Target
from reconciler.governance.finding import Finding, Severity
from reconciler.plan import PlanRequest, plan
from reconciler.resource import Mention, Recorded, Resource
from reconciler.review.selection import matches, names, select, unmatched
from runner.contract import errors
from runner.contract.kinds import Key, digest

GIT = "git:default"


def resource(kind: str, name: str, *needs: Key, content: str = "x") -> Resource:
    body = f'{{"spec":{{"model":"{content}"}}}}'
    return Resource(
        Key("default", kind, name), f"{name}.yaml", 1, 1, digest(body), body, {},
        mentions=tuple(Mention(key, 3, 5, False) for key in needs), blob="0" * 40,
    )  # fmt: skip


def record(made: Resource) -> Recorded:
    return Recorded(*(made.key, GIT, "a" * 40, made.path, 1, "sha256:old", made.body, 1))


TOOL = resource("Tool", "scan")
MODEL = resource("ModelEndpoint", "big")
AGENT = resource("Agent", "triage", TOOL.key, MODEL.key, content="agent")
SYSTEM = resource("AgentSystem", "desk", AGENT.key, content="desk")
OTHER = resource("Agent", "closer", TOOL.key, content="other")
GONE = resource("Agent", "gone", content="gone")


def whole() -> Plan:
    made = plan(
        PlanRequest(
            target=Target(owner=GIT, source="default", commit="b" * 40),
            desired={item.key: item for item in (TOOL, MODEL, AGENT, SYSTEM, OTHER)},
            recorded={item.key: record(item) for item in (OTHER, GONE)},
        )
    )
    widening = Finding(Severity.WIDENS, OTHER.key, "closer gains", "closer.yaml", 1, "x", False)
    object.__setattr__(made, "findings", (widening,))
    return made


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("agent/default/triage", True),
        ("Agent/default/triage", True),
        ("agent/triage", True),
        ("agent/*", True),
        ("*/default/*", True),
        ("*triage", True),
        ("agent/default/tri", False),
        ("tool/default/triage", False),
        ("agent/support/triage", False),
        ("agent/default/Triage", False),
        ("", False),
    ],
)
def test_a_target_is_a_key_or_a_pattern(target: str, meant: bool) -> None:
    assert matches(target, AGENT.key) == meant


def test_what_is_named_comes_with_what_it_needs_and_nothing_else() -> None:
    part, partial = select(whole(), ["agent/triage"])
    assert {change.key.name for change in part.changes} == {"triage", "scan", "big"}
    assert (partial.named, partial.needed) == (1, 2)
    assert dict(partial.hidden) == {
        Action.CREATE: 1, Action.UPDATE: 1, Action.DELETE: 1, Action.MOVE: 0,
    }  # fmt: skip


def test_what_needs_it_does_not_come_along_but_what_that_needs_does() -> None:
    part, _ = select(whole(), ["agentsystem/desk"])
    assert {change.key.name for change in part.changes} == {"desk", "triage", "scan", "big"}


def test_widenings_that_are_not_shown_are_counted() -> None:
    part, partial = select(whole(), ["agent/triage"])
    assert (part.findings, partial.hidden_widenings) == ((), 1)


def test_a_part_has_another_id_for_other_targets_and_names_the_whole() -> None:
    ids = {select(whole(), targets)[0].id for targets in (["agent/*"], ["tool/*"], ["*"])}
    assert len(ids | {whole().id}) == 4
    assert select(whole(), ["agent/*"])[1].whole_id == whole().id
    assert select(whole(), ["a", "b"])[0].id == select(whole(), ["b", "a"])[0].id


def test_a_target_that_means_nothing_is_told() -> None:
    assert unmatched(["agent/*", "nope/*"], names(whole())) == ["nope/*"]


def test_a_part_is_never_applied(tmp_path: Path) -> None:
    database = opened(tmp_path)
    part, _ = select(whole(), ["*"])
    with pytest.raises(errors.PlanBlocked, match="a commit is applied whole"):
        apply.apply(database, part, 1)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM resource").scalar_one() == 0
    database.close()
