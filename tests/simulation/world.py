"""A world of one seed: hosts, clocks, people and misfortunes over one real database.

    made ──misfortunes, a check after each──> calm ──everything settles──> the log verifies

A Broken promise, or whatever else is raised, stops it; `told` says what happened until then.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from host import CRASHES_MAX, Host, Worker
from moves import Moves, Work
from nature import HOUR, LEASE_US, SECOND, Nature
from promises import SETTLED, Record, promise
from runner_host import RunnerHost
from stage import AGENTS, TOOLS, Stage

from runner import decisions
from runner.claim import Offer
from runner.contract import audit_check
from runner.contract.errors import Refused
from runner.contract.kinds import Key
from runner.contract.submission import Submission, submit

COMMIT: Final = "a" * 40
REAL: Final = 0.2  # Of the worlds are written by the real writer.
EVENTS: Final = 60
CALM_ROUNDS_MAX: Final = 400
VERBS: Final = ("cancel", "retry", "resolve", "drop")
FITTING: Final = {
    "unknown_outcome": ("resolve", "resolve", "cancel"),
    "failed": ("retry", "drop"),
    "dead": ("retry", "drop"),
    "cancelled": ("retry",),
    "dropped": ("retry",),
}
VERIFIED_EVERY: Final = 16  # Seeds; in the others only the chain is checked, as it grows.


class World:
    """Everything there is."""

    def __init__(self, stage: Stage, seed: int) -> None:
        stage.clear()
        self.seed = seed
        self._stage = stage
        self._nature = nature = Nature(stage, seed)
        kind = RunnerHost if nature.chance.random() < REAL else Host
        self._hosts = [
            kind(nature, name, nature.chance.choice([(1,), (2,), (1, 1), (2, 1)]), offer)
            for name, offer in _offers(nature)
        ]
        self._works = self._submit()
        self._moves = Moves(nature, self._works)
        self._undeclared: set[str] = set()
        self._left_us: dict[str, int] = {}
        self._resolved: Counter[str] = Counter()
        self._record = Record(stage.raw)

    def play(self) -> None:
        """The whole story: a time of misfortunes, and a calm end in which all is settled."""
        try:
            self._play()
        finally:  # The next world plays on the same connection.
            for host in self._hosts:
                host.close()

    def _play(self) -> None:
        for host in self._hosts:
            host.start()
        events, weights = zip(*self._events(), strict=True)
        for event in self._nature.chance.choices(events, weights, k=EVENTS):
            event()
            self._nature.true_us += self._nature.chance.randrange(2 * SECOND)
            for host in self._hosts:
                host.beat()
            self._check()
        self._settle()
        if self.seed % VERIFIED_EVERY == 0:
            verdict = audit_check.verify(self._stage.connection)
            promise(verdict.holds, f"the log does not verify: {verdict.problem}")
            self._stage.connection.rollback()

    def told(self) -> Iterator[str]:
        """The story so far, an event a line; times are seconds since the world began."""
        for at_us, what, who in self._nature.story:
            seconds = (at_us - self._nature.story[0][0]) / SECOND
            names = f": {' '.join(map(str, who))}" if who else ""
            yield f"{seconds:11.3f}  {what}{names}"

    def _submit(self) -> dict[str, Work]:
        chance = self._nature.chance
        submissions, works = [], []
        for number in range(chance.choice([3, 4, 5])):
            attempts_max = chance.choice([1, 2, 3, 4])
            backoff = f"{chance.choice([1, 20, 3_000])}s"
            agent = chance.choice(AGENTS)
            submissions.append(
                Submission(
                    subject=Key("default", "Agent", agent),
                    actor="person:test",
                    priority=chance.choice(["normal", "normal", "normal", "high", "low"]),
                    retry={"maxAttempts": attempts_max, "backoff": backoff, "jitter": "none"},
                    requirements={"region": "north"} if chance.random() < 0.2 else {},
                )
            )
            steps = chance.choice([1, 2, 3, 4])
            plan = tuple(chance.choices(["model", *TOOLS], [3, 3, 2, 1], k=steps))
            poison = chance.random() < 0.06
            works.append(Work(f"t{number + 1}", agent, plan, poison, attempts_max))
        with self._stage.writing():
            ids = submit(self._stage.connection, submissions, COMMIT, self._nature.true_us)
        return dict(zip(ids, works, strict=True))

    # What happens.

    def _events(self) -> list[tuple[Callable[[], None], float]]:
        many = float(self._nature.shared)
        return [
            (self._round, 30.0),
            (self._work, 42.0),
            (self._somebody_decides, 8.0),
            (self._worker_sleeps, 2.0),
            (self._worker_dies, 2.0),
            (self._worker_is_drained, 1.0),
            (self._dispatcher_sleeps, 0.5 + 1.5 * many),
            (self._dispatcher_dies, 1.0),
            (self._machine_restarts, 0.5),
            (self._wall_clock_is_set, 1.0),
            (self._server_clock_is_set, 0.7 * many),
            (self._nothing_for_long, 1.5),
            (self._manifest_comes_and_goes, 0.5),
        ]

    def _round(self) -> None:
        host = self._nature.chance.choice(self._hosts)
        if host.awake:
            self._nature.tell("a round of", host.name)
            host.write()
        elif not host.up and self._nature.chance.random() < 0.7:
            host.start()

    def _work(self) -> None:
        """Every worker that is awake makes a move in one of its jobs."""
        for worker in self._busy():
            if self._nature.true_us >= worker.asleep_until:
                self._moves.move(worker)

    def _busy(self) -> list[Worker]:
        return [worker for host in self._hosts for worker in host.processes if worker.jobs]

    def _somebody(self) -> list[Worker]:
        busy = self._busy()
        return [self._nature.chance.choice(busy)] if busy else []

    def _worker_sleeps(self) -> None:
        for worker in self._somebody():
            self._nature.tell("sleeps", worker.id)
            wakes_us = self._nature.true_us + self._nature.chance.randrange(3 * LEASE_US)
            worker.asleep_until = wakes_us

    def _worker_dies(self) -> None:
        for worker in self._somebody():
            self._nature.tell("dies", worker.id)
            self._moves.kill(worker)

    def _worker_is_drained(self) -> None:
        """Its host stops: it goes at once, and its tasks go back unpunished."""
        for worker in self._somebody():
            self._nature.tell("is stopped", worker.id)
            worker.draining = True
            self._moves.kill(worker)

    def _dispatcher_sleeps(self) -> None:
        host = self._nature.chance.choice(self._hosts)
        self._nature.tell("the dispatcher sleeps", host.name)
        host.asleep_until = self._nature.true_us + self._nature.chance.randrange(3 * LEASE_US)

    def _dispatcher_dies(self) -> None:
        host = self._nature.chance.choice(self._hosts)
        self._nature.tell("the dispatcher dies", host.name)
        host.die()

    def _machine_restarts(self) -> None:
        host = self._nature.chance.choice(self._hosts)
        self._nature.tell("the machine restarts", host.name)
        host.die(machine=True)

    def _wall_clock_is_set(self) -> None:
        host = self._nature.chance.choice(self._hosts)
        by_hours = self._nature.chance.choice([-5, -1, 1, 5])
        self._nature.tell("the wall clock is set, in hours", host.name, by_hours)
        host.skew_us += by_hours * HOUR

    def _server_clock_is_set(self) -> None:
        by = [-3 * HOUR, -LEASE_US, LEASE_US // 2, HOUR]
        self._nature.set_server(self._nature.chance.choice(by))

    def _nothing_for_long(self) -> None:
        self._nature.true_us += self._nature.chance.choice([5 * SECOND, LEASE_US, HOUR])
        self._nature.tell("nothing happened for long")

    def _manifest_comes_and_goes(self) -> None:
        """An agent is not declared any more, or is again; what has started goes on."""
        agent = self._nature.chance.choice(AGENTS)
        away = agent in self._undeclared
        self._nature.tell("is declared again" if away else "is not declared any more", agent)
        self._undeclared ^= {agent}
        gone, back = (agent, agent + "-gone")[:: -1 if away else 1]
        with self._stage.writing():
            self._stage.raw.execute(
                "UPDATE resource SET name = ? WHERE kind = 'Agent' AND name = ?", (back, gone)
            )
            self._stage.raw.execute("UPDATE state SET serial = serial + 1")

    # What people do.

    def _somebody_decides(self) -> None:
        """A person cancels, retries, resolves or drops a task, mostly one that it fits."""
        task = self._nature.chance.choice(list(self._works))
        ((state,),) = self._stage.rows("SELECT state FROM task WHERE id = ?", (task,))
        verbs = VERBS if self._nature.chance.random() < 0.3 else FITTING.get(state, VERBS)
        self._decide(task, self._nature.chance.choice(verbs))

    def _decide(self, task: str, verb: str) -> None:
        # Whoever resolves has looked, and not before the trust of every worker is over.
        since_us = self._nature.true_us - self._left_us.get(task, 0)
        if verb == "resolve" and since_us <= LEASE_US:
            return
        self._nature.tell("a person decides", verb, self._works[task].name)
        query = "SELECT state, fence FROM task WHERE id = ?"
        ((state, fence),) = self._stage.rows(query, (task,))
        try:
            with self._stage.writing():
                self._carry_out(task, verb)
        except Refused:
            self._nature.tell("refused, since it is", state)
        else:
            self._moves.taken_by_hand.add((task, fence))

    def _carry_out(self, task: str, verb: str) -> None:
        connection, now_us = self._stage.connection, self._hosts[0].wall_us
        actor = "person:test"
        match verb:
            case "cancel":
                decisions.cancel(connection, [task], actor=actor, now_us=now_us)
            case "retry":
                decisions.retry(connection, [task], actor=actor, now_us=now_us)
            case "drop":
                decisions.drop(connection, [task], actor=actor, now_us=now_us)
            case "resolve":
                ran = self._ran(task)
                decisions.resolve(
                    connection, task, ran=ran, result=None, actor=actor, now_us=now_us
                )

    def _ran(self, task: str) -> bool:
        """What a person finds who looks whether the open call was made."""
        query = (
            "SELECT number FROM step WHERE task_id = ? AND phase = 'begun' AND name = 'once'"
        )
        return any(
            self._moves.effects[task, row[0]] for row in self._stage.rows(query, (task,))
        )

    # What must hold.

    def _check(self) -> None:
        """Hold the rows, the log and what was really done against each other."""
        for task, old, new, fence, run_at in self._record.check():
            self._nature.tell("moved", self._works[task].name, old, new, fence)
            if old == "leased":
                self._left_us[task] = self._nature.true_us
            self._resolved[task] += old == "unknown_outcome"
            if (old, new) == ("backing_off", "pending"):
                ahead_us = max(host.wall_us for host in self._hosts)
                promise(run_at <= ahead_us, "a task came back before its wait was over")
        claims = [(job.held.task, job.held.fence) for one in self._busy() for job in one.jobs]
        promise(len(set(claims)) == len(claims), "two workers hold one claim")
        for task, attempt, crashes in self._stage.rows("SELECT id, attempt, crashes FROM task"):
            # Whoever resolves an outcome gives the task another try.
            more = self._resolved[task]
            promise(0 <= attempt <= self._works[task].attempts_max + more, "attempts")
            promise(0 <= crashes <= CRASHES_MAX + more, "crashes beyond the budget")

    def _settle(self) -> None:
        """A calm end: everybody is awake, nothing fails, and people decide what waits."""
        self._nature.calm = True
        self._nature.tell("calm")
        for _ in range(CALM_ROUNDS_MAX):
            states = dict(self._stage.rows("SELECT id, state FROM task"))
            if all(state in SETTLED for state in states.values()):
                return
            for task, state in states.items():
                if state == "unknown_outcome":
                    self._decide(task, "resolve")
            self._calm_round()
            self._check()
        waiting = {self._works[task].name: state for task, state in states.items()}
        promise(False, f"not settled at a calm end: {waiting}")

    def _calm_round(self) -> None:
        for host in self._hosts:
            if not host.up:
                host.start()
            host.asleep_until = 0
            for worker in host.processes:
                worker.asleep_until = 0
        self._work()
        for host in self._hosts:
            host.beat()
            host.write()
        self._nature.true_us += SECOND if self._busy() else self._idle_us()

    def _idle_us(self) -> int:
        """How long there is nothing to do: until a lease or a wait is over."""
        ((due_us, until_us),) = self._stage.rows(
            "SELECT min(CASE WHEN state = 'backing_off' THEN run_at END),"
            " min(CASE WHEN state = 'leased' THEN lease_until END) FROM task"
        )
        waits = [LEASE_US // 4]
        if due_us is not None:
            waits.append(due_us - max(host.wall_us for host in self._hosts))
        if until_us is not None:
            waits.append(until_us - self._hosts[0].lease_now_us)
        return max(waits)


def _offers(nature: Nature) -> Iterator[tuple[str, Offer]]:
    """The hosts of a world and what each has; the first can take whatever there is."""
    count = nature.chance.choice([2, 2, 3]) if nature.shared else 1
    for name in "abc"[:count]:
        north = name == "a" or nature.chance.random() < 0.3
        yield name, Offer(region="north") if north else Offer()
