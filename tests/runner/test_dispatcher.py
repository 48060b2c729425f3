"""The dispatcher believes a worker only what it holds, and answers only what is durable.

The workers here are the test itself, at the other end of a real wire, so that it can say
what a real worker would say too late, twice, or after its end.
"""

import asyncio
import os
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home
from sqlalchemy import Connection

from runner.claim import Held, Slots
from runner.contract import clock, service, settings
from runner.contract.errors import DatabaseUnavailable
from runner.contract.kinds import Key
from runner.crew import INBOX_MAX, Worker
from runner.dispatcher import Dispatcher
from runner.ledger import Ledger
from runner.turn import Turn
from runner.wire import LINE_MAX, Wire


class Puppet:
    """A worker that says what the test wants."""

    def __init__(self, dispatcher: Dispatcher, seen: Worker, wire: Wire) -> None:
        self.dispatcher = dispatcher
        self.seen = seen
        self.wire = wire
        self._questions = 0

    async def run(self) -> dict[str, Any]:
        """The next task it is given."""
        while True:
            message = await self.wire.receive()
            assert message is not None
            if message["do"] == "run":
                return message

    def tell(self, op: str, **message: Any) -> None:
        self.wire.send({"op": op, **message})

    async def ask(self, op: str, **message: Any) -> dict[str, Any]:
        self._questions += 1
        self.wire.send({"op": op, "id": self._questions, **message})
        while True:
            answer = await self.wire.receive()
            assert answer is not None
            if answer.get("id") == self._questions:
                return answer


Hire = Callable[[str], Coroutine[Any, Any, Puppet]]


@asynccontextmanager
async def dispatching(home: Home, **runner: Any) -> AsyncIterator[tuple[Dispatcher, Hire]]:
    """A dispatcher at work, and a way to hire puppets."""
    environment = {f"ORLOJ_RUNNER_{name.upper()}": str(value) for name, value in runner.items()}
    dispatcher = Dispatcher(home.database, settings.load(home.folder, environment))
    dispatcher.start()
    background = [asyncio.create_task(dispatcher.run())]
    writers: list[asyncio.StreamWriter] = []

    async def hire(name: str, pid: int = 0) -> Puppet:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_MAX)
        far_reader, far_writer = await asyncio.open_connection(sock=theirs, limit=LINE_MAX)
        writers.extend((writer, far_writer))
        worker = Worker(
            id=name,
            pid=pid,
            slots=1,
            wire=Wire(reader, writer),
            started_us=0,
            heard_us=clock.boot_us(),
        )
        dispatcher.attach(worker)
        background.append(asyncio.create_task(dispatcher.listen(worker)))
        puppet = Puppet(dispatcher, worker, Wire(far_reader, far_writer))
        puppet.tell("ready")
        return puppet

    try:
        yield dispatcher, hire
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        for writer in writers:
            writer.close()
        dispatcher.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.002)


@pytest.fixture
def agent(home: Home) -> Key:
    home.record("ModelEndpoint", "default", {"provider": "mock", "default_model": "m"})
    return home.record("Agent", "clerk", {"model": "m"})


MODEL = {
    "step": 1,
    "visit": 1,
    "agent": "clerk",
    "endpoint": "default",
    "model": "m",
    "request": {},
}
DONE = {"outcome": "succeeded", "error": None}
RESULT = {
    "step": 1,
    "agent": "clerk",
    "model": "m",
    "outcome": "executed",
    "result": {"text": "hi", "calls": [], "model": "m"},
    "tokens_in": 1,
    "tokens_out": 1,
    "duration_us": 1,
}


def claim(message: dict[str, Any]) -> dict[str, Any]:
    return {"task": message["task"], "fence": message["fence"]}


