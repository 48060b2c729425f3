"""The drill: real processes are killed at random while tasks with counted effects run.

    killer ──SIGKILL, SIGSTOP──> daemon, dispatchers, workers <──start again── supervisor
    person ──looks into the counters──> resolves calls whose outcome is unknown
    pusher ──git push──> Task manifests; submitter ──rows──> tasks

One seed makes all the choices; when a process is struck is the machine's own chance. The
counters stand outside of Orloj: a file that a tool appends to, and a server that remembers
every request. `drill_findings` says what is wrong with what is left.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from home import Home
from local_server import Answer, LocalServer, Received
from repository import Repository

from runner import decisions
from runner.contract import clock, seal, submission, wake
from runner.contract.errors import Refused
from runner.contract.kinds import Key
from runner.contract.submission import Submission

PROJECT = Path(__file__).parents[1]
CLERK = Key("default", "Agent", "clerk")
STAGES = ("1", "2")
"""The two effects of a task that may not be repeated: a line of a file, and a parcel."""
SHIPPING_S = 0.1
"""How long a parcel takes: whoever is killed meanwhile has sent it nonetheless."""
LOOK_S = 0.05
"""How often the drill asks the database how far the tasks are."""
ROLES = ("daemon", "dispatcher", "worker")
BUSY = 0.75
"""How many of the blows fall on somebody who works."""
PATIENCE_S = 3.0
"""How long a blow waits for somebody who works, before it takes whoever is there."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a drill does. `second_thoughts`: running tasks cancelled and retried at once.

    `lead` tasks are there from the start, 0 for twice as many as run at once, and the rest
    comes in step with the blows. With `nice` the processes stand behind whatever else the
    machine does: other tests wait for their leases. Without `knocks` the runner hears of
    nothing but by polling. `weights` says how often daemon, dispatchers and workers are
    struck, `rests` how many leases somebody is stopped for. `url` is that of a PostgreSQL,
    which more than one host needs; `program` is the folder that the processes are started
    from, so that a changed copy can be drilled.
    """

    seed: int
    kills: int
    tasks: int
    stops: int = 0
    second_thoughts: int = 0
    pushed: int = 0
    hosts: int = 1
    url: str = ""
    workers: int = 3
    slots: int = 8
    lease_s: float = 3.0
    gap_s: float = 0.1
    weights: tuple[int, int, int] = (1, 2, 5)
    rests: tuple[float, float] = (0.5, 1.5)
    lead: int = 0
    knocks: bool = True
    delay_ms: int = 200
    nice: int = 10
    patience_s: float = 600.0
    program: Path = PROJECT


class Service:
    """A process that is started again whenever it ends."""

    def __init__(
        self, role: str, argv: list[str], log: Path, plan: Plan, env: dict[str, str]
    ) -> None:
        self.role = role
        self.exits: Counter[int] = Counter()
        self._argv = argv
        self._cwd = plan.program
        self._nice = plan.nice
        self._env = {"PATH": os.environ["PATH"], **env}
        self._log = log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["nice", "-n", str(self._nice), sys.executable, "-m", *self._argv],
                env=self._env,
                cwd=self._cwd,
                stderr=log,
            )

    def tend(self) -> None:
        """Start it again if it has ended."""
        code = self.process.poll()
        if code is not None:
            self.exits[code] += 1
            self.process = self._start()

    def end(self) -> None:
        """Ask it to stop, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        # One that was started a moment ago does not listen yet: the signal itself ends it.
        self.exits[0 if code == -signal.SIGTERM else code] += 1


@dataclass(frozen=True)
class Process:
    """A process by number and start, so that a number given twice is not taken for one.

    `start` is in ticks of the boot clock.
    """

    pid: int
    start: int
    parent: int

    @property
    def alive(self) -> bool:
        """Whether this very process is still there."""
        return (now := process(self.pid)) is not None and now.start == self.start

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return clock.boot_us() / 1_000_000 - self.start / TICKS_PER_S


