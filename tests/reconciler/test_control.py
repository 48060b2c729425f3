"""A person stops a repository and nothing of it is applied any more, until a person says so.

Who and why stands in the log, among the events and in the status; nothing of it needs a
daemon. A request for a look is answered once the look is over.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import opened
from repository import Repository

from reconciler import control, recorded
from reconciler.event import events
from reconciler.hold import Holder
from reconciler.reconcile import Outcome, Reconciler
from runner.contract import audit, errors
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

ADA = "person:ada"
NOW_US = 1_795_000_000_000_000


class Held:
    """A repository with one commit applied, on either database."""

    def __init__(self, folder: Path, repository: Repository, url: str) -> None:
        self.repository = repository
        self.database = opened(folder / "home", url)
        self.source = Source(url=repository.url)
        self.settings = Settings(home=folder / "home", source=self.source)
        self.reconciler = Reconciler(self.settings, self.database)
        self.holder = Holder("default", self.source, self.database, ADA)
        self.now_us = NOW_US
        self.first = self.push("a")
        assert self.look().outcome is Outcome.APPLIED

    def push(self, name: str) -> str:
        self.repository.write(
            f"{name}.yaml",
            "apiVersion: orloj.dev/v1\nkind: Agent\n"
            f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: Be brief.\n",
        )
        commit = self.repository.commit(f"Write {name}")
        self.repository.push()
        return commit

    def look(self, **more: Any) -> Any:
        self.now_us += 1_000_000
        return self.reconciler.run(self.now_us, **more)

    def state(self) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection)

    def log(self, kind: str) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return [item.fields for item in audit.read(connection, type_prefix=kind)]

    def event(self) -> Any:
        with self.database.read() as connection:
            return events.read(connection)[-1].event


@pytest.fixture
def held(tmp_path: Path, repository: Repository, database_url: str) -> Iterator[Held]:
    made = Held(tmp_path, repository, database_url)
    yield made
    made.database.close()


def test_a_suspension_is_in_status_log_and_events_at_once(held: Held) -> None:
    held.holder.suspend("audit week", held.now_us)
    why = f"{ADA} suspended it: audit week; go on with: orloj resume default"
    state = held.state()
    assert (state.condition, state.reason, state.message) == ("Stalled", "Suspended", why)
    assert state.applied_commit == held.first
    (entry,) = held.log("source.suspended")
    assert (entry["actor"], entry["reason"]) == (ADA, "audit week")
    assert (entry["resource"], entry["commit"]) == ("source/default", held.first)
    assert (held.event().reason, held.event().message) == ("Suspended", why)


def test_nothing_is_applied_while_suspended_and_the_newest_when_resumed(held: Held) -> None:
    held.holder.suspend("", held.now_us)
    held.push("b")
    newest = held.push("c")
    assert held.look(forced=True).outcome is Outcome.SUSPENDED
    assert held.state().applied_commit == held.first
    assert held.holder.resume("done", held.now_us)
    assert (held.state().condition, held.state().reason) == ("Reconciling", "Resumed")
    assert held.event().message == f"{ADA} let it go on: done"
    assert held.look().outcome is Outcome.APPLIED
    assert held.state().applied_commit == newest
    with held.database.read() as connection:
        assert [item.commit for item in recorded.revisions(connection)] == [newest, held.first]


def test_a_pass_that_began_before_the_suspension_applies_nothing_after_it(held: Held) -> None:
    held.push("b")
    sighting = held.reconciler.sight()
    seen = held.reconciler.preview(sighting.commit)
    held.holder.suspend("stop", held.now_us)
    assert seen.plan is not None
    with pytest.raises(errors.SourceSuspended, match="person:ada suspended it: stop"):
        held.reconciler.apply(seen.plan, held.now_us)
    assert held.reconciler.follow(sighting, held.now_us).outcome is Outcome.SUSPENDED
    assert held.state().applied_commit == held.first


def test_a_suspended_repository_still_has_a_plan(held: Held) -> None:
    held.holder.suspend("", held.now_us)
    held.push("b")
    seen = held.reconciler.preview()
    assert seen.plan is not None
    assert [change.key.name for change in seen.plan.changes] == ["b"]
    assert not seen.plan.blocked


def test_what_was_not_suspended_is_not_resumed_and_nothing_is_logged(held: Held) -> None:
    assert not held.holder.resume("", held.now_us)
    assert held.log("source.resumed") == []
    assert held.state().condition == "Ready"


def test_a_second_suspension_takes_the_place_of_the_first(held: Held) -> None:
    held.holder.suspend("first", held.now_us)
    Holder("default", held.source, held.database, "person:eve").suspend("second", held.now_us)
    assert held.state().message.startswith("person:eve suspended it: second")
    assert len(held.log("source.suspended")) == 2


def test_a_repository_can_be_suspended_before_anybody_looked_at_it(
    tmp_path: Path, repository: Repository
) -> None:
    database = opened(tmp_path / "home")
    Holder("other", Source(url=repository.url), database, ADA).suspend("", NOW_US)
    with database.read() as connection:
        state = recorded.source(connection, "other")
    database.close()
    assert state is not None
    assert (state.reason, state.applied_commit) == ("Suspended", None)


@pytest.mark.parametrize("suspended", [False, True], ids=["running", "suspended"])
def test_a_request_is_answered_when_its_look_is_over(held: Held, suspended: bool) -> None:
    if suspended:
        held.holder.suspend("", held.now_us)
    with held.database.write() as connection:
        control.request(connection, "default", "token-1", ADA)
    with held.database.read() as connection:
        assert control.control(connection, "default").asked
    held.look()
    with held.database.read() as connection:
        answered = control.control(connection, "default")
    assert (answered.handled_token, answered.asked) == ("token-1", False)


def test_a_request_is_answered_also_when_the_look_fails(held: Held) -> None:
    with held.database.write() as connection:
        control.request(connection, "default", "token-1", ADA)
    held.repository.origin.rename(held.repository.origin.with_name("away"))
    assert held.look().outcome is Outcome.FAILED
    with held.database.read() as connection:
        assert not control.control(connection, "default").asked


def test_a_later_request_is_not_answered_by_an_earlier_look(held: Held) -> None:
    with held.database.write() as connection:
        control.request(connection, "default", "token-1", ADA)
        asked = control.control(connection, "default")
        control.request(connection, "default", "token-2", ADA)
        control.handled(connection, "default", asked.request_token)
        assert control.control(connection, "default").asked
