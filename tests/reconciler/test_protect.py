"""A protected resource outlives its manifest, until somebody lets it go by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import opened
from pushed import World, agent, made, manifest

from reconciler import apply, by_hand, recorded
from reconciler.change import Action, Change, Plan, Target
from reconciler.gate import protection
from reconciler.governance.finding import Severity
from reconciler.plan import PlanRequest, plan
from reconciler.report import Outcome
from reconciler.resource import Recorded, Resource
from runner.contract import errors, seal
from runner.contract.kinds import Key
from runner.contract.kinds.annotations import protected

KEY = "agent/default/vault"
PROTECTED = agent("vault", protect='"true"')


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with made(tmp_path) as world:
        world.push({"vault.yaml": PROTECTED, "b.yaml": agent("b")})
        world.look()
        yield world


def test_a_protected_resource_stays_when_its_manifest_goes_with_the_annotation(
    world: World,
) -> None:
    world.push({"vault.yaml": None})
    result = world.look()
    (block,) = result.blocks
    assert (result.outcome, block.reason) == (Outcome.REJECTED, "Protected")
    assert block.sentence == (
        "agent/default/vault is protected: vault.yaml:1 as recorded says orloj.dev/protect;"
        " keep it there under its name, take the protection away in a commit of its own first,"
        " or let it go by name: orloj reconcile --allow-destroy agent/default/vault"
        " --reason TEXT"
    )
    assert world.names() == ["b", "vault"]


def test_it_stays_with_everything_else_of_its_commit(world: World) -> None:
    world.push({"vault.yaml": None, "b.yaml": None, "c.yaml": agent("c")})
    assert world.look().outcome is Outcome.REJECTED
    assert world.names() == ["b", "vault"]


def test_who_names_it_lets_it_go_in_that_commit(world: World) -> None:
    commit = world.push({"vault.yaml": None})
    world.allow(commit, KEY)
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["b"]


def test_what_was_named_in_one_commit_stays_in_the_next(world: World) -> None:
    world.allow(world.push({"vault.yaml": None}), KEY)
    world.push({"c.yaml": agent("c")})
    assert [block.reason for block in world.look().blocks] == ["Protected"]
    assert world.names() == ["b", "vault"]


def test_naming_another_lets_it_not_go(world: World) -> None:
    world.allow(
        world.push({"vault.yaml": None, "b.yaml": None, "c.yaml": agent("c")}),
        "agent/default/b",
    )
    assert [block.reason for block in world.look().blocks] == ["Protected"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(agent("safe", protect='"true"'), id="renamed"),
        pytest.param(agent("vault", namespace="team", protect='"true"'), id="in a namespace"),
        pytest.param(manifest("Task", "vault", "{agent: b, mode: template}"), id="of a kind"),
    ],
)
def test_what_is_called_otherwise_would_be_deleted_and_stays(world: World, text: str) -> None:
    world.push({"vault.yaml": text})
    assert [block.reason for block in world.look().blocks] == ["Protected"]
    assert world.names() == ["b", "vault"]


def test_what_only_moves_to_another_file_is_the_same(world: World) -> None:
    world.push({"vault.yaml": None, "teams/vault.yaml": PROTECTED})
    assert world.look().outcome is Outcome.APPLIED


def test_it_may_be_changed(world: World) -> None:
    world.push({"vault.yaml": agent("vault", "Be long.", protect='"true"')})
    result = world.look()
    assert result.outcome is Outcome.APPLIED
    assert result.plan is not None
    assert [f for f in result.plan.findings if f.rule == protection.RULE] == []


@pytest.mark.parametrize("text", [agent("vault"), agent("vault", protect='"false"')])
def test_protection_is_taken_away_loudly_in_one_commit_and_the_resource_in_another(
    world: World, text: str
) -> None:
    world.push({"vault.yaml": text})
    result = world.look()
    assert result.plan is not None
    (finding,) = (f for f in result.plan.findings if f.rule == protection.RULE)
    assert (finding.severity, finding.loud) == (Severity.WIDENS, True)
    assert finding.sentence == (
        "protection removed: agent/default/vault can be deleted from now on"
    )
    assert finding.place == "vault.yaml:1"
    (entry,) = world.log("manifest.widened")
    assert (entry["resource"], entry["reason"]) == (KEY, finding.sentence)
    assert finding.sentence in world.log("manifest.applied")[-1]["reason"]
    world.push({"vault.yaml": None})
    assert world.look().outcome is Outcome.APPLIED
    assert world.names() == ["b"]


def test_both_at_once_before_anybody_looked_is_a_deletion_of_what_is_protected(
    world: World,
) -> None:
    world.push({"vault.yaml": agent("vault")})
    world.push({"vault.yaml": None})
    assert [block.reason for block in world.look().blocks] == ["Protected"]


def test_protecting_something_is_said_and_not_loud(world: World) -> None:
    world.push({"b.yaml": agent("b", protect='"true"')})
    planned = world.look().plan
    assert planned is not None
    (finding,) = (f for f in planned.findings if f.rule == protection.RULE)
    assert (finding.severity, finding.loud) == (Severity.NARROWS, False)


def test_kinds_that_mean_nothing_for_permissions_are_protected_too(world: World) -> None:
    task = manifest("Task", "t", "{agent: b, mode: template}", protect='"true"')
    world.push({"t.yaml": task})
    world.look()
    world.push({"t.yaml": None})
    assert [block.reason for block in world.look().blocks] == ["Protected"]
    world.push({"t.yaml": task.replace('"true"', '"false"')})
    planned = world.look().plan
    assert planned is not None
    assert [finding.loud for finding in planned.findings] == [True]


@pytest.mark.parametrize(
    ("annotations", "place", "message"),
    [
        ({"protect": '"yes"'}, (7, 24), '"true" or "false"'),
        ({"protect": "true"}, (7, 24), "text"),
        ({"protected": '"true"'}, (7, 5), "unknown annotation"),
        ({"in_flight": "wait"}, (7, 26), "continue, cancel, drain"),
        ({"in_flight": "drain", "drain_timeout": "soon"}, (8, 30), "a duration looks like"),
        ({"in_flight": "drain", "drain_timeout": "0s"}, (8, 30), "24h at most"),
        ({"drain_timeout": "5m"}, (7, 5), "needs `orloj.dev/in-flight`"),
    ],
    ids=lambda value: str(value),
)
def test_an_annotation_of_ours_that_says_nothing_clear_is_a_mistake_with_its_place(
    world: World, annotations: dict[str, str], place: tuple[int, int], message: str
) -> None:
    world.push({"c.yaml": agent("c", **annotations)})
    result = world.look()
    assert result.outcome is Outcome.REJECTED
    (problem,) = result.problems
    assert (problem.path, problem.line, problem.column) == ("c.yaml", *place)
    assert message in problem.message


def test_annotations_of_others_are_left_alone(world: World) -> None:
    world.push({"c.yaml": agent("c", use_case="weekly", pattern="pipeline")})
    result = world.look()
    assert result.outcome is Outcome.APPLIED
    assert not any("annotation" in one.message for one in result.problems)


def test_no_task_works_under_a_schedule(world: World) -> None:
    spec = "{task_ref: t, schedule: '* * * * *'}"
    world.push(
        {
            "t.yaml": manifest("Task", "t", "{agent: b, mode: template}"),
            "s.yaml": manifest("TaskSchedule", "s", spec, in_flight="drain"),
        }
    )
    (problem,) = world.look().problems
    assert problem.message == "`orloj.dev/in-flight`: no task works under TaskSchedule"


def test_what_was_recorded_and_is_no_answer_protects() -> None:
    assert protected('{"annotations":{"orloj.dev/protect":"yes"},"spec":{}}')
    assert not protected('{"annotations":{"orloj.dev/protect":"false"},"spec":{}}')
    assert not protected('{"annotations":{"x":"orloj.dev/protect"},"spec":{}}')


# A person's resources.


def reviewed(world: World, person: str, text: str) -> Plan:
    sealer = seal.sealer(world.home)
    seen = by_hand.review(world.database, sealer, person, {"x.yaml": text.encode()}, 0)
    assert seen.plan is not None
    return seen.plan


def test_the_repository_takes_a_protected_resource_from_nobody_unnamed(world: World) -> None:
    text = agent("mine", protect='"true"')
    apply.apply(world.database, reviewed(world, "bob", text), 0)
    commit = world.push({"mine.yaml": agent("mine")})
    (block,) = world.look().blocks
    assert block.reason == "Protected"
    assert "is protected for person:bob" in block.sentence
    world.allow(commit, "agent/default/mine")
    world.reconciler = world.started()
    assert world.look(forced=True).outcome is Outcome.APPLIED


def test_a_person_takes_a_protected_resource_from_no_other(world: World) -> None:
    text = agent("mine", protect='"true"')
    apply.apply(world.database, reviewed(world, "bob", text), 0)
    assert [block.reason for block in reviewed(world, "eve", agent("mine")).blocked] == [
        "Protected"
    ]
    assert reviewed(world, "bob", agent("mine")).blocked == ()


# The apply looks for itself.


def test_what_was_protected_after_the_plan_was_made_is_not_deleted(
    tmp_path: Path, database_url: str
) -> None:
    database = opened(tmp_path, database_url)
    key = Key("default", "Agent", "a")
    body = '{"spec":{"model":"m"}}'
    made = Resource(key, "a.yaml", 1, 1, "sha256:0", body, {})

    def planned(desired: dict[Key, Resource]) -> Plan:
        with database.read() as connection:
            target = Target(owner="person:ada", serial=recorded.serial(connection))
            have = {item.key: item for item in recorded.resources(connection)}
        return plan(PlanRequest(target=target, desired=desired, recorded=have))

    apply.apply(database, planned({key: made}), 0)
    deletion = planned({})
    assert [change.action for change in deletion.changes] == [Action.DELETE]
    now_protected = '{"annotations":{"orloj.dev/protect":"true"},"spec":{"model":"m"}}'
    with database.write() as connection:  # By no apply, so that the serial does not tell.
        connection.exec_driver_sql("UPDATE resource SET body = ?", (now_protected,))
    with pytest.raises(errors.PlanStale, match="deletes 1 resources, and only 0 of them"):
        apply.apply(database, deletion, 0)
    with database.read() as connection:
        assert [item.body for item in recorded.resources(connection)] == [now_protected]
        assert recorded.serial(connection) == deletion.target.serial
    apply.apply(database, planned({}), 0)
    database.close()


def test_a_move_that_keeps_a_resource_under_another_key_is_a_loss_too() -> None:
    key = Key("default", "Agent", "vault")
    body = '{"annotations":{"orloj.dev/protect":"true"},"spec":{}}'
    before = Recorded(key, "git:default", "a" * 40, "a.yaml", 1, "sha256:0", body, 1)
    after = Resource(key._replace(name="safe"), "a.yaml", 1, 1, "sha256:0", body, {})
    moved = Change(Action.UPDATE, after.key, "renamed", before, after)
    assert list(protection.lost([moved], "git:default")) == [before]
    assert list(protection.lost([moved], "git:default", {KEY})) == []