def test_a_late_writer_is_told_so_and_changes_nothing(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (dispatcher, hire):
            late = await hire("late")
            (task,) = home.submit(agent)
            first = await late.run()
            dispatcher.detach(late.seen, "it slept")
            second_worker = await hire("second")
            second = await second_worker.run()
            assert (second["task"], second["fence"]) == (task, first["fence"] + 1)
            for op, message in (
                ("model", MODEL),
                ("result", RESULT),
                ("finish", {**DONE, "output": "late"}),
            ):
                answer = await late.ask(op, **claim(first), **message)
                assert (answer["ok"], answer.get("lost")) == (False, True)
            stolen = await late.ask("finish", **claim(second), **DONE, output="stolen")
            assert stolen["lost"], "a worker ended a task that another one holds"
            assert home.rows("SELECT count(*) FROM step") == [(0,)]
            assert (await second_worker.ask("finish", **claim(second), **DONE, output="right"))[
                "ok"
            ]
            assert home.rows("SELECT state, output FROM task") == [("succeeded", "right")]

    asyncio.run(story())


def test_the_last_words_of_a_worker_count(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (dispatcher, hire):
            dying = await hire("dying")
            (task,) = home.submit(agent)
            message = await dying.run()
            dying.tell("model", **claim(message), **MODEL)
            dying.tell("result", **claim(message), **RESULT)
            dying.tell("finish", **claim(message), **DONE, output="last words")
            dying.wire.close()
            await until(lambda: home.state(task) != "leased" or not dying.seen.held)
            dispatcher.detach(dying.seen, "it died")
            await until(lambda: home.rows("SELECT state FROM task") != [("leased",)])
            assert home.rows("SELECT state, output, crashes FROM task") == [
                ("succeeded", "last words", 0)
            ]

    asyncio.run(story())


def test_last_words_in_the_same_commit_as_the_end_count_too(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (dispatcher, hire):
            dying = await hire("dying")
            home.submit(agent)
            message = await dying.run()
            finish = {"op": "finish", **claim(message), **DONE, "output": "last words"}
            dispatcher._inbox.append((dying.seen, finish))
            dispatcher.detach(dying.seen, "it died")
            await until(lambda: home.rows("SELECT state FROM task") != [("leased",)])
            assert home.rows("SELECT state, crashes FROM task") == [("succeeded", 0)]
            assert home.rows("SELECT outcome FROM attempt") == [("succeeded",)]

    asyncio.run(story())


def test_a_worker_that_is_gone_is_given_nothing_whatever_it_says(
    home: Home, agent: Key
) -> None:
    async def story() -> None:
        async with dispatching(home) as (dispatcher, hire):
            ghost = await hire("ghost")
            ghost.tell("ping", at=1)
            await until(lambda: home.rows("SELECT state FROM worker") == [("live",)])
            dispatcher.detach(ghost.seen, "it died")
            ghost.tell("ready")
            ghost.tell("ping", at=2)
            await until(lambda: home.rows("SELECT state FROM worker") == [])
            (task,) = home.submit(agent)
            worker = await hire("alive")
            assert (await worker.run())["task"] == task
            assert home.rows("SELECT state FROM worker WHERE id = 'ghost'") == []

    asyncio.run(story())


def test_a_finished_task_cannot_be_finished_again(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            home.submit(agent)
            message = await worker.run()
            assert (await worker.ask("finish", **claim(message), **DONE, output="1"))["ok"]
            again = await worker.ask("finish", **claim(message), **DONE, output="2")
            assert again["lost"]
            assert home.rows("SELECT output FROM task") == [("1",)]
            kinds = [entry["type"] for entry in home.entries() if "finished" in entry["type"]]
            assert kinds == ["task.finished"]

    asyncio.run(story())


def test_of_ends_that_are_written_together_only_those_count_that_are_in_hand(
    home: Home, agent: Key
) -> None:
    async def story() -> None:
        async with dispatching(home, lease_s=60) as (dispatcher, hire):
            crew = [await hire(name) for name in ("a", "b", "c")]
            home.submit(agent, 3)
            given = [claim(await worker.run()) for worker in crew]
            with home.database.write() as connection:  # A person cancels; no knock is heard.
                connection.exec_driver_sql(
                    "UPDATE task SET state = 'cancelled' WHERE id = ?", (given[1]["task"],)
                )
            for worker, mine in zip(crew, given, strict=True):
                say = {"op": "finish", "id": 1, **mine, **DONE, "output": worker.seen.id}
                again = {"op": "result", "id": 2, **mine, **RESULT}
                dispatcher._inbox += [(worker.seen, say), (worker.seen, again)]
                worker.seen.unwritten += 2
            dispatcher._awake.set()
            answers = [await answered(worker, 2) for worker in crew]
            assert [[one["ok"] for one in said] for said in answers] == [
                [True, False],
                [False, False],
                [True, False],
            ]
            states = home.rows("SELECT state, output FROM task ORDER BY id")
            expected = [("succeeded", "a"), ("cancelled", None), ("succeeded", "c")]
            assert sorted(states, key=str) == sorted(expected, key=str)
            finished = [one for one in home.entries() if one["type"] == "task.finished"]
            assert {one["task"] for one in finished} == {
                given[0]["task"],
                given[2]["task"],
            }
            assert home.rows("SELECT count(*) FROM attempt WHERE outcome = 'succeeded'") == [
                (2,)
            ]

    asyncio.run(story())


async def answered(puppet: Puppet, questions: int) -> list[dict[str, Any]]:
    """The answers to its first questions, in their order."""
    answers: dict[int, dict[str, Any]] = {}
    while len(answers) < questions:
        message = await puppet.wire.receive()
        assert message is not None
        if message["do"] == "answer":
            answers[message["id"]] = message
    return [answers[number] for number in sorted(answers)]


def test_an_answer_comes_after_its_fact_is_durable(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            home.submit(agent)
            message = await worker.run()
            assert (await worker.ask("model", **claim(message), **MODEL))["ok"]
            assert home.rows("SELECT phase FROM step") == [("begun",)]
            kinds = [entry["type"] for entry in home.entries(message["task"])]
            assert kinds[-3:] == ["action.requested", "action.decided", "action.started"]

    asyncio.run(story())


def test_a_worker_that_is_still_starting_is_not_silent(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home, lease_s=0.5) as (dispatcher, hire):
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=ours)
            slow = Worker("slow", 0, 1, Wire(reader, writer), 0, clock.boot_us() - 5_000_000)
            dispatcher.attach(slow)
            worker = await hire("quick")
            home.submit(agent)
            await worker.run()
            assert slow.id in dispatcher._workers
            writer.close()
            theirs.close()

    asyncio.run(story())


def test_a_worker_that_is_silent_for_a_whole_lease_is_killed(home: Home, agent: Key) -> None:
    async def story(process: subprocess.Popen[bytes]) -> None:
        async with dispatching(home, lease_s=0.5) as (_, hire):
            silent = await hire("silent", process.pid)  # type: ignore[call-arg]
            home.submit(agent)
            await silent.run()
            await until(lambda: process.poll() is not None)
            await until(lambda: home.rows("SELECT outcome FROM attempt") == [("crashed",)])
            assert home.rows("SELECT state, crashes FROM task") == [("pending", 1)]

    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        asyncio.run(story(process))
    assert process.returncode == -9


def test_a_task_that_backs_off_starts_on_time_and_not_at_the_next_poll(
    home: Home, agent: Key
) -> None:
    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            home.submit(agent, retry={"maxAttempts": 2, "backoff": "200ms", "jitter": "none"})
            first = await worker.run()
            worker.tell("finish", **claim(first), outcome="retry", output=None, error="busy")
            await worker.run()
            ((late_us,),) = home.rows(
                "SELECT attempt.started_at - run_at FROM attempt, task WHERE attempt.fence = 2"
            )
            assert 0 <= late_us < 300_000, "it waited for the poll"

    asyncio.run(story())


def test_a_worker_over_its_memory_ends_what_it_runs_and_is_sent_away(
    home: Home, agent: Key
) -> None:
    async def story() -> None:
        async with dispatching(home, memory_mb=1) as (dispatcher, hire):
            heavy = await hire("heavy", os.getpid())  # type: ignore[call-arg]
            first, second = home.submit(agent, 2)
            message = await heavy.run()
            heavy.tell("ping", at=1)
            await until(lambda: home.rows("SELECT state FROM worker") == [("draining",)])
            assert (await heavy.ask("finish", **claim(message), **DONE, output=""))["ok"]
            while (word := await heavy.wire.receive()) is not None and word["do"] != "leave":
                assert word["do"] != "run", "it was given another task"
            assert (home.state(first), home.state(second)) == ("succeeded", "pending")
            dispatcher.detach(heavy.seen, "it left")
            light = await hire("light")
            assert (await light.run())["task"] == second

    asyncio.run(story())


@pytest.mark.parametrize("jump_us", [-3_600_000_000, 3_600_000_000], ids=["back", "ahead"])
def test_a_jump_of_the_wall_clock_ends_no_lease(
    home: Home, agent: Key, monkeypatch: pytest.MonkeyPatch, jump_us: int
) -> None:
    real = clock.now_us

    async def story() -> None:
        async with dispatching(home, lease_s=2) as (_, hire):
            worker = await hire("w")
            home.submit(agent, 2)
            message = await worker.run()
            monkeypatch.setattr(clock, "now_us", lambda: real() + jump_us)
            ((before_us,),) = home.rows("SELECT lease_until FROM task WHERE state = 'leased'")
            worker.tell("ping", at=clock.boot_us())
            await until(
                lambda: (
                    home.rows("SELECT lease_until FROM task WHERE state = 'leased'")[0][0]
                    > before_us
                )
            )
            ((after_us,),) = home.rows("SELECT lease_until FROM task WHERE state = 'leased'")
            with home.database.read() as connection:
                lease_now_us = home.database.lease_now_us(connection)
            assert abs(after_us - lease_now_us - 2_000_000) < 1_000_000
            assert (await worker.ask("finish", **claim(message), **DONE, output=""))["ok"]
            second = await worker.run()
            assert (await worker.ask("finish", **claim(second), **DONE, output=""))["ok"]
            assert home.rows("SELECT DISTINCT outcome FROM attempt") == [("succeeded",)]

    asyncio.run(story())


def test_tasks_that_back_off_keep_their_order_when_the_clock_is_set_back(
    home: Home, agent: Key
) -> None:
    retry = {"maxAttempts": 3, "backoff": "10s", "jitter": "none"}
    first, second = home.submit(agent, 2, retry=retry)
    connection = home.database.connect()
    ledger = Ledger(connection, "host", crashes_max=3)
    noon_us, jump_us = clock.now_us(), 3_600_000_000

    def claim_at(now_us: int, until_us: int) -> list[Held]:
        with home.database.writing(connection):
            claims = ledger.claim(Slots([("w", 0, 2)]), "boot", until_us, now_us)
            ledger.flush(now_us)
        return [held for _, held in claims]

    def fail_at(held: Held, now_us: int) -> None:
        with home.database.writing(connection):
            ledger.finish(held, {"outcome": "retry", "error": "busy"}, now_us)
            ledger.flush(now_us)

    one, two = claim_at(noon_us, 1_000)
    fail_at(one, noon_us)
    fail_at(two, noon_us - jump_us)  # The clock was set back by an hour in between.
    assert home.rows("SELECT id FROM task ORDER BY run_at") == [(second,), (first,)]
    assert claim_at(noon_us - jump_us, 2_000) == []
    assert [held.task for held in claim_at(noon_us - jump_us + 10_000_000, 3_000)] == [second]
    assert [held.task for held in claim_at(noon_us + 10_000_000, 4_000)] == [first]
    connection.close()


def test_the_fence_goes_on_growing_over_the_ends_of_workers(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home, crashes_max=100) as (dispatcher, hire):
            home.submit(agent)
            fences = []
            for number in range(5):
                worker = await hire(f"w{number}")
                fences.append((await worker.run())["fence"])
                dispatcher.detach(worker.seen, "it died")
            assert fences == [1, 2, 3, 4, 5]

    asyncio.run(story())


def test_a_worker_forgets_its_sets_before_they_grow_without_end(
    home: Home, agent: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.handout.SETS_MAX", 2)

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            sent = []
            for number in range(4):
                home.record("Agent", "clerk", {"model": "m", "prompt": str(number)})
                home.submit(agent)
                message = await worker.run()
                sent.append("set" in message)
                await worker.ask("finish", **claim(message), **DONE, output="")
                assert len(worker.seen.sets) <= 2
            assert sent == [True] * 4

    asyncio.run(story())


def test_a_flood_of_one_worker_waits_in_its_socket_and_holds_nobody_back(
    home: Home, agent: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    gather = Dispatcher._gather

    def counted(dispatcher: Dispatcher) -> Turn:
        turn = gather(dispatcher)
        taken.append(len(turn.inbox))
        return turn

    monkeypatch.setattr(Dispatcher, "_gather", counted)

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            flooding = await hire("flooding")
            for number in range(20_000):
                flooding.tell("result", id=number, task="none", fence=1)
            quiet = await hire("quiet")
            assert (await quiet.ask("result", task="none", fence=1))["lost"]
            assert sum(taken) < 10_000, "the quiet one waited for the flood to end"
            for number in range(20_000):
                answer = await flooding.wire.receive()
                assert answer is not None
                assert (answer["id"], answer["lost"]) == (number, True)
            assert max(taken) <= INBOX_MAX + 1
            assert flooding.seen.unwritten <= INBOX_MAX

    asyncio.run(story())


def test_a_flood_of_pings_holds_nobody_back(home: Home) -> None:
    async def story() -> None:
        async with dispatching(home) as (_, hire):
            flooding = await hire("flooding")
            for number in range(20_000):
                flooding.tell("ping", at=number)
            quiet = await hire("quiet")
            assert (await quiet.ask("result", task="none", fence=1))["lost"]
            newest = -1
            while newest < 19_999:
                answer = await flooding.wire.receive()
                assert answer is not None
                assert answer["at"] > newest
                newest = answer["at"]

    asyncio.run(story())


def test_a_task_too_long_for_the_wire_fails_and_its_worker_goes_on(
    home: Home, agent: Key
) -> None:
    prompt = "x" * 250_000
    names = [f"a{number}" for number in range(70)]
    for name in names:
        home.record("Agent", name, {"model": "m", "prompt": prompt})
    system = home.record("AgentSystem", "crowd", {"agents": names})

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            (long,) = home.submit(system)
            await until(lambda: home.state(long) == "failed")
            ((error,),) = home.rows("SELECT error FROM task")
            assert "the wire takes 16 MiB" in error
            (short,) = home.submit(agent)
            assert (await worker.run())["task"] == short
            assert not worker.seen.draining

    asyncio.run(story())


def test_the_dispatcher_keeps_nothing_of_what_is_over(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home) as (dispatcher, hire):
            worker = await hire("w")
            home.submit(agent, 20)
            for _ in range(20):
                message = await worker.run()
                worker.tell("finish", **claim(message), **DONE, output="")
            await until(
                lambda: (
                    home.rows("SELECT count(*) FROM task WHERE state = 'succeeded'") == [(20,)]
                )
            )
            await until(lambda: dispatcher.busy == 0)  # Durable comes first.
            assert dispatcher._inbox == []
            assert dispatcher._lost == []
            assert dispatcher._pings == {}
            assert dispatcher._writer._ledger._entries == []

    asyncio.run(story())


@pytest.mark.story
def test_a_worker_environment_holds_nothing_of_the_runner(home: Home, agent: Key) -> None:
    with home.runner(workers=1, lease_s=7):
        home.until(lambda: home.rows("SELECT pid FROM worker"))
        (pid,) = home.rows("SELECT pid FROM worker")[0]
        environment = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
    assert "ORLOJ_" not in environment
    assert os.environ["PATH"] in environment


def test_an_open_call_of_a_tool_that_nobody_can_read_is_left_to_a_person(home: Home) -> None:
    home.record(
        "Tool",
        "t",
        {"type": "python", "function": "append_record", "requires": [{"write": "x"}]},
    )
    grants = [{"name": "t", "permissions": [{"write": "x"}]}]
    (task,) = home.submit(home.record("Agent", "a", {"model": "m", "tools": grants}))
    connection = home.database.connect()
    now_us = clock.now_us()
    ledger = Ledger(connection, "host", crashes_max=3)
    call = {
        "agent": "a",
        "tool": "t",
        "step": 1,
        "visit": 1,
        "request": {"call": "c", "arguments": {}},
    }
    with home.database.writing(connection):
        ((_, held),) = ledger.claim(Slots([("w", 0, 1)]), "boot", 1_000, now_us)
        ledger.journal.begin_tool(held, call, now_us)
        connection.exec_driver_sql(
            "UPDATE manifest_set SET content = replace(content, 'function', 'callable')"
        )

    later = Ledger(connection, "host", crashes_max=3)  # Of another version, say.
    with home.database.writing(connection):
        later.release(held, "the worker ended", crashed=True, now_us=now_us)
        later.flush(now_us)

    assert home.state(task) == "unknown_outcome"
    connection.close()


def torn(home: Home, monkeypatch: pytest.MonkeyPatch, when: str = "SELECT true") -> list[str]:
    """Where the next transaction breaks for which `when` holds: put in `before` or `after`
    its commit.
    """
    armed: list[str] = []
    writing = home.database.writing

    @contextmanager
    def breaking(connection: Connection) -> Iterator[None]:
        where = ""
        with writing(connection):
            yield
            if armed and connection.exec_driver_sql(when).scalar_one():
                where = armed.pop()
            if where == "before":
                raise DatabaseUnavailable("the connection was lost")
        if where == "after":
            raise DatabaseUnavailable("the connection was lost")

    monkeypatch.setattr(home.database, "writing", breaking)
    return armed


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_commit_in_doubt_is_neither_lost_nor_done_twice(
    home: Home, agent: Key, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    armed = torn(home, monkeypatch)

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            (task,) = home.submit(agent)
            mine = claim(await worker.run())
            for op, message in (
                ("model", MODEL),
                ("result", RESULT),
                ("finish", {**DONE, "output": "once"}),
            ):
                armed.append(where)
                assert (await worker.ask(op, **mine, **message))["ok"], op
            assert home.rows("SELECT state, output, tokens_in FROM task") == [
                ("succeeded", "once", 1)
            ]
            kinds = Counter(entry["type"] for entry in home.entries(task))
            assert set(kinds.values()) == {1}, kinds
            assert worker.seen.held == {}

    asyncio.run(story())


def test_what_was_claimed_in_doubt_is_handed_out_under_a_lease_that_holds(
    home: Home, agent: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    leased = "SELECT count(*) > 0 FROM task WHERE state = 'leased'"
    armed = torn(home, monkeypatch, leased)

    async def story() -> None:
        async with dispatching(home) as (_, hire):
            worker = await hire("w")
            armed.append("after")
            home.submit(agent)
            message = await worker.run()
            # Where other hosts might have taken it by now, it is leased anew.
            assert message["fence"] == (2 if home.database.shared else 1)
            assert (await worker.ask("finish", **claim(message), **DONE, output=""))["ok"]
            assert home.rows("SELECT state, crashes, attempt FROM task") == [
                ("succeeded", 0, 1)
            ]

    asyncio.run(story())


def test_a_task_leased_without_anybody_knowing_is_taken_back(home: Home, agent: Key) -> None:
    async def story() -> None:
        async with dispatching(home, lease_s=1) as (_, hire):
            worker = await hire("w")
            (task,) = home.submit(agent)
            with home.database.write() as connection:
                worker.seen.draining = True
                connection.exec_driver_sql(
                    "UPDATE task SET state = 'leased', holder = 'w', fence = 7, attempt = 1,"
                    " lease_host = ?, lease_until = 1 WHERE id = ?",
                    (service.host_id(home.folder), task),
                )
            await until(lambda: home.rows("SELECT state, fence FROM task") == [("pending", 7)])
            assert home.rows("SELECT attempt, crashes FROM task") == [(0, 0)]

    asyncio.run(story())


@pytest.mark.parametrize(
    "message",
    [
        {"op": "finish", "outcome": "succeeded"},
        {"op": "result", **RESULT, "tokens_in": 2**80},
        {"op": "result", **RESULT, "step": {}},
        {"op": "dance"},
    ],
    ids=["without its output", "with a number too large", "with a strange step", "unknown"],
)
def test_a_message_that_cannot_be_written_fails_its_task_alone(
    home: Home, agent: Key, message: dict[str, Any]
) -> None:
    async def story() -> None:
        async with dispatching(home) as (_, hire):
            odd, sound = await hire("odd"), await hire("sound")
            first, second = home.submit(agent, 2)
            given = {(await one.run())["task"]: one for one in (odd, sound)}
            for worker in (odd, sound):
                assert (await worker.ask("model", **held(worker), **MODEL))["ok"]
            strange = {key: value for key, value in message.items() if key != "op"}
            failing = held(odd)
            lost = await odd.ask(message["op"], **failing, **strange)
            assert lost["lost"]
            assert (await sound.ask("finish", **held(sound), **DONE, output=""))["ok"]
            assert set(given) == {first, second}
            assert home.state(failing["task"]) == "failed"
            ((error,),) = home.rows("SELECT error FROM task WHERE id = ?", failing["task"])
            assert "cannot be written down" in error
            assert odd.seen.held == sound.seen.held == {}

    asyncio.run(story())


def held(puppet: Puppet) -> dict[str, Any]:
    """What a puppet holds, as it names it."""
    (one,) = puppet.seen.held.values()
    return {"task": one.task, "fence": one.fence}
