"""A worker that is not trusted any more ends, so that its tasks go to somebody who is."""

import asyncio
import fcntl
import socket
import subprocess
import sys
import termios
from pathlib import Path

from runner.contract import clock, kinds
from runner.contract.kinds import Key, Metadata
from runner.contract.settings import Runner, Settings
from runner.manifest_set import ManifestSet, Placed
from runner.wire import Wire
from runner.worker import EXIT_UNTRUSTED

CLERK = Key("default", "Agent", "clerk")
MODEL = Key("default", "ModelEndpoint", "default")
LEASE_S = 1.5
"""Its worker looks after every third of it; trust ends between the last two looks."""


def manifests() -> str:
    """An agent on the mock model."""
    specs = {CLERK: {"model": "m"}, MODEL: {"provider": "mock", "default_model": "m"}}
    placed = {
        key: Placed(
            key,
            kinds.canonical(
                Metadata(name=key.name), kinds.KINDS[key.kind].model_validate(spec)
            ),
            f"{key.name}.yaml",
            1,
            {},
        )
        for key, spec in specs.items()
    }
    return ManifestSet(CLERK, placed).to_text()


def test_a_worker_whose_answer_came_too_late_ends_though_the_next_is_in_time(
    tmp_path: Path,
) -> None:
    """Else it would drop the task, live on, and keep the lease of what nobody works on."""

    async def story() -> None:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-m", "runner.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        wire = Wire(reader, writer)
        settings = Settings(home=tmp_path, runner=Runner(lease_s=LEASE_S))
        wire.send({"do": "hello", "settings": settings.model_dump(mode="json")})
        first = await wire.receive()
        assert first is not None
        run = {"do": "run", "task": "t", "fence": 1, "input": {}, "flow": {}, "manifests": "d"}
        wire.send(run | {"set": manifests(), "secrets": {}})
        while (asked := await wire.receive()) is not None and asked["op"] != "model":
            pings = [asked] if asked["op"] == "ping" else []
            first = (pings or [first])[0]
        assert asked is not None
        late_us = first["at"] + int(LEASE_S * 0.83 * 1_000_000)
        while clock.boot_us() < late_us:
            await asyncio.sleep(0.001)
        wire.send({"do": "answer", "id": asked["id"], "ok": True})
        while fcntl.ioctl(ours, termios.TIOCOUTQ, b"\0" * 4) != b"\0" * 4:
            await asyncio.sleep(0.001)
        wire.send({"do": "pong", "at": clock.boot_us() + 60_000_000})
        # On a slow machine both may be read at once: then it is trusted, and goes on.
        finished = False
        async with asyncio.timeout(20):
            while (message := await wire.receive()) is not None and not finished:
                finished = message["op"] == "finish"
        writer.close()
        code = await asyncio.to_thread(process.wait, 20)
        assert finished or code == EXIT_UNTRUSTED

    asyncio.run(story())
