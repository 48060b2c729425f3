"""A daemon that asks for signatures applies what its people signed, and nothing else."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import signing
from home import opened
from signing import Signer, World, agent

from reconciler.trust import record

pytestmark = pytest.mark.story

A, B, C = (agent(name) for name in "abc")


class Story(World):
    """A world whose passes are made by commands and by a daemon, as on a server."""

    def __init__(self, folder: Path, url: str, *signers: Signer) -> None:
        super().__init__(folder)
        self.database.close()
        self.database = opened(self.home, url)
        signers_file = folder / "allowed_signers"
        signers_file.write_text("".join(signer.line for signer in signers))
        self.environment = {
            "PATH": os.environ["PATH"],
            "ORLOJ_HOME": str(self.home),
            "ORLOJ_DATABASE_URL": url,
            "ORLOJ_SOURCE_URL": self.repository.url,
            "ORLOJ_SOURCE_INTERVAL_S": "3600",
            "ORLOJ_SOURCE_VERIFY": "range",
            "ORLOJ_SOURCE_NON_FAST_FORWARD": "pause",
            "ORLOJ_SOURCE_ALLOWED_SIGNERS": str(signers_file),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.01)

    def applied(self, commit: str) -> bool:
        return bool(self.rows(f"SELECT 1 FROM source WHERE applied_commit = '{commit}'"))


@pytest.fixture
def dana(tmp_path: Path) -> Signer:
    return signing.ssh(tmp_path, "dana@example.com")


@pytest.fixture
def story(tmp_path: Path, dana: Signer) -> Iterator[Story]:
    story = Story(tmp_path / "w", "", dana)
    yield story
    story.close()


@pytest.fixture
def shared(tmp_path: Path, dana: Signer, database_url: str) -> Iterator[Story]:
    """The same, once on each database."""
    story = Story(tmp_path / "w", database_url, dana)
    yield story
    story.close()


def test_a_daemon_follows_the_signed_and_stops_at_the_unsigned(
    shared: Story, dana: Signer
) -> None:
    story = shared
    daemon = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "daemon"],
        env=story.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        first = story.push({"a.yaml": A}, dana, "First\n\nReviewed-by: Rita <rita@x>")
        story.until(lambda: story.applied(first))
        hidden = story.commit({"b.yaml": "broken: ["}, None, "Hidden")
        story.push({"c.yaml": C}, dana)
        story.until(lambda: story.state().reason == "SignatureMissing")
        state = story.state()
        assert (state.condition, state.applied_commit) == ("Stalled", first)
        assert hidden[:12] in state.message
        story.repository.git("reset", "--quiet", "--hard", first)
        last = story.push({"c.yaml": C}, dana)
        story.until(lambda: story.applied(last))
    finally:
        daemon.terminate()
        assert daemon.wait(timeout=30) == 0
    assert story.names() == ["a", "c"]
    with story.database.read() as connection:
        found = record.read(connection, "default", first)
    assert found is not None
    assert (found.signature, found.reviewers) == ("good", ("Rita <rita@x>",))


def test_plan_and_trust_show_an_untrusted_commit_and_parse_nothing_of_it(
    story: Story, dana: Signer
) -> None:
    story.push({"a.yaml": A}, dana)
    assert story.run("reconcile").returncode == 0
    plan = story.run("plan")
    assert "(signed" not in plan.stdout
    assert plan.returncode == 0
    hidden = story.commit({"b.yaml": "broken: ["}, None, "Hidden \x1b[31mred")
    newest = story.push({"c.yaml": C}, dana, "Seen")
    blocked = story.run("plan")
    assert blocked.returncode == 3
    assert f"BLOCKED: commit {hidden[:12]} is not signed" in blocked.stdout
    assert "mallory <mallory@example.com>: Hidden" in blocked.stdout
    assert "error" not in blocked.stdout
    assert story.json("plan", code=3)["problems"] == []
    trust = story.json("trust", code=3)
    assert [
        (one["commit"], one["signature"], one["signer"], one["subject"])
        for one in trust["commits"]
    ] == [
        (newest, "good", "dana@example.com", "Seen"),
        (hidden, "none", None, "Hidden [31mred"),
    ]
    assert [block["reason"] for block in trust["blocks"]] == ["SignatureMissing"]
    whole = story.run("trust", "--whole")
    assert whole.returncode == 3
    assert "3 commits" in whole.stdout
    assert "\x1b" not in whole.stdout


def test_trust_of_a_repository_that_asks_nobody_says_that_nobody_looked(
    story: Story, dana: Signer
) -> None:
    del story.environment["ORLOJ_SOURCE_VERIFY"]
    del story.environment["ORLOJ_SOURCE_ALLOWED_SIGNERS"]
    story.commit({"a.yaml": A})
    story.push({"b.yaml": B}, dana)
    found = story.json("trust", "--whole")
    assert [one["signature"] for one in found["commits"]] == ["unknown", "none"]
    assert found["blocks"] == []


def test_a_rewrite_while_no_daemon_ran_waits_for_a_person(story: Story, dana: Signer) -> None:
    story.push({"a.yaml": A}, dana)
    story.push({"b.yaml": B}, dana)
    assert story.run("reconcile").returncode == 0
    story.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    new = story.push({"c.yaml": C}, dana)
    waiting = story.run("reconcile")
    assert waiting.returncode == 1
    assert "Stalled (HistoryRewritten)" in waiting.stdout
    shown = story.run("plan")
    assert shown.returncode == 3
    assert "agent/default/c" in shown.stdout
    assert "BLOCKED: the history was rewritten" in shown.stdout
    story.accept_rewrite(new)
    plan = story.run("plan")
    assert plan.returncode == 0
    assert "(history REWRITTEN, signed by dana@example.com ✔)" in plan.stdout
    assert story.run("reconcile").returncode == 0
    assert story.names() == ["a", "c"]
