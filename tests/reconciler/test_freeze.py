"""In a frozen time nothing is applied; when it is over, the newest commit is, by itself.

The clock is a number. The moments are those of the zone, changes of its offset included.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from repository import Repository

from reconciler import override, recorded
from reconciler.change import Action, Change, Plan, Target
from reconciler.event import events
from reconciler.gate import freeze
from reconciler.gate.request import GateRequest
from reconciler.override import Override, OverrideKind
from reconciler.reconcile import Outcome, Reconciler
from runner.contract import audit, errors, settings
from runner.contract.database import open_database
from runner.contract.kinds import Key
from runner.contract.settings import Settings
from runner.contract.source_settings import Freeze, Source

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
BERLIN = "Europe/Berlin"
WEEKEND = Freeze(cron="0 18 * * fri", duration="60h", time_zone=BERLIN)
OFFICE = Freeze(kind="allow", cron="0 9 * * mon-fri", duration="8h", time_zone=BERLIN)


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * SECOND_US


def plan(*, changes: int = 1) -> Plan:
    change = Change(Action.DELETE, Key("default", "Agent", "a"), "because", None, None)
    return Plan(
        id="sha256:" + "0" * 64,
        target=Target(owner="git:default", source="default", serial=0),
        changes=(change,) * changes,
        unchanged=0,
        counts=dict.fromkeys(Action, 0),
    )


def blocked(
    now_us: int, *windows: Freeze, overrides: tuple[Override, ...] = (), changes: int = 1
) -> int | str | None:
    """When it is over; "free" when nothing is frozen; None when no end is in sight."""
    request = GateRequest(
        plan=plan(changes=changes),
        settings=Source(freeze=list(windows)),
        overrides=overrides,
        now_us=now_us,
    )
    found = list(freeze.blocks(request))
    return found[0].until_us if found else "free"


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-27T17:59:59", None),
        ("2026-11-27T18:00:00", "2026-11-30T06:00:00"),
        ("2026-11-29T12:00:00", "2026-11-30T06:00:00"),
        ("2026-11-30T05:59:59", "2026-11-30T06:00:00"),
        ("2026-11-30T06:00:00", None),
    ],
)
def test_a_deny_window_freezes_from_its_moment_until_its_end(
    now: str, until: str | None
) -> None:
    expected = "free" if until is None else at(until, BERLIN)
    assert blocked(at(now, BERLIN), WEEKEND) == expected


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-27T08:59:59", "2026-11-27T09:00:00"),
        ("2026-11-27T09:00:00", None),
        ("2026-11-27T16:59:59", None),
        ("2026-11-27T17:00:00", "2026-11-30T09:00:00"),
    ],
)
def test_an_allow_window_freezes_outside_of_it(now: str, until: str | None) -> None:
    expected = "free" if until is None else at(until, BERLIN)
    assert blocked(at(now, BERLIN), OFFICE) == expected


def test_one_of_many_allow_windows_is_enough_and_a_deny_window_goes_before_all() -> None:
    night = Freeze(kind="allow", cron="0 2 * * *", duration="1h")
    lunch = Freeze(cron="0 12 * * *", duration="1h", time_zone=BERLIN)
    friday = at("2026-11-27T02:30:00")
    assert blocked(friday, OFFICE, night) == "free"
    noon = at("2026-11-27T12:30:00", BERLIN)
    assert blocked(noon, OFFICE, lunch) == at("2026-11-27T13:00:00", BERLIN)
    assert blocked(noon, OFFICE) == "free"


def test_windows_that_overlap_end_with_the_last_of_them() -> None:
    long = Freeze(cron="0 0 * * mon,tue", duration="36h")
    after = Freeze(cron="0 12 * * wed", duration="2h")
    monday = at("2026-11-23T10:00:00")
    assert blocked(monday, long, after) == at("2026-11-25T14:00:00")


def test_the_window_opens_by_the_clock_of_its_zone_on_both_sides_of_a_change() -> None:
    daily = Freeze(cron="30 2 * * *", duration="1h", time_zone=BERLIN)
    # On 29 March 2026 there is no 02:30 in Berlin: the window opens right after the gap, at
    # 03:00, which is 01:00 UTC, and lasts an hour that passes.
    assert blocked(at("2026-03-29T00:59:59"), daily) == "free"
    assert blocked(at("2026-03-29T01:00:00"), daily) == at("2026-03-29T02:00:00")
    # On 25 October 02:30 comes twice, and the first of them counts.
    assert blocked(at("2026-10-25T00:30:00"), daily) == at("2026-10-25T01:30:00")
    assert blocked(at("2026-10-25T01:30:00"), daily) == "free"
    # Sixty hours are sixty hours, although that weekend has one more by the wall.
    assert blocked(at("2026-10-24T00:00:00"), WEEKEND) == at("2026-10-26T04:00:00")


def test_a_window_without_an_end_says_so_and_waits_for_a_person() -> None:
    always = Freeze(cron="* * * * *", duration="5m")
    assert blocked(at("2026-11-27T12:00:00"), always) is None


def test_a_plan_that_changes_nothing_is_not_held_up() -> None:
    assert blocked(at("2026-11-28T12:00:00"), WEEKEND, changes=0) == "free"


def test_an_override_of_another_kind_does_not_count() -> None:
    saturday = at("2026-11-28T12:00:00")
    given = Override(OverrideKind.REWRITE, "person:ada", "hot fix")
    assert blocked(saturday, WEEKEND, overrides=(given,)) != "free"
    given = Override(OverrideKind.FREEZE, "person:ada", "hot fix")
    assert blocked(saturday, WEEKEND, overrides=(given,)) == "free"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cron", "61 * * * *", "source.freeze.1.cron: minute: 61 is not 0 to 59"),
        ("cron", "daily", "source.freeze.1.cron: a schedule has five fields"),
        ("duration", "2 days", "source.freeze.1.duration: a duration looks like 30s"),
        ("duration", "0s", "source.freeze.1.duration: 0s is no length of a window: write"),
        ("duration", "9000h", "source.freeze.1.duration: 9000h is no length"),
        ("time_zone", "Europe/Berlon", "source.freeze.1.time_zone: Europe/Berlon is no time"),
        ("kind", "maybe", "source.freeze.1.kind: input should be 'deny' or 'allow'"),
    ],
)
def test_a_window_that_cannot_be_read_is_said_with_its_place_at_the_start(
    field: str, value: str, words: str, tmp_path: Path
) -> None:
    fields = {"cron": "0 18 * * fri", "duration": "60h"} | {field: value}
    lines = "".join(f'{name} = "{text}"\n' for name, text in fields.items())
    (tmp_path / "orloj.toml").write_text(
        f'[[source.freeze]]\ncron = "@daily"\nduration = "1h"\n[[source.freeze]]\n{lines}'
    )
    with pytest.raises(errors.SettingsInvalid) as refused:
        settings.load(tmp_path, {})
    assert words in str(refused.value)


# A repository in a frozen time.


def agent(name: str, prompt: str = "Be brief.") -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: {prompt}\n"
    )


class Frozen:
    """A repository that is frozen from Friday 18:00 UTC on, and a clock that stands there."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self.repository = repository
        self.database = open_database(folder / "home")
        window = Freeze(cron="0 18 * * fri", duration="60h")
        source = Source(url=repository.url, freeze=[window])
        self.reconciler = Reconciler(
            Settings(home=folder / "home", source=source), self.database
        )
        self.now_us = at("2026-11-27T18:30:00")
        self.end_us = at("2026-11-30T06:00:00")

    def push(self, name: str, prompt: str = "Be brief.") -> str:
        self.repository.write(f"{name}.yaml", agent(name, prompt))
        commit = self.repository.commit(f"Write {name}")
        self.repository.push()
        return commit

    def look(self, now_us: int | None = None, **more: Any) -> Any:
        return self.reconciler.run(self.now_us if now_us is None else now_us, **more)

    def state(self) -> Any:
        with self.database.read() as connection:
            return recorded.source(connection)

    def told(self) -> tuple[list[str], list[str]]:
        """The types of the log's entries, and the reasons of the events."""
        with self.database.read() as connection:
            entries = [item.fields["type"] for item in audit.read(connection)]
            return entries, [item.event.reason for item in events.read(connection)]


