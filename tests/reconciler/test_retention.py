"""What is past the time that a policy keeps it for goes, slice by slice, and nothing else.

No policy, no erasure; the longest of several wins; too short a time is refused at the plan.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from home import Home
from privacy_world import DAY_US, ended, verdict
from pydantic import ValidationError

from reconciler.manifest import caution
from reconciler.privacy import holds, retention
from reconciler.privacy.erasure import Erased
from reconciler.privacy.record import Scope
from reconciler.privacy.sweeps import Sweeps
from runner.contract import telemetry
from runner.contract.kinds import RetentionPolicy
from runner.contract.kinds.retention_policy import days


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def policy(home: Home, name: str = "short", **spec: object) -> None:
    home.record("RetentionPolicy", name, spec)


def sweep(home: Home, at_days: int) -> list[Erased]:
    with home.database.write() as connection:
        return retention.sweep(connection, "daemon", at_days * DAY_US, home.folder)


def test_on_every_database_what_is_old_goes_unless_it_is_held(
    tmp_path: Path, database_url: str
) -> None:
    with closing(Home(tmp_path, database_url)) as made:
        policy(made, keep={"tasks": "1d", "disclosures": "1d"})
        held, free = ended(made), ended(made)
        with made.database.write() as connection:
            holds.put(
                connection, Scope.TASK, held, actor="person:ada", reason="case 7", now_us=1
            )
            holds.put(
                connection, Scope.AGENT, "other", actor="person:ada", reason="case 8", now_us=1
            )
        assert [one.tasks for one in sweep(made, 30)] == [1]
        assert made.rows("SELECT id FROM task WHERE error = '(erased)'") == [(free,)]
        assert verdict(made.database).holds


def test_without_a_policy_nothing_is_ever_erased(home: Home) -> None:
    ended(home)
    assert sweep(home, 100_000) == []


def test_what_is_older_goes_and_what_is_not_stays(home: Home) -> None:
    policy(home, keep={"tasks": "30d"})
    old, new = ended(home, at_us=DAY_US), ended(home, at_us=20 * DAY_US)
    assert [one.tasks for one in sweep(home, 40)] == [1]
    outputs = dict(home.rows("SELECT id, output IS NULL FROM task"))
    assert (bool(outputs[old]), bool(outputs[new])) == (True, False)
    assert sweep(home, 40) == []
    assert verdict(home.database).holds


def test_a_day_early_nothing_goes(home: Home) -> None:
    policy(home, keep={"tasks": "30d", "disclosures": "30d"})
    ended(home, at_us=DAY_US)
    assert sweep(home, 31) == []


def test_values_beside_the_log_go_after_their_own_time(home: Home) -> None:
    policy(home, keep={"disclosures": "10d"})
    task = ended(home)
    found = sweep(home, 30)
    assert [(one.tasks, one.values) for one in found] == [(0, 6)]
    assert home.rows("SELECT output IS NULL FROM task WHERE id = ?", task)[0][0] in (0, False)
    assert verdict(home.database).holds


def test_the_entry_names_the_line_and_the_commit_of_the_policy(home: Home) -> None:
    policy(home, keep={"tasks": "1d"})
    ended(home)
    sweep(home, 30)
    entry = home.entries()[-1]
    assert (entry["type"], entry["actor"]) == ("erasure.done", "daemon")
    assert entry["rule"] == "retentionpolicys/short.yaml:1"
    assert entry["commit"] == home.rows("SELECT commit_sha FROM resource")[0][0]


def test_the_longest_of_several_policies_wins(home: Home) -> None:
    policy(home, keep={"tasks": "1d"})
    policy(home, "long", keep={"tasks": "1y"})
    ended(home)
    assert sweep(home, 300) == []
    assert len(sweep(home, 400)) == 1


def test_a_global_policy_reaches_every_namespace_and_a_scoped_one_its_own(home: Home) -> None:
    policy(home, keep={"tasks": "1d"})
    mine, other = ended(home), ended(home, namespace="other")
    assert sum(one.tasks for one in sweep(home, 30)) == 1
    policy(home, apply_mode="global", keep={"tasks": "1d"})
    assert sum(one.tasks for one in sweep(home, 30)) == 1
    errors = dict(home.rows("SELECT id, error FROM task"))
    assert errors == {mine: "(erased)", other: "(erased)"}


def test_a_slice_is_bounded_and_the_next_takes_the_rest(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    policy(home, keep={"tasks": "1d"})
    for _ in range(3):
        ended(home)
    counts = [sum(one.tasks for one in sweep(home, 30)) for _ in range(3)]
    assert counts == [2, 1, 0]


def test_the_daemon_goes_on_while_there_is_more_and_rests_then(home: Home) -> None:
    policy(home, keep={"tasks": "1d"})
    ended(home)
    sweeps = Sweeps(home.database, home.folder)
    assert sweeps.wait_s() == 0
    sweeps.step()
    assert home.entries()[-1]["type"] == "erasure.done"
    assert sweeps.wait_s() == 0
    sweeps.step()
    assert sweeps.wait_s() > 3_000


@pytest.mark.parametrize(
    ("framework", "entries"), [("hipaa", "5y"), ("pci-dss", "300d"), ("eu-ai-act", "90d")]
)
def test_less_than_a_named_framework_wants_is_refused(framework: str, entries: str) -> None:
    with pytest.raises(ValidationError, match=f"keep.entries is {entries}, and {framework}"):
        RetentionPolicy.model_validate(
            {"frameworks": [framework], "keep": {"entries": entries}}
        )


@pytest.mark.parametrize(
    ("framework", "entries"), [("hipaa", "6y"), ("pci-dss", "1y"), ("eu-ai-act", "184d")]
)
def test_exactly_as_long_is_enough(framework: str, entries: str) -> None:
    spec = {"frameworks": [framework], "keep": {"entries": entries}}
    assert RetentionPolicy.model_validate(spec).keep.entries == entries


def test_less_than_six_months_is_warned_of_at_its_line() -> None:
    spec = RetentionPolicy.model_validate({"keep": {"entries": "90d"}})
    assert [path for path, _ in caution.cautions(spec)] == [("spec", "keep", "entries")]


@pytest.mark.parametrize("period", ["0d", "6m", "", "-1d", "1.5y", "6 y"])
def test_what_is_no_time_to_keep_is_refused(period: str) -> None:
    with pytest.raises(ValueError, match="180d or 6y"):
        days(period)


def test_an_error_that_nobody_foresaw_ends_no_daemon(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure()
    policy(home, keep={"tasks": "1d"})
    ended(home)
    with home.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE legal_hold RENAME TO gone")
    sweeps = Sweeps(home.database, home.folder)
    sweeps.step()
    assert "retention_failed" in capfd.readouterr().err
    assert sweeps.wait_s() > 60, "it rests before it tries again"
