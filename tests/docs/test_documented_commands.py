"""What the documents tell people to type works, in the order they read it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from reconciler.cli import group
from runner.contract.settings import Settings

ROOT = Path(__file__).parents[2]
EXPECTED_CODES = {"orloj plan --detailed-exitcode": {0, 2}, "orloj status --exit-code": {0, 1}}


def sessions() -> list[Path]:
    return [
        path
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        if "```console" in path.read_text(encoding="utf-8")
    ]


def commands(document: Path) -> list[str]:
    blocks = re.findall(
        r"```console\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    return [
        line.removeprefix("$ ")
        for block in blocks
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


class Reader:
    """Somebody who types what a document says, with a home and a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "ORLOJ_HOME": str(folder / "state"),
            "ORLOJ_RUNNER_WORKERS": "1",
        }
        self.running: list[subprocess.Popen[str]] = []

    def type(self, command: str) -> None:
        if command.split()[1] in {"up", "daemon", "worker"}:
            self.start(command.removesuffix("&"))
            return
        if "$TASK" in command:
            self.environment["TASK"] = self.newest_task()
        if "$COMMIT" in command:
            status = json.loads(self.run("orloj status --json").stdout)
            self.environment["COMMIT"] = status["source"]["applied_commit"]
        answer = "y\n" if "apply" in command else ""
        done = self.run(command, answer)
        assert done.returncode in EXPECTED_CODES.get(command, {0}), (
            f"$ {command}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert "Traceback" not in done.stderr

    def run(self, command: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, command: str) -> None:
        process = subprocess.Popen(
            command.split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.running.append(process)
        deadline = time.monotonic() + 30
        while not self.everything_runs():
            assert time.monotonic() < deadline, f"{command} did not come up"

    def everything_runs(self) -> bool:
        status = json.loads(self.run("orloj status --json").stdout)
        return bool(status["daemon_running"] and status["runner_running"])

    def newest_task(self) -> str:
        found = json.loads(self.run("orloj tasks --limit 1 --json").stdout)
        return str(found[0]["id"])

    def stop(self) -> list[int]:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=40) for process in self.running]


@pytest.mark.story
@pytest.mark.timeout(300)  # The manual of the command line starts a hundred processes.
@pytest.mark.parametrize("document", sessions(), ids=lambda path: path.name)
def test_every_line_of_a_session_works(document: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        for command in commands(document):
            reader.type(command)
    finally:
        codes = reader.stop()
    assert codes == [0] * len(codes)


def mentioned() -> list[tuple[str, str]]:
    """Every command in the running text of a document, with the document's name."""
    return [
        (path.name, command)
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for command in re.findall(r"`(orloj [a-z][^`]*)`", path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    "command", sorted({re.sub(r"\s+", " ", command) for _, command in mentioned()})
)
def test_every_command_in_running_text_exists_with_its_options(command: str) -> None:
    words = command.split()[1:]
    for name in words[0].split("|"):
        found = group.get_command(click.Context(group), name)
        assert found is not None, f"there is no orloj {name}"
        if isinstance(found, click.Group) and len(words) > 1:
            names = ["show"] if words[1].isupper() else words[1].split("|")
            context = click.Context(found)
            inner = [found.get_command(context, sub) for sub in names]
            assert all(inner), f"{command}: no such command"
            found = inner[0]
            assert found is not None
        known = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known | {"-h"}


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    settings = Settings(home=Path("/"))
    for table, value in settings:
        if table == "home":
            continue
        for key, _ in value:
            assert re.search(rf"^\| `{table}\.{key}` \|", page, flags=re.MULTILINE), (
                f"docs/operating.md does not document {table}.{key}"
            )


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} -> {target}"
