"""A template plans without complaint and works from a fresh home: what needs a person waits."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from home import Home

from reconciler import scaffold
from reconciler.evidence import framework_files
from runner.contract import settings

Orloj = Callable[..., Any]

TEMPLATES = scaffold.templates()
SIGNED = {"finance", "hipaa"}
OUTCOME = {
    "eu-ai-act": ("recommendations.jsonl", "interview"),
    "finance": ("proposals.jsonl", "Hansa Paper"),
    "hipaa": ("summaries.jsonl", "Blood pressure"),
    "soc2": ("findings.jsonl", "b.moss"),
}
PLAIN = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def run(*argv: str | Path, **more: str) -> str:
    done = subprocess.run(
        [str(one) for one in argv], env=PLAIN | more, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Place:
    """A folder with a home that nobody used before, and what is made in it."""

    def __init__(self, orloj: Orloj, folder: Path, template: str) -> None:
        self._orloj, self.folder, self.template = orloj, folder, template
        self.repository = folder / "project"
        self.orloj("init", str(self.repository), "--template", template)

    def orloj(self, *arguments: str) -> str:
        done = self._orloj(*arguments)
        assert done.code == 0, done.out + done.err
        return done.out

    def commit(self, message: str) -> None:
        author = ("-c", "user.name=eve", "-c", "user.email=eve@example.com")
        git = ("git", "-C", self.repository, *author)
        run(*git, "commit", "--quiet", "--all", "--message", message)

    def name_the_approver(self) -> list[str]:
        """Put whoever runs the test into people.yaml; what they add to their yes."""
        people = self.repository / "people.yaml"
        text = people.read_text().replace("user: first-reviewer", f"user: {settings.person()}")
        more: list[str] = []
        if self.template in SIGNED:
            key = self.folder / "id_ed25519"
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "reviewer", "-f", key)
            text += f'  keys: ["{key.with_suffix(".pub").read_text().strip()}"]\n'
            more = ["--sign", str(key)]
        people.write_text(text)
        self.commit("Name the reviewer")
        return more


@contextmanager
def up(home: Home) -> Iterator[None]:
    """`orloj up`, which has to end in good order."""
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "--home", str(home.folder), "up"],
        env=PLAIN | {"ORLOJ_RUNNER_WORKERS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
            assert process.returncode == 0, out
        finally:
            process.kill()


def test_there_is_a_template_for_each_that_was_promised() -> None:
    assert TEMPLATES == ["eu-ai-act", "finance", "hipaa", "soc2"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_plan_has_no_problem_and_turns_no_protection_off(
    orloj: Orloj, template: str, tmp_path: Path
) -> None:
    place = Place(orloj, tmp_path, template)
    checked = json.loads(place.orloj("validate", str(place.repository), "--json"))
    assert checked["problems"] == []
    plan = json.loads(place.orloj("plan", "--json"))
    assert not plan["blocks"]
    findings = plan["permissions"]["findings"]
    assert findings
    assert not [one["sentence"] for one in findings if one["loud"]]


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_a_regulator_looks_for_is_declared(
    orloj: Orloj, template: str, tmp_path: Path
) -> None:
    place = Place(orloj, tmp_path, template)
    files = {path.name: path.read_text() for path in place.repository.glob("*.yaml")}
    agents = files["agents.yaml"]
    for word in ("maxTokensPerMinute", "maxTokensPerRun", "requireApproval", "owner:"):
        assert word in agents
    assert "reviewers:" in agents
    assert "four_eyes: true" in files["people.yaml"]
    assert ("assurance: signature" in files["people.yaml"]) == (template in SIGNED)
    assert "kind: AgentPolicy" in files["policy.yaml"]
    assert "kind: RetentionPolicy" in files["retention.yaml"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_readme_says_what_it_does_and_what_remains(
    orloj: Orloj, template: str, tmp_path: Path
) -> None:
    place = Place(orloj, tmp_path, template)
    text = (place.repository / "README.md").read_text()
    assert "## What it does" in text
    assert "## What remains yours" in text
    named = text.split("orloj audit controls ")[1].split("`")[0]
    assert framework_files.load().named(named).id == named
    for line in text.splitlines():
        if line.startswith("| `"):
            assert (place.repository / line.split("`")[1]).is_file()


@pytest.mark.parametrize("template", TEMPLATES)
def test_it_works_from_a_fresh_home_and_waits_for_a_person(
    orloj: Orloj, template: str, tmp_path: Path
) -> None:
    place = Place(orloj, tmp_path, template)
    more = place.name_the_approver()
    file, words = OUTCOME[template]
    home = Home(tmp_path / "home", applied=False)
    try:
        with up(home):
            home.until(lambda: home.rows("SELECT 1 FROM task WHERE state = 'waiting_approval'"))
            assert not (tmp_path / "home/files" / file).exists()
            (waiting,) = json.loads(place.orloj("approvals", "--json"))
            place.orloj("approve", waiting["id"], *more)
            (task,) = [row[0] for row in home.rows("SELECT id FROM task")]
            home.wait([task], {"succeeded"})
        assert words in (tmp_path / "home/files" / file).read_text()
        decided = [one for one in home.entries() if one["type"] == "action.decided"]
        assert {one["decision"] for one in decided} == {"allow", "ask"}
        assert json.loads(place.orloj("audit", "verify", "--json"))["holds"]
    finally:
        home.close()


def test_an_unknown_template_lists_the_known_ones_and_leaves_nothing(
    orloj: Orloj, tmp_path: Path
) -> None:
    done = orloj("init", str(tmp_path / "p"), "--template", "sox")
    assert done.code == 1
    assert done.err == (
        "Error: there is no template 'sox'; there are: eu-ai-act, finance, hipaa, soc2\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_init_names_the_readme_and_the_next_commands(orloj: Orloj, tmp_path: Path) -> None:
    done = orloj("init", str(tmp_path / "p"), "--template", "hipaa")
    assert f"Read {tmp_path}/p/README.md" in done.out
    assert done.out.endswith("Next:\n  orloj plan\n  orloj up\n  orloj approvals\n")
