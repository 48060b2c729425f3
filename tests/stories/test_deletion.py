"""What may not be deleted is there after every kill, restart and retry, and named it goes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushed import World, agent, agents

pytestmark = pytest.mark.story

VAULT = "agent/default/vault"


class Stage(World):
    """A world with processes of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home),
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
        }

    def orloj(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reconciler", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)

    def start(self) -> None:
        """A daemon that is at work when this returns."""
        command = [sys.executable, "-m", "reconciler", "daemon"]
        self.process = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        assert any(b"daemon_started" in line for line in self.process.stderr)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None

    def standing(self) -> set[str]:
        return set(self.names())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.kill()
    stage.database.close()


def test_no_kill_restart_or_retry_deletes_what_is_kept_and_its_name_does(stage: Stage) -> None:
    everything = agents(14) | {"vault.yaml": agent("vault", protect='"true"')}
    stage.push(everything)
    assert stage.orloj("reconcile").returncode == 0
    standing = stage.standing()
    commit = stage.push(dict.fromkeys(name for name in everything if name != "a000.yaml"))
    stage.start()
    stage.kill()  # In the middle of its first look.
    stage.start()
    waited = stage.orloj("reconcile", "--wait")
    assert waited.returncode == 1
    assert "deletes 14 of 15 resources unnamed" in waited.stdout
    assert f"--allow-destroy {VAULT} --reason TEXT" in waited.stdout
    planned = stage.orloj("plan", "--out", str(stage.folder / "saved.plan"))
    assert planned.returncode == 3
    assert planned.stdout.count("BLOCKED: ") == 2
    assert stage.orloj("apply", str(stage.folder / "saved.plan")).returncode == 3
    assert stage.standing() == standing
    # All but the protected one: it stays, and everything with it.
    unnamed = [f"agent/default/a{n:03}" for n in range(1, 14)]
    stage.allow(commit, *unnamed)
    assert stage.orloj("reconcile", "--wait").returncode == 1
    assert stage.standing() == standing
    stage.allow(commit, VAULT, reason="It moved.")
    assert stage.orloj("reconcile", "--wait").returncode == 0
    assert stage.standing() == {"a000"}
    assert {e["resource"] for e in stage.log("manifest.overridden")} == {*unnamed, VAULT}
    assert len(stage.log("resource.deleted")) == 14
