"""A host that is cut off stops acting; another finishes its tasks; healed, it goes on.

Two hosts share one PostgreSQL over a real network whose links are really cut. Nothing is
lost, and a call that may not be repeated is never made twice.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import network
import postgresql_server
import pytest
from home import Home
from hosts import RunnerHost, World, wait
from network import Cut, Network
from postgresql_server import Server

from runner.contract import audit_check
from runner.contract.kinds import Key

pytestmark = pytest.mark.story

LEASE_S = 6.0
SLOTS = 8
OVER = {"succeeded", "unknown_outcome"}


@dataclass
class Stage:
    """Two hosts with their runners, what their tools do, and a look at the database."""

    home: Home
    world: World
    hosts: list[RunnerHost]

    def holding(self, host: RunnerHost) -> list[str]:
        """The tasks that workers of a host hold."""
        assert host.host is not None
        query = "SELECT id FROM task WHERE state = 'leased' AND lease_host LIKE ?"
        return [row[0] for row in self.home.rows(query, f"{host.host.name}-%")]

    def in_flight(self, host: RunnerHost) -> list[Key]:
        """The agents whose calls are under way on a host."""
        ended = {act.key for act in self.world.acts(host.name, "end")}
        tasks = [act.task for act in self.world.acts(host.name) if act.key not in ended]
        names = dict(self.home.rows("SELECT id, subject_name FROM task"))
        return [Key("default", "Agent", names[task]) for task in tasks]

    def pending(self) -> int:
        query = "SELECT count(*) FROM task WHERE state = 'pending'"
        return int(self.home.rows(query)[0][0])

    def log_holds(self) -> bool:
        with self.home.database.read() as connection:
            return audit_check.verify(connection).holds


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    if reason := network.missing() or postgresql_server.missing():
        pytest.skip(reason)
    with ExitStack() as opened:
        hosts = opened.enter_context(Network(hosts=2))
        server = opened.enter_context(Server(listen=("127.0.0.1", hosts.address)))
        url = server.create("state")
        home = opened.enter_context(closing(Home(tmp_path / "desk", url)))
        world = World(tmp_path / "world")
        stage = Stage(home, world, [])
        for number, host in enumerate(hosts.hosts, 1):
            runner = RunnerHost(
                tmp_path / f"host{number}",
                server.url("state", hosts.address),
                world,
                host,
                workers=2,
                slots=SLOTS // 2,
                lease_s=LEASE_S,
                crashes_max=100,
            )
            stage.hosts.append(opened.enter_context(runner.running()))
        home.until(lambda: home.rows("SELECT count(DISTINCT host) FROM worker") == [(2,)])
        yield stage


@pytest.mark.parametrize("how", ["vanish", "replies", "unplug"])
@pytest.mark.timeout(240)
def test_a_host_that_is_cut_off_acts_no_more_and_its_tasks_are_finished_elsewhere(
    stage: Stage, how: Cut
) -> None:
    home, world = stage.home, stage.world
    lost, _ = stage.hosts
    assert lost.host is not None
    again = world.agent(home, "again", 0.5, idempotent=True)
    once = world.agent(home, "once", 0.5, idempotent=False)
    # Only a call that was under way can still act: every new one is asked for first.
    long = world.agent(home, "long", 2 * LEASE_S, idempotent=True)
    tasks = home.submit(again, 40) + home.submit(once, 20)
    tasks += home.submit(long, SLOTS + 1)  # One host alone cannot take all of them.
    home.until(lambda: long in stage.in_flight(lost))
    lost.host.cut(how)
    cut_at = time.time()
    held = set(stage.holding(lost))
    wait(home, tasks, OVER, timeout_s=120)
    healed_at = time.time()
    late = [act for act in world.acts(lost.name, None) if cut_at + LEASE_S < act.at_s]
    assert not late, "a host without a lease acted"
    rescued = {
        one["task"]: one["time"] / 1_000_000
        for one in home.entries()
        if one.get("reason", "").startswith("its host was silent")
    }
    assert rescued.keys() & held, "the host was cut off while it held nothing"
    for act in world.acts(lost.name, None):
        assert act.at_s < rescued.get(act.task, act.at_s + 1), "it acted on what it had lost"

    lost.host.heal()
    after: list[str] = []

    def acts_again() -> bool:
        if stage.pending() < 10:  # There is work as long as it takes to come back.
            after.extend(home.submit(again, 20))
        return any(act.at_s > healed_at for act in world.acts(lost.name))

    home.until(acts_again, timeout_s=60)
    wait(home, after, {"succeeded"})

    ended = home.entries()
    finished = [one["task"] for one in ended if one["type"] == "task.finished"]
    succeeded = {row[0] for row in home.rows("SELECT id FROM task WHERE state = 'succeeded'")}
    assert sorted(finished) == sorted(succeeded), "a task was finished twice, or not at all"
    assert succeeded <= {act.task for act in world.acts()}
    singles = {key: count for key, count in world.times().items() if count > 1}
    for key in singles:
        task = key.partition(":")[0]
        name = home.rows("SELECT subject_name FROM task WHERE id = ?", task)[0][0]
        assert name != "once", f"{key} may not be repeated, and was"
    assert stage.log_holds()
