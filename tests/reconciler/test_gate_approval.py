"""A plan that needs an approval waits for one of exactly its id, and for nothing else."""

from dataclasses import replace

import pytest

from reconciler.change import Action, Block, Plan, Target
from reconciler.gate import approval, gate
from reconciler.gate.request import GateRequest
from reconciler.governance.finding import Finding, Severity
from reconciler.override import Override, OverrideKind
from reconciler.plan import PlanRequest, plan
from reconciler.push import options
from reconciler.resource import Recorded, Resource
from runner.contract.kinds import Key, digest
from runner.contract.source_settings import Source

KEY = Key("default", "Agent", "a")
TARGET = Target(owner="git:default", source="default", commit="b" * 40, serial=7)
WIDENS = Finding(Severity.WIDENS, KEY, "a may do more", "a.yaml", 3, "grant-added")


def resource(body: str = "{}") -> Resource:
    return Resource(KEY, "a.yaml", 1, 1, digest(body), body, {}, blob="0" * 40)


def recorded(body: str = "{}") -> Recorded:
    return Recorded(KEY, "git:default", "a" * 40, "a.yaml", 1, digest(body), body, 1)


def planned(kind: str, target: Target = TARGET) -> Plan:
    want = {} if kind == "deletes" else {KEY: resource()}
    have = (
        {} if kind == "creates" else {KEY: recorded('{"x":1}' if kind == "updates" else "{}")}
    )
    made = plan(PlanRequest(target=target, desired=want, recorded=have))
    return replace(made, findings=(WIDENS,)) if kind == "creates" else made


def blocks(setting: str, made: Plan, *overrides: Override) -> tuple[Block, ...]:
    source = Source.model_validate({"approval": setting})
    return gate.blocks(GateRequest(plan=made, settings=source, overrides=overrides, now_us=0))


def yes(made: Plan) -> Override:
    return Override(OverrideKind.PLAN, "person:dana", "push option", made.id)


@pytest.mark.parametrize(
    ("setting", "waiting"),
    [
        ("never", set()),
        ("widening", {"creates"}),
        ("deletion", {"deletes"}),
        ("always", {"creates", "updates", "deletes"}),
    ],
)
def test_the_setting_says_which_plans_wait(setting: str, waiting: set[str]) -> None:
    kinds = ("creates", "updates", "deletes", "nothing")
    assert {kind for kind in kinds if blocks(setting, planned(kind))} == waiting


def test_a_block_names_the_plan_and_the_commands_that_approve_it() -> None:
    made = planned("updates")
    (block,) = blocks("always", made)
    assert (block.reason, block.until_us) == ("ApprovalRequired", None)
    assert f"git push -o approve={made.short_id}" in block.sentence
    assert block.sentence.endswith(f"orloj apply {made.short_id}")
    (other,) = blocks("always", planned("updates", replace(TARGET, source="teams")))
    assert other.sentence.endswith("--source teams")


def test_an_approval_of_this_plan_lets_it_pass() -> None:
    made = planned("updates")
    assert blocks("always", made, yes(made)) == ()


@pytest.mark.parametrize(
    "change", [{"serial": 8}, {"commit": "c" * 40}], ids=["state", "commit"]
)
def test_an_approval_is_void_for_another_state_or_commit(change: dict[str, object]) -> None:
    old, new = planned("updates"), planned("updates", replace(TARGET, **change))
    (block,) = blocks("always", new, yes(old))
    assert f"the approval of plan {old.short_id} by person:dana is void" in block.sentence
    assert f"-o approve={new.short_id}" in block.sentence


def test_an_override_of_another_kind_is_no_approval() -> None:
    made = planned("updates")
    freeze = Override(OverrideKind.FREEZE, "person:dana", "now", made.id)
    assert len(blocks("always", made, freeze)) == 1


def test_a_plan_is_called_by_its_whole_id_or_its_short_one() -> None:
    made = planned("updates")
    whole = made.id.removeprefix("sha256:")
    for name in (made.id, whole, whole[:12]):
        assert options.may_call(name)
        assert approval.is_called(made, name)
    for name in ("", whole[:11], whole[:13], "f" * 12):
        assert not approval.is_called(made, name)
    assert not options.may_call("first.plan")


def test_approving_takes_away_no_other_block() -> None:
    made = planned("updates")
    budget = Block("PruneBudget", "too many")
    waiting = replace(made, blocked=(budget, *blocks("always", made)))
    assert approval.approved(waiting).blocked == (budget,)
    assert made.counts[Action.UPDATE] == 1