def process(pid: int) -> Process | None:
    """What the kernel knows of a process; None when it is gone, or waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else Process(pid, int(fields[19]), int(fields[1]))


def children(parent: int) -> list[Process]:
    """The living children of a process."""
    found = (process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [child for child in found if child is not None and child.parent == parent]


class Depot:
    """The server of the tools: sends notices at once, parcels after a while, and counts."""

    def __init__(self) -> None:
        self.shipped: list[str] = []
        self.notified: list[tuple[str, str]] = []
        self.server = LocalServer(self._answer)

    def _answer(self, request: Received) -> Answer:
        if len(request.body) < int(request.headers.get("Content-Length", 1)):
            return Answer(400)  # Whoever sent it was killed meanwhile.
        wanted = json.loads(request.body)
        if request.path == "/ship":
            self.server.closing.wait(SHIPPING_S)
            self.shipped.append(line_of(wanted))
        else:
            self.notified.append((wanted["order"], request.headers["Idempotency-Key"]))
        return Answer(200, b"sent")


@dataclass(frozen=True)
class Blow:
    """A signal for somebody at least so old, or so long at work if `busy`.

    One who is stopped goes on after `rest_s`.
    """

    signal: signal.Signals
    role: str
    rest_s: float = 0.0
    age_s: float = 0.0
    busy: bool = False


def blows(plan: Plan, chance: random.Random) -> list[Blow]:
    """The blows of a drill in their order."""

    def drawn(number: signal.Signals, role: str, rest_s: float = 0.0) -> Blow:
        # Some die while they start, and most in the middle of work.
        busy = role != "daemon" and chance.random() < BUSY
        return Blow(number, role, rest_s, chance.expovariate(2.0), busy)

    kills = [
        drawn(signal.SIGKILL, role)
        for role in chance.choices(ROLES, plan.weights, k=plan.kills)
    ]
    stops = [
        drawn(signal.SIGSTOP, role, plan.lease_s * chance.uniform(*plan.rests))
        for role in chance.choices(ROLES, plan.weights, k=plan.stops)
    ]
    return chance.sample(kills + stops, len(kills + stops))


@dataclass
class Drill:
    """One run: the world it happens in, and what has been done to it so far."""

    plan: Plan
    folder: Path
    home: Home
    repository: Repository
    depot: Depot
    chance: random.Random
    story: list[str] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)
    tasks: dict[str, str] = field(default_factory=dict)
    pushed: list[str] = field(default_factory=list)
    seen: set[Process] = field(default_factory=set)
    resolved: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0
    settling_s: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _stopped: list[tuple[float, int]] = field(default_factory=list)
    _parked: dict[str, float] = field(default_factory=dict)
    _orders: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    _struck: float = 0.0
    _at_work: dict[int, float] = field(default_factory=dict)
    _deadline: float = 0.0
    _daemon: Service | None = None
    _hosts: list[Service] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._blows = deque(blows(self.plan, self.chance))
        self._whim = random.Random(self.plan.seed)

    @property
    def services(self) -> list[Service]:
        """The daemon and the dispatchers."""
        return [*([self._daemon] if self._daemon else []), *self._hosts]

    @property
    def effects(self) -> list[str]:
        """What the tools that may not be repeated have really done, a line for each time."""
        file = self.folder / "effects" / "charges.jsonl"
        charged = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return charged + self.depot.shipped

    def log(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{time.monotonic() - self._began:8.3f} {what}")

    # The world.

    def prepare(self) -> None:
        """Push the agent and its tools, and start everything."""
        for kind, name, spec in manifests(self.depot.server.url, self.plan.delay_ms):
            self._declare(kind, name, spec)
        self.repository.commit("Declare the clerk")
        self.repository.push()
        common = {
            "ORLOJ_DATABASE_URL": self.plan.url,
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
            "ORLOJ_TOOLS_FILES": str(self.folder / "effects"),
            "ORLOJ_RUNNER_WORKERS": str(self.plan.workers),
            "ORLOJ_RUNNER_SLOTS": str(self.plan.slots),
            "ORLOJ_RUNNER_LEASE_S": str(self.plan.lease_s),
            "ORLOJ_RUNNER_CRASHES_MAX": "100",
        }
        argv = ["reconciler", "--home", str(self.home.folder), "daemon"]
        self._daemon = Service("daemon", argv, self.folder / "daemon.log", self.plan, common)
        self.home.until(lambda: self.home.rows("SELECT 1 FROM revision"))
        for number in range(1, self.plan.hosts + 1):
            home = self._host(number)
            log = self.folder / f"runner-{number}.log"
            argv = ["runner", str(home)]
            self._hosts.append(Service("dispatcher", argv, log, self.plan, common))

    def _host(self, number: int) -> Path:
        """The home of a host: the first shares the daemon's, others have their own."""
        if number == 1:
            return self.home.folder
        home = self.folder / f"home-{number}"
        home.mkdir(mode=0o700)
        key = self.home.folder / seal.KEY_FILE
        if key.exists():  # Who shares a database shares the key to its secrets.
            shutil.copy2(key, home)
        return home

    def _declare(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        manifest = {
            "apiVersion": "orloj.dev/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        self.repository.write(f"{kind.lower()}s/{name}.yaml", json.dumps(manifest, indent=1))

    # The run.

    def run(self) -> None:
        """Strike until the blows are done and every task is settled; or patience ends.

        The blows come from a thread that never touches the database: a process that is
        stopped while it holds the lock stops everybody who waits for it.
        """
        self._began = self._struck = time.monotonic()
        self._deadline = self._began + self.plan.patience_s
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(self._ask)
            try:
                self._strike_while(lambda: not asking.done())
            finally:
                self._wake_stopped(self._deadline)
                self._deadline = 0.0
            asking.result()
        self.took_s = time.monotonic() - self._began
        self.settling_s = time.monotonic() - self._struck

    def _strike_while(self, going: Callable[[], bool]) -> None:
        strike_at = 0.0
        while going():
            now = time.monotonic()
            for service in self.services:
                service.tend()
            self._wake_stopped(now)
            if now >= strike_at and self._blows and self._strike(self._blows[0], now):
                self._blows.popleft()
                strike_at = now + self.chance.expovariate(1 / self.plan.gap_s)
            time.sleep(0.003)

    def _ask(self) -> None:
        while time.monotonic() < self._deadline:
            self._submit()
            self._decide()
            self._at_work = self._holders()  # Another one, since the striker reads it.
            if self.strikes["second thought"] < self.plan.second_thoughts:
                self._doubt()
            if not self._blows and self._settled():
                return
            time.sleep(LOOK_S)

    def end(self) -> None:
        """Stop everything that was started."""
        for service in reversed(self.services):
            service.end()

    def _holders(self) -> dict[int, float]:
        """Which workers hold tasks, and since when they were seen to."""
        query = "SELECT DISTINCT w.pid FROM worker w JOIN task t ON t.holder = w.id"
        now = time.monotonic()
        return {row[0]: self._at_work.get(row[0], now) for row in self.home.rows(query)}

    def _settled(self) -> bool:
        (row,) = self.home.rows("SELECT count(*) FROM task WHERE state = 'succeeded'")
        return bool(row[0] == self.plan.tasks)

    # What people and programs ask for, in step with the strikes.

    def _submit(self) -> None:
        """Keep work coming for as long as there is somebody to strike."""
        plan = self.plan
        lead = plan.lead or 2 * plan.hosts * plan.workers * plan.slots
        wanted = min(plan.tasks, lead + int(self._progress * plan.tasks))
        asked = len(self.tasks) + len(self.pushed)
        if asked < wanted:
            pushed = int(wanted * plan.pushed / plan.tasks) - len(self.pushed)
            if pushed > 0:
                self._push(pushed)
            if wanted - asked > pushed:
                self._queue(wanted - asked - pushed)

    @property
    def _progress(self) -> float:
        """How much of what is to be suffered was suffered: 0 to 1."""
        plan = self.plan
        doubts = plan.second_thoughts - self.strikes["second thought"]
        whole = plan.kills + plan.stops + plan.second_thoughts
        return 1.0 - (len(self._blows) + doubts) / (whole or 1)

    def _queue(self, count: int) -> None:
        orders = [str(next(self._orders)) for _ in range(count)]
        wanted = [
            Submission(subject=CLERK, actor="person:drill", input={"order": order})
            for order in orders
        ]
        with self.home.database.write() as connection:
            ids = submission.submit(connection, wanted, "a" * 40, clock.now_us())
        self.tasks |= dict(zip(ids, orders, strict=True))
        self._knock()

    def _push(self, count: int) -> None:
        for _ in range(count):
            order = str(next(self._orders))
            self._declare(
                "Task", f"order-{order}", {"agent": "clerk", "input": {"order": order}}
            )
            self.pushed.append(order)
        self.repository.commit("Order more")
        self.repository.push()
        self.log(f"push of {count} tasks")

    def _knock(self) -> None:
        if self.plan.knocks:
            self.home.database.knock(wake.RUNNER)

    def _decide(self) -> None:
        """Be the person who looks whether an interrupted call has happened.

        Not at once: for a lease its old worker may still be at it.
        """
        parked = self.home.rows(
            "SELECT t.id, t.fence, s.request FROM task t JOIN step s ON s.task_id = t.id"
            " WHERE t.state = 'unknown_outcome' AND s.kind = 'tool' AND s.phase = 'begun'"
        )
        now, due = time.monotonic(), []
        for task, fence, request in parked:
            since = self._parked.setdefault(f"{task}/{fence}", now)
            if now - since > self.plan.lease_s:
                due.append((task, line_of(json.loads(request)["arguments"])))
        done = set(self.effects) if due else set()
        for task, line in due:
            with self.home.database.write() as connection:
                decisions.resolve(
                    connection,
                    task,
                    ran=line in done,
                    result="recorded, as a person saw",
                    actor="person:drill",
                    now_us=clock.now_us(),
                )
            self.resolved["ran" if line in done else "not ran"] += 1
            self.log(f"{task} resolved: {line} {'ran' if line in done else 'did not run'}")
        if due:
            self._knock()

    # What goes wrong.

    def _strike(self, blow: Blow, now: float) -> bool:
        """Whether there was anybody to strike."""
        victim = self._victim(blow)
        if victim is None:
            return False
        try:
            descriptor = os.pidfd_open(victim)
        except ProcessLookupError:
            return False  # It ended by itself just now.
        self._struck = now
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, blow.signal)
        if blow.signal is signal.SIGSTOP:
            self._stopped.append((now + blow.rest_s, descriptor))
        else:
            os.close(descriptor)
        what = f"{blow.signal.name} {blow.role}"
        self.strikes[what] += 1
        self.log(f"{what} {victim}")
        return True

    def _victim(self, blow: Blow) -> int | None:
        """The number of a process that is due; None while there is none."""
        if blow.role == "daemon":
            found = [self._daemon] if self._daemon else []
        else:
            found = self._hosts
        there = [known for one in found if (known := process(one.process.pid))]
        workers = {one: children(one.pid) for one in there} if blow.role != "daemon" else {}
        self.seen.update(*workers.values())
        if blow.busy and time.monotonic() - self._struck < PATIENCE_S:
            since = time.monotonic() - blow.age_s
            busy = {pid for pid, began in self._at_work.items() if began <= since}
            workers = {
                one: [child for child in mine if child.pid in busy]
                for one, mine in workers.items()
            }
            there = [one for one in there if workers[one]]
        if blow.role == "worker":
            there = [child for one in there for child in workers[one]]
        old = [one.pid for one in there if one.age_s >= blow.age_s]
        return self.chance.choice(old) if old else None

    def _wake_stopped(self, now: float) -> None:
        for at, descriptor in list(self._stopped):
            if now >= at:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGCONT)
                os.close(descriptor)
                self._stopped.remove((at, descriptor))

    def _doubt(self) -> None:
        """Cancel a running task and want it after all, and leave it to the poll to notice."""
        running = self.home.rows("SELECT id FROM task WHERE state = 'leased'")
        if not running:
            return
        (task,) = self._whim.choice(running)
        facts = {"actor": "person:drill", "now_us": clock.now_us()}
        with suppress(Refused), self.home.database.write() as connection:
            decisions.cancel(connection, [task], **facts)
            decisions.retry(connection, [task], **facts)
            self.strikes["second thought"] += 1
            self.log(f"{task} cancelled and retried")


