"""Runner hosts that share one PostgreSQL, and a tool whose every act is written down.

Each host has a home folder of its own with `database.url` in its settings, as on a machine
of its own; with a host of `network` it also has an address, a name and a link that can be
cut. The acts go to a file and not over the network, so that a host that is cut off and still
acts is seen.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from home import Home
from network import Host

from runner.contract.kinds import Key

ACT = {"write": "world"}
SHELL = "/bin/sh"
STOP_LIMIT_S = 60
BUSY_EVERY_S = 0.25


@dataclass(frozen=True)
class Act:
    """A line of the file: when a call began or ended, on which host, under which key."""

    at_s: float
    host: str
    key: str
    phase: str

    @property
    def task(self) -> str:
        """The task that called."""
        return self.key.partition(":")[0]


class World:
    """The folder that all tools of all hosts write into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.file = folder / "acts"
        self.file.touch()

    def acts(self, host: str | None = None, phase: str | None = "begin") -> list[Act]:
        """What happened, in order: of a call its begin, that it is busy, its end, or all."""
        fields = [line.split() for line in self.file.read_text().splitlines()]
        acts = [Act(float(one[0]), one[1], one[2], one[3]) for one in fields]
        return [act for act in acts if phase in (None, act.phase) and host in (None, act.host)]

    def times(self) -> Counter[str]:
        """How often each call was begun, by its key."""
        return Counter(act.key for act in self.acts())

    def agent(self, home: Home, name: str, seconds: float, *, idempotent: bool) -> Key:
        """An agent that makes one act of some length, and says all the while that it does."""
        note = "echo $(date +%s.%N) $(basename $PWD) $IDEMPOTENCY_KEY"
        times = max(1, round(seconds / BUSY_EVERY_S))
        busy = f"sleep {seconds / times}; {note} busy >>../acts"
        home.record(
            "Tool",
            name,
            {
                "type": "command",
                "command": [
                    SHELL,
                    "-c",
                    f"{note} begin >>../acts; for _ in $(seq {times}); do {busy}; done;"
                    f" {note} end >>../acts; echo done",
                ],
                "requires": [ACT],
                # Its acts stand beside the homes, where no sandbox lets it write.
                "runtime": {"isolation": "none"},
                "idempotent": idempotent,
            },
        )
        home.record(
            "ModelEndpoint",
            f"{name}-model",
            {
                "provider": "mock",
                "default_model": "m",
                "script": {name: [{"calls": [{"tool": name}]}, {"reply": "{result}"}]},
            },
        )
        grants = [{"name": name, "permissions": [ACT]}]
        return home.record("Agent", name, {"model_ref": f"{name}-model", "tools": grants})


def wait(home: Home, tasks: list[str], states: set[str], timeout_s: float = 60.0) -> None:
    """Wait until every task is in one of the states; fail with those that are not."""

    def others() -> list[Any]:
        query = (
            "SELECT t.id, t.state, t.fence, t.holder, t.lease_host, t.error FROM task t"
            " WHERE t.id IN (SELECT value FROM json_each(?)) AND t.state NOT IN ({})"
        ).format(",".join(f"'{state}'" for state in states))
        return home.rows(query, json.dumps(tasks))

    home.until(lambda: not others(), timeout_s, lambda: (len(others()), others()[:6]))


class RunnerHost:
    """A host with its own home; `process` is its runner while that runs."""

    def __init__(
        self, folder: Path, url: str, world: World, host: Host | None = None, **runner: Any
    ) -> None:
        self.folder = folder
        self.name = folder.name
        self.host = host
        folder.mkdir(mode=0o700, parents=True)
        settings = "".join(f"{name} = {value}\n" for name, value in runner.items())
        (folder / "orloj.toml").write_text(
            f'[database]\nurl = "{url}"\n[runner]\n{settings}'
            f'[tools]\nfiles = "{world.folder / self.name}"\ncommands = ["{SHELL}"]\n'
        )
        self.log = folder / "runner.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the runner; it is up when it claims."""
        command = [sys.executable, "-m", "runner", str(self.folder)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.host.command(*command) if self.host else command,
                env={"PATH": os.environ["PATH"]},
                stderr=log,
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the runner; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(STOP_LIMIT_S)
        self.process = None
        return code

    @contextmanager
    def running(self) -> Iterator["RunnerHost"]:
        """The runner runs; it must still do so at the end, and stop when it is asked to."""
        self.start()
        try:
            yield self
            assert self.process is not None
            assert self.process.poll() is None, self.last_words()
            assert self.stop() == 0, self.last_words()
        finally:
            if self.process is not None:
                self.process.kill()
                self.process.wait(STOP_LIMIT_S)

    def last_words(self) -> str:
        """The end of the runner's log."""
        return self.log.read_text()[-3000:]