@pytest.fixture
def frozen(tmp_path: Path, repository: Repository) -> Iterator[Frozen]:
    made = Frozen(tmp_path, repository)
    yield made
    made.database.close()


def test_a_commit_waits_and_says_until_when(frozen: Frozen) -> None:
    commit = frozen.push("a")
    result = frozen.look()
    assert (result.outcome, result.until_us) == (Outcome.REJECTED, frozen.end_us)
    state = frozen.state()
    assert (state.condition, state.reason) == ("Reconciling", "Frozen")
    assert (state.attempted_commit, state.applied_commit) == (commit, None)
    assert "frozen until 2026-11-30 06:00:00 UTC, inside the deny window" in state.message
    assert "orloj reconcile default --override-freeze --reason TEXT" in state.message


def test_looks_in_between_are_quiet_and_the_newest_is_applied_when_it_is_over(
    frozen: Frozen,
) -> None:
    frozen.push("a", "old")
    frozen.look()
    before = frozen.told()
    for minute in range(5):
        frozen.look(frozen.now_us + minute * 60 * SECOND_US)
    assert frozen.told() == before
    newest = frozen.push("a", "new")
    frozen.look(frozen.end_us - 1)
    assert frozen.state().applied_commit is None
    assert frozen.look(frozen.end_us).outcome is Outcome.APPLIED
    assert frozen.state().applied_commit == newest
    with frozen.database.read() as connection:
        assert [item.commit for item in recorded.revisions(connection)] == [newest]


def test_what_is_let_pass_counts_for_one_commit_only(frozen: Frozen) -> None:
    first = frozen.push("a")
    frozen.look()
    given = Override(OverrideKind.FREEZE, "person:ada", "hot fix")
    with frozen.database.write() as connection:
        override.give(connection, "default", first, [given], frozen.now_us)
    assert frozen.look(forced=True).outcome is Outcome.APPLIED
    frozen.push("b")
    assert frozen.look().outcome is Outcome.REJECTED
    assert frozen.state().applied_commit == first