def line_of(arguments: dict[str, Any]) -> str:
    """The line that a charge writes, and that the depot keeps of a parcel."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def manifests(url: str, delay_ms: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """An agent that charges, notifies, ships, and says so."""
    delay = f"{delay_ms}ms"

    def call(tool: str, **arguments: str) -> dict[str, Any]:
        order = {"order": "{input.order}"}
        return {"calls": [{"tool": tool, "arguments": order | arguments}], "delay": delay}

    script = [
        call("charge", stage=STAGES[0]),
        call("notify"),
        call("ship", stage=STAGES[1]),
        {"reply": "{input.order} is done", "delay": delay},
    ]
    yield (
        "ModelEndpoint",
        "default",
        {"provider": "mock", "default_model": "m", "script": {"clerk": script}},
    )
    pay, send = {"write": "accounts"}, {"send": "mail"}
    yield (
        "Tool",
        "charge",
        {
            "type": "python",
            "function": "append_record",
            "config": {"file": "charges.jsonl"},
            "requires": [pay],
        },
    )
    notify = {"endpoint": f"{url}/notify", "requires": [send], "idempotent": True}
    yield "Tool", "notify", notify
    yield "Tool", "ship", {"endpoint": f"{url}/ship", "requires": [send]}
    tools = [
        {"name": "charge", "permissions": [pay]},
        {"name": "notify", "permissions": [send]},
        {"name": "ship", "permissions": [send]},
    ]
    yield "Agent", "clerk", {"model": "m", "tools": tools}


@contextmanager
def drilled(plan: Plan, folder: Path) -> Iterator[Drill]:
    """A drill that has been carried out; its processes are gone, its home is still open."""
    with ExitStack() as stack:
        depot = Depot()
        stack.enter_context(depot.server.running())
        (folder / "effects").mkdir()
        home = Home(folder / "home", plan.url)
        stack.callback(home.close)
        with home.database.write() as connection:
            # The daemon's own repository is the source here.
            connection.exec_driver_sql("DELETE FROM source")
        chance = random.Random(plan.seed)
        drill = Drill(plan, folder, home, Repository(folder), depot, chance)
        try:
            drill.prepare()
            drill.run()
        finally:
            drill.end()
        yield drill
