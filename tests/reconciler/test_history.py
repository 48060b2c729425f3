"""Every apply and every refusal is remembered, with its cause, and shown as it was then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from status_world import World, agent

from reconciler import apply, by_hand, control, transition
from reconciler.history import history
from reconciler.plan import explain
from reconciler.views import history as view
from reconciler.views.plan import plan_words
from runner.contract import seal
from runner.contract.kinds import Key


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.database.close()


def records(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(reversed(history.records(connection, limit=100)))


def said(renderable: Any) -> str:
    console = Console(width=200, no_color=True, highlight=False, soft_wrap=True)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_an_apply_is_remembered_with_its_plan_counts_and_entry(world: World) -> None:
    commit = world.push({"a.yaml": agent("a")}, "First")
    planned = world.look().plan
    (record,) = records(world)
    assert (record.result, record.cause, record.actor) == ("applied", "push", "git:default")
    assert (record.commit_sha, record.plan_id, record.serial) == (commit, planned.id, 1)
    assert (record.created, record.updated, record.deleted) == (1, 0, 0)
    assert record.subject == "First"
    assert record.duration_us > 0
    (entry,) = world.log("manifest.applied")
    assert (record.audit_seq, record.plan_id) == (entry["seq"], entry["digest"])


def test_somebody_who_asked_is_named(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.database.write() as connection:
        control.request(connection, "default", "t1", "person:ada")
    world.look()
    (record,) = records(world)
    assert (record.cause, record.actor) == ("request", "person:ada")


def test_what_is_applied_by_hand_is_remembered_too(world: World) -> None:
    sealer = seal.sealer(world.home)
    texts = {"m.yaml": agent("m").encode()}
    seen = by_hand.review(world.database, sealer, "ada", texts, world.now_us)
    assert seen.plan is not None
    apply.apply(world.database, seen.plan, world.now_us)
    (record,) = records(world)
    assert (record.cause, record.actor, record.source) == ("hand", "person:ada", "")


def test_a_refused_commit_is_remembered_once_with_its_reason(world: World) -> None:
    world.push({"a.yaml": agent("a").replace("model", "modle")})
    for _ in range(3):
        world.look(forced=True)
    (record,) = records(world)
    assert record.result == "rejected"
    assert "unknown field `modle`" in record.message
    assert "modle" in said(view.record_words(record, []))


def test_a_rolled_back_apply_leaves_no_row(world: World) -> None:
    world.push({"a.yaml": agent("a")})
    with world.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER no BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(Exception, match="no"):
        world.look()
    assert records(world) == []


def test_the_plan_of_then_is_printed_as_it_was_printed_then(world: World) -> None:
    world.push({"a.yaml": agent("a"), "b.yaml": agent("b")})
    world.look()
    new = agent("d", "Be another.")
    world.push({"a.yaml": agent("a", "Be long."), "b.yaml": agent("c"), "d.yaml": new})
    then = world.look().plan
    world.push({"d.yaml": None})
    last = world.look().plan
    for planned, record, counts in zip(
        (then, last), records(world)[-2:], ((1, 1, 0, 1, 0), (0, 0, 1, 0, 2)), strict=True
    ):
        with world.database.read() as connection:
            kept = history.changes(connection, record.id)
        again = view.plan_of(record, kept)
        assert (
            said(plan_words(again)).splitlines()[1:]
            == said(plan_words(explain(planned))).splitlines()[1:]
        )
        names = ("create", "update", "delete", "move", "unchanged")
        summary = view.shown_json(record, kept)["kept_plan"]["summary"]
        assert summary == dict(zip(names, counts, strict=True))


def test_no_body_and_no_secret_is_kept(world: World) -> None:
    secret = (
        "apiVersion: orloj.dev/v1\nkind: Secret\nmetadata:\n  name: key\n"
        "spec:\n  stringData:\n    value: hunter2-canary\n"
    )
    world.push({"s.yaml": secret, "a.yaml": agent("a")})
    world.look()
    kept = world.rows("SELECT * FROM revision_plan") + world.rows("SELECT * FROM history")
    assert "hunter2" not in repr(kept)


def test_a_large_plan_is_kept_up_to_a_limit_and_says_what_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHANGES_MAX", 3)
    world.push({f"{name}.yaml": agent(name) for name in "abcde"})
    world.look()
    (record,) = records(world)
    with world.database.read() as connection:
        kept = history.changes(connection, record.id)
    assert len(kept) == 3
    words = said(view.record_words(record, kept))
    assert "Plan: 5 to create" in words
    assert "2 changes are kept by the audit log only" in words


def test_the_oldest_plans_make_room_and_their_rows_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEPT_MAX", 2)
    for prompt in ("One.", "Two.", "Three."):
        world.push({"a.yaml": agent("a", prompt)})
        world.look()
    assert len(records(world)) == 3
    assert len(world.rows("SELECT * FROM revision_plan")) == 2


def test_one_resource_has_a_history_of_its_own_also_when_it_is_gone(world: World) -> None:
    for text in (agent("a"), agent("a", "Other."), None):
        world.push({"a.yaml": text, "b.yaml": agent("b", f"Like {text and len(text)}.")})
        world.look()
    with world.database.read() as connection:
        changes = history.changes_of(connection, Key("default", "Agent", "a"))
    assert [(change.action, change.generation) for change in changes] == [
        ("delete", 2),
        ("update", 2),
        ("create", 1),
    ]


def test_the_time_of_a_condition_moves_only_when_the_condition_does(world: World) -> None:
    def since() -> int:
        with world.database.read() as connection:
            return transition.standings(connection)["default"].since_at

    world.push({"a.yaml": agent("a")})
    world.look()
    first = since()
    world.look(after_us=120_000_000, forced=True)
    assert since() == first
    world.push({"a.yaml": "kind: ["})
    world.look()
    assert since() == world.now_us


def test_the_kept_fields_are_bounded(world: World) -> None:
    world.push({"a.yaml": agent("a", "x" * 5_000)})
    world.look()
    ((fields,),) = world.rows("SELECT fields FROM revision_plan")
    assert len(fields) < 2_000
    assert json.loads(fields)
